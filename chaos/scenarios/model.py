"""The model of a scenario: regions, load, settings, timeline, expectations.

Use `loader.load` to create one: it also runs the checks across fields, such as whether named regions exist.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, StringConstraints, field_validator, model_validator

from chaos.remediation.rollout import RolloutRegion
from chaos.remediation.settings import SECTION, RemediationSettings
from chaos.scenarios import times
from chaos.scenarios.actions import Action, AnyAction, MitigationId, Note, Pause, RegionName, Seconds, StartRemediation
from chaos.scenarios.expect import ClaimSetName, Expectation
from services.chassis.settings import Tree, merge

SECTIONS = ("blobstore", "provisioner", "identity", "identity_client", "router", "loadgen")
ENTRY_FIELDS = ("id", "at", "at_s", "note")
YEARS = (1980, 2900)
SIZE_MAX = 64.0
Role = Literal["canary", "east", "west", "control", "broad"]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
Rate = Annotated[float, Field(ge=0, le=10_000, allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ScenarioRegion(_Part):
    """A region. `pair` is the region that its traffic fails over to."""

    name: RegionName
    display: Annotated[str, Field(min_length=1, max_length=60)]
    pair: RegionName | None = None
    role: Role = "broad"
    identity_nodes: Annotated[int, Field(ge=1, le=500)] = 2


class RegionLoad(_Part):
    """Base load of a region's users, in requests per second; divided among the tenants."""

    token_rate_per_s: Rate
    job_rate_per_s: Rate


class Entry(_Part):
    """One entry of the timeline. Its time is given by either `at` (incident time) or `at_s` (bench seconds)."""

    id: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9]*(\.[a-z0-9-]+)?$")]
    at: str | None = None
    at_s: float | None = None
    note: Annotated[str, Field(max_length=500)] = ""
    action: AnyAction
    _t: float = PrivateAttr(default=0.0)

    @model_validator(mode="before")
    @classmethod
    def _gather_action(cls, given: Any) -> Any:
        """Moves the action's parameters, which are next to `id` and `at` in the file, to the action's model."""
        if not isinstance(given, dict):
            return given
        own = {key: value for key, value in given.items() if key in ENTRY_FIELDS}
        return {**own, "action": {key: value for key, value in given.items() if key not in ENTRY_FIELDS}}

    @field_validator("at")
    @classmethod
    def _is_a_time(cls, at: str | None) -> str | None:
        return at if at is None else times.check(at)

    @model_validator(mode="after")
    def _says_when(self) -> "Entry":
        if (self.at is None) == (self.at_s is None):
            raise ValueError("needs exactly one of 'at' and 'at_s'")
        return self

    @property
    def t(self) -> float:
        """τ, in bench seconds."""
        return self._t

    @property
    def row(self) -> str:
        """The row of the conformance table: `T08` for `T08.northeurope`."""
        return self.id.partition(".")[0]

    def moved(self, t: float) -> "Entry":
        """The entry at another time."""
        copy = self.model_copy(update={"at": None, "at_s": t})
        copy._t = t
        return copy

    def acting(self, action: Action) -> "Entry":
        """The entry with another action, at the same time."""
        return self.model_copy(update={"action": action})

    def plan(self) -> dict[str, Any]:
        """The entry in `plan.json`."""
        return {"id": self.id, "t": self.t, "action": self.action.do, "parameters": self.action.parameters()}


class Scenario(_Part):
    """All inputs of a run except the seed."""

    name: Name
    title: Annotated[str, Field(min_length=1, max_length=120)]
    source: str = ""
    starts_at: datetime
    warmup_s: Annotated[Pause, Field(le=100_000)] = 30.0
    duration_s: Annotated[Seconds, Field(le=1_000_000)]
    detection_pace: Annotated[float, Field(gt=0, le=10)] = 1.0
    size: Annotated[float, Field(gt=0, le=SIZE_MAX)] = 1.0
    """1 is the parameter set of docs/model.md §2. A file gives the values of size 1, `loader` those of this size."""
    regions: Annotated[tuple[ScenarioRegion, ...], Field(min_length=1, max_length=100)]
    load: dict[RegionName, RegionLoad]
    tenants: tuple[Name, ...] = ()
    settings: dict[str, Any] = {}
    remediation: RemediationSettings = RemediationSettings()
    mitigations: tuple[MitigationId, ...] = ()
    timeline: tuple[Entry, ...] = ()
    expect: Annotated[tuple[Expectation, ...], Field(max_length=100)] = ()
    claims: ClaimSetName | None = None
    """The claims of a published report that the run is also checked against; they do not decide its status."""

    @field_validator("starts_at", mode="before")
    @classmethod
    def _is_utc(cls, given: Any) -> Any:
        return times.utc(given) if isinstance(given, str) else given

    @field_validator("starts_at")
    @classmethod
    def _is_in_range(cls, given: datetime) -> datetime:
        """Limits the year: clocks, tokens and file names use Unix time, and a run may last years of incident time."""
        if not YEARS[0] <= given.year <= YEARS[1]:
            raise ValueError(f"should be between {YEARS[0]} and {YEARS[1]}")
        return given

    def model_post_init(self, _context: Any) -> None:
        for entry in self.timeline:
            entry._t = entry.at_s if entry.at_s is not None else times.tau(entry.at or "", self.starts_at)

    @property
    def actions(self) -> tuple[Entry, ...]:
        """The timeline without notes, in order of time, then of the file."""
        return tuple(entry for entry in self.in_order if not isinstance(entry.action, Note))

    @property
    def displays(self) -> dict[str, str]:
        """Display names by region."""
        return {region.name: region.display for region in self.regions}

    @property
    def in_order(self) -> tuple[Entry, ...]:
        """The whole timeline in order of time, then of the file."""
        return tuple(sorted(self.timeline, key=lambda entry: entry.t))

    def tree(self) -> Tree:
        """The settings tree of the run including the policy job; mitigations and `--set` are merged over it."""
        job: Tree = self.remediation.model_dump(mode="json", exclude_unset=True)
        for entry in self.actions:
            if isinstance(entry.action, StartRemediation):
                job = merge(job, entry.action.parameters())
        return merge(self.settings, {SECTION: job})

    def rollout_regions(self) -> tuple[RolloutRegion, ...]:
        """The regions for the policy job."""
        return tuple(RolloutRegion(region.name, region.display, region.role == "canary") for region in self.regions)
