"""Settings of the load: rates, tenants and the patience of users.

All durations are bench seconds (one is an incident minute). Values that differ between tenants are in `tenants.yaml`.
"""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from loadgen.tenant_names import choose, shipped_names
from services.chassis.settings import Settings
from services.policies.retry import SDK_NAIVE, WORKFLOW_NAIVE, RetrySettings

RATE_MAX_PER_S = 150.0
"""What two cores carry in the worst case. An attempt costs all processes together 1 ms of CPU time (`LocalRuntime`,
token requests through a router to a node), and an operation makes 12 attempts if its service is down."""

FACTOR_MAX = 100.0

Profile = Literal["base", "rest"]
PROFILES: dict[Profile, float] = {"base": 1.0, "rest": 0.1}
"""Load profiles: the factor on all rates.

`base` is the incident's users. `rest` is for testing a client of your own: retries cannot keep a region down then. A
failing operation makes A = 12 attempts, so a collapsed region is offered 12 λ and stays down if that exceeds its
capacity, i.e. for λ above 1/12 = 8 % of it (docs/model.md §1, (3) and (4)). East US, the busiest region, is loaded to
42 % of its capacity at `base` and to 4 % at `rest`, where it recovers by itself from five minutes of frozen identity
nodes; at a quarter of `base` it does not recover from two. A region that collapsed at `base` stays down at `rest`: the
waiting jobs retry, too (seed 1, four regions, 8 bench minutes).
"""


class RegionRates(Settings):
    """Base load of one region; tenants take their shares of it."""

    token_rate_per_s: float = Field(default=0.0, ge=0, description="identity operations that need a request")
    job_rate_per_s: float = Field(default=0.0, ge=0, description="provisionings")

    @property
    def total_per_s(self) -> float:
        return self.token_rate_per_s + self.job_rate_per_s


class OwnTenant(Settings):
    """A tenant class of the user's own, with a journey of their own, beside those that ship."""

    slug: str = Field(pattern=r"^[a-z][a-z0-9-]{1,39}$", description="the `tenant` label of every metric and event")
    load: Literal["jobs", "tokens"] = Field(default="tokens", description="the rate of a region that `share` is of")
    share: float = Field(gt=0, le=10, description="of that rate, in addition to the load of the shipped tenants")
    part: str = Field(min_length=1, max_length=200, description="the journey: module:Class or an entry point")
    options: dict[str, str | int | float | bool | None] = Field(default={}, description="its constructor's arguments")
    symptom: str = Field(default="the operation failed", min_length=1, description="what its users see on failure")


class LoadgenSettings(Settings):
    """Read as `loadgen: {…}` from the settings tree."""

    regions: dict[str, RegionRates] = Field(default={}, description="rates by region; other regions get no load")
    profile: Profile = Field(default="base", description="base: the rates as they are; rest: a tenth of them")
    own_tenants: Annotated[tuple[OwnTenant, ...], Field(max_length=50)] = Field(
        default=(), description="tenants with journeys of your own"
    )
    tenants: tuple[str, ...] | None = Field(default=None, description="slugs; None means every tenant")

    rate_max_per_s: float = Field(
        default=RATE_MAX_PER_S, gt=0, le=10_000, description="arrivals of all regions; higher rates are refused"
    )
    late_after_s: float = Field(default=0.1, gt=0, description="an arrival sent this long after its plan is late")
    in_flight_max: int = Field(default=500, ge=1, description="per tenant and region; further arrivals are dropped")

    arm_timeout_s: float = Field(default=10.0, gt=0, description="per attempt of a management call")
    sdk: RetrySettings = SDK_NAIVE
    workflow: RetrySettings = WORKFLOW_NAIVE
    first_poll_s: float = Field(default=3.0, gt=0, description="from acceptance to the first poll of an operation")
    poll_s: float = Field(default=15.0, gt=0, description="between polls if the server sends no Retry-After")

    patience_mean_s: float = Field(
        default=240.0, gt=0, description="mean, exponential; then the user deletes the resource"
    )
    patience_min_s: float = Field(default=20.0, ge=0, description="minimum patience: at least a second poll")
    runner_wait_s: float = Field(default=60.0, gt=0, description="longest wait of an Actions job for a runner")
    warm_runners: int = Field(default=2, ge=0, description="idle hosted runners kept per region and runner type")
    ready_machines: int = Field(default=2, ge=0, description="machines a tenant owns per region when load starts")
    machines_max: int = Field(default=8, ge=0, description="machines a tenant keeps per region; others are deleted")
    machine_age_max_s: float = Field(
        default=3600.0, gt=0, description="older machines are deleted after their next use"
    )
    identities_max: int = Field(default=50, ge=0, description="identities a tenant keeps per region")
    discard_used: bool = Field(default=False, description="used runners and agents are deleted at once")
    resource_lifetime_s: float = Field(
        default=900.0, gt=0, description="age at which unused resources of the load are deleted"
    )
    arrivals_kept_max: int = Field(default=20_000, ge=1, description="newest arrivals kept for /admin/arrivals")
    setup_interval_s: float = Field(default=1.5, gt=0, description="between the provisionings of initial resources")
    token_refresh_margin_s: float = Field(default=5.0, ge=0, description="a token this close to its end is not used")

    @model_validator(mode="after")
    def _is_carried(self) -> "LoadgenSettings":
        total = sum(rates.total_per_s + self._own_per_s(rates) for rates in self.regions.values())
        if total > self.rate_max_per_s:
            raise ValueError(f"regions: {total:g} arrivals/s in all, and rate_max_per_s is {self.rate_max_per_s:g}")
        return self

    def _own_per_s(self, rates: RegionRates) -> float:
        base = {"jobs": rates.job_rate_per_s, "tokens": rates.token_rate_per_s}
        return sum(base[tenant.load] * tenant.share for tenant in self.own_tenants)

    ORDER = (("patience_min_s", "<=", "patience_mean_s"), ("ready_machines", "<=", "machines_max"))

    @field_validator("own_tenants")
    @classmethod
    def _are_new(cls, value: tuple[OwnTenant, ...]) -> tuple[OwnTenant, ...]:
        slugs = [*shipped_names(), *(tenant.slug for tenant in value)]
        twice = sorted({slug for slug in slugs if slugs.count(slug) > 1})
        if twice:
            raise ValueError(f"slug used twice: {', '.join(twice)}")
        return value

    @field_validator("tenants")
    @classmethod
    def _known(cls, value: tuple[str, ...] | None, info: ValidationInfo) -> tuple[str, ...] | None:
        own = tuple(tenant.slug for tenant in info.data.get("own_tenants", ()))
        return None if value is None else choose(value, (*shipped_names(), *own))
