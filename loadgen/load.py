"""The load of one load generator: all tenants in all regions.

The load is open-loop: users arrive as planned, however earlier users fared. Times in records count from τ = 0
(`zero_epoch`), durations from the intended start.
"""

import asyncio
import math
from collections import deque
from collections.abc import Coroutine, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from loadgen.arrivals import Arrivals, PoissonSchedule
from loadgen.journeys import JOURNEYS, Journey
from loadgen.journeys.runner_job import JobParameters, RunnerJobParameters
from loadgen.leftovers import STORE_ERRORS
from loadgen.metrics import LoadMetrics
from loadgen.runner_pool import RunnerPool
from loadgen.settings import FACTOR_MAX, PROFILES, LoadgenSettings, RegionRates
from loadgen.site import FAILED, SUCCESS, JourneyOutcome, Site, Tools
from loadgen.tenants import Tenant, TenantTable, default_table
from services.chassis.env import Env
from services.chassis.settings import SettingsError
from services.chassis.tracing import Span
from services.clients.identity.client import ManagedIdentityClient

CRASHED = "LoadGeneratorError"
OPERATION_SPAN = "user"


class LoadError(ValueError):
    """The load cannot be changed as requested; the text gives the reason."""


class Arrival(NamedTuple):
    """One row of `arrivals.csv`; times are τ."""

    tenant: str
    region: str
    planned_t: float
    actual_t: float
    dropped: bool


class Users:
    """The users of one tenant in one region: starts a journey for each arrival and records its outcome."""

    def __init__(self, load: "Load", tenant: Tenant, site: Site, journey: Journey, share: float) -> None:
        """`share` is of the load of the region."""
        self._load = load
        self._share = share
        self._tools = load.tools
        self.tenant = tenant
        self.site = site
        self.journey = journey
        self.in_flight = 0
        self.arrivals: Arrivals | None = None

    def rate_per_s(self, rates: RegionRates, factor: float) -> float:
        """Arrivals per second: the tenant's share, divided by the load units that one arrival makes."""
        total = rates.job_rate_per_s if self.tenant.load == "jobs" else rates.token_rate_per_s
        return factor * total * self._share / self.tenant.journey.load_per_arrival

    @property
    def needs_runners(self) -> bool:
        return isinstance(self.tenant.journey, JobParameters)

    def set_rate(self, rate_per_s: float) -> None:
        if self.arrivals is not None and rate_per_s != self.arrivals.rate_per_s:
            self.arrivals.set_rate(rate_per_s)

    def begin(self, rate_per_s: float, start_at: float) -> None:
        rng = self._tools.env.streams[f"arrivals/{self.site.tenant}/{self.site.region}"]
        self.arrivals = Arrivals(self._tools.env.clock, PoissonSchedule(rng, rate_per_s, start_at), self._arrive)
        self.arrivals.start()

    def _arrive(self, planned: float, actual: float) -> None:
        settings, meter = self._tools.settings, self.site.meter
        if actual - planned > settings.late_after_s:
            meter.late()
        dropped = self.in_flight >= settings.in_flight_max
        self._load.record_arrival(self.site, planned, actual, dropped)
        if dropped:
            meter.dropped()
            return
        with self._tools.env.tracing.operation(
            OPERATION_SPAN, planned, tenant=self.site.tenant, region=self.site.region, journey=self.tenant.journey.kind
        ) as span:
            try:
                journey = self.journey.start(planned)
            except Exception as error:  # of a user's journey; the arrivals go on
                span.discard()
                self._crashed(error)
                return
            if journey is None:
                span.discard()
                return
            meter.started()
            self.in_flight += 1
            self._tools.spawn(self._travel(journey, planned, span))

    async def _travel(self, journey: Coroutine[Any, Any, JourneyOutcome], planned: float, span: Span) -> None:
        try:
            outcome = await journey
        except Exception as error:
            # A defect of the load generator, not of the cloud: recorded, so that no load is lost silently.
            self._crashed(error)
            outcome = JourneyOutcome(FAILED, self.tenant.journey.kind, CRASHED)
        except asyncio.CancelledError:
            span.note(result="cancelled")
            span.end()
            raise
        finally:
            self.in_flight -= 1
        self._end(outcome, planned, span)

    def _crashed(self, error: Exception) -> None:
        self._tools.env.events.emit("journey_crashed", tenant=self.site.tenant, error=repr(error))

    def _end(self, outcome: JourneyOutcome, planned: float, span: Span) -> None:
        meter = self.site.meter
        _conclude(span, outcome)
        duration_s = self._tools.now - planned
        meter.ended[outcome.result]()
        meter.observe(duration_s, span.exemplar())
        explained = {} if outcome.result == SUCCESS else {"message": self.tenant.symptom}
        self._tools.env.events.emit(
            "operation",
            tenant=self.site.tenant,
            region=self.site.region,
            journey=self.tenant.journey.kind,
            operation=outcome.operation,
            result=outcome.result,
            code=outcome.code,
            intended_t=round(self._load.tau(planned), 6),
            duration_s=round(duration_s, 6),
            **outcome.detail,
            **explained,
        )

    def __repr__(self) -> str:
        return f"<Users {self.site.tenant} in {self.site.region}, {self.in_flight} in flight>"


def _conclude(span: Span, outcome: JourneyOutcome) -> None:
    """Ends the span of an operation: whether its trace is kept is decided here."""
    span.rename(f"{OPERATION_SPAN}.{outcome.operation}")
    span.note(result=outcome.result)
    if outcome.result != SUCCESS:
        span.fail(outcome.code or outcome.result)
    span.end()


class Load:
    """Starts, changes and stops the load. One per `Env`: its metrics are registered once."""

    def __init__(
        self,
        env: Env,
        settings: LoadgenSettings | None = None,
        *,
        table: TenantTable | None = None,
        identity: ManagedIdentityClient | None = None,
    ) -> None:
        self._env = env
        self._table = table or default_table()
        metrics = LoadMetrics(env.metrics)
        self._pools: dict[str, RunnerPool] = {}
        self.tools = Tools(
            env,
            settings or env.settings(LoadgenSettings),
            identity or ManagedIdentityClient(env),
            metrics,
            self._spawn,
        )
        env.metrics.computed_gauge(
            "loadgen_runners", "Hosted runners by state.", self._runner_rows, ("region", "runner", "state")
        )
        env.live.on_change(self._on_change)
        self.arrivals: deque[Arrival] = deque(maxlen=self.settings.arrivals_kept_max)
        self.arrivals_count = 0
        """All arrivals since the process started; `arrivals` holds the newest."""
        self._users: list[Users] = []
        self._tasks = env.background.scope()
        self._factors: dict[str, float] = {}
        self._zero = self._epoch_at_zero = 0.0
        self._running = False
        self._tree = env.live.tree

    @property
    def settings(self) -> LoadgenSettings:
        return self.tools.settings

    @property
    def running(self) -> bool:
        return self._running

    def factor(self, region: str) -> float:
        """The factor on the region's configured rates."""
        return self._factors.get(region, 1.0)

    def tau(self, moment: float) -> float:
        """Clock seconds as τ."""
        return moment - self._zero

    async def start(self, *, at_epoch: float | None = None, zero_epoch: float | None = None) -> None:
        """Starts arrivals at `at_epoch` (Unix time; default now), recorded relative to `zero_epoch` (same default).

        Raises:
            LoadError: the load is running already, or no region is configured.
        """
        if self._running:
            raise LoadError("the load is running already: stop it first")
        if not self.settings.regions:
            raise LoadError("loadgen.regions: names no region, so there is nothing to load")
        epoch = self._env.clock.epoch()
        at_epoch = epoch if at_epoch is None else at_epoch
        zero_epoch = at_epoch if zero_epoch is None else zero_epoch
        offset = self._env.clock.now() - epoch
        self._zero, self._epoch_at_zero = zero_epoch + offset, zero_epoch
        self._running = True
        self._tasks = self._env.background.scope()
        self.tools.leftovers.release_all()
        self._users = self._make_users(run=f"{int(at_epoch) & 0xFFFFFF:x}")
        for users in self._users:
            users.begin(self._rate_of(users), at_epoch + offset)
        for region in self.settings.regions:
            self._spawn(self._set_up(region))
        self._tasks.keep(self.tools.leftovers.write, "notes of leftovers")
        self._tasks.keep(self.tools.leftovers.delete, "deletion of leftovers")

    async def stop(self) -> None:
        """Stops arrivals; journeys in progress are cancelled without a result. Idempotent."""
        self._running = False
        for users in self._users:
            if users.arrivals is not None:
                users.arrivals.stop()
        await self._tasks.stop()
        with suppress(*STORE_ERRORS):
            await self.tools.leftovers.flush()

    def set_load(self, region: str, factor: float) -> None:
        """Sets the factor on the region's configured rates; 1 is normal, 0 stops the load.

        Raises:
            LoadError: names the invalid region or factor.
        """
        if region not in self.settings.regions:
            raise LoadError(f"region: unknown region {region!r}; known: {', '.join(self.settings.regions)}")
        if not (math.isfinite(factor) and factor >= 0):
            raise LoadError(f"factor: must be a number of at least 0 (got {factor!r})")
        self._require_carried(region, factor)
        self._factors[region] = factor
        self._set_rates()
        self._env.events.emit("load_changed", region=region, factor=factor)

    def _require_carried(self, region: str, factor: float) -> None:
        rates, most = self.settings.regions, self.settings.rate_max_per_s
        share = PROFILES[self.settings.profile]
        here = share * rates[region].total_per_s
        others = sum(share * rates[name].total_per_s * self.factor(name) for name in rates if name != region)
        if here and others + factor * here > most:
            bound = min(FACTOR_MAX, max(0.0, (most - others) / here))
            raise LoadError(
                f"factor: {factor:g} would make {others + factor * here:.0f} arrivals/s and the testbed carries "
                f"{most:g} (loadgen.rate_max_per_s), so at most {math.floor(100 * bound) / 100:g} for {region} now"
            )

    def record_arrival(self, site: Site, planned: float, actual: float, dropped: bool) -> None:
        tenant, region = site.tenant, site.region
        row = Arrival(tenant, region, round(self.tau(planned), 6), round(self.tau(actual), 6), dropped)
        self.arrivals.append(row)
        self.arrivals_count += 1
        planned_at, actual_at = row.planned_t + self._epoch_at_zero, row.actual_t + self._epoch_at_zero
        self._env.events.emit(
            "arrival", tenant=tenant, region=region, planned_at=planned_at, actual_at=actual_at, dropped=dropped
        )

    def _make_users(self, run: str) -> list[Users]:
        selected = self._table.with_own(self.settings.own_tenants).select(self.settings.tenants)
        self._pools = {region: self._make_pool(region, run) for region in self.settings.regions}
        self.tools.pools = {**self._pools}
        users = []
        for region in self.settings.regions:
            for tenant in selected:
                if region in tenant.not_in:
                    continue
                site = Site(self.tools, tenant.slug, region, run=run)
                journey = JOURNEYS[tenant.journey.kind](site, tenant.journey)
                users.append(Users(self, tenant, site, journey, self._table.share_in(region, tenant)))
        return users

    def _make_pool(self, region: str, run: str) -> RunnerPool:
        """The pool and its machines belong to the Actions tenant, even if that tenant is not selected."""
        owner, parameters = next(
            (tenant.slug, tenant.journey)
            for tenant in default_table().tenants
            if isinstance(tenant.journey, RunnerJobParameters)
        )
        site = Site(self.tools, owner, region, run=run, stream="runner_pool")
        return RunnerPool(site, {str(name): needs for name, needs in parameters.machines.items()})

    async def _set_up(self, region: str) -> None:
        """Creates the initial resources, one at a time so that they do not overload the region."""
        if self.settings.regions[region].job_rate_per_s == 0:
            return
        here = [users for users in self._users if users.site.region == region]
        steps = self._pools[region].setup() if any(users.needs_runners for users in here) else []
        for users in here:
            steps += users.journey.setup()
        for step in steps:
            self._spawn(step())
            await asyncio.sleep(self.settings.setup_interval_s)

    def _rate_of(self, users: Users) -> float:
        rates = self.settings.regions.get(users.site.region)
        share = PROFILES[self.settings.profile]
        return 0.0 if rates is None else users.rate_per_s(rates, share * self.factor(users.site.region))

    def _set_rates(self) -> None:
        for users in self._users:
            users.set_rate(self._rate_of(users))

    def _on_change(self, _topic: str) -> None:
        """Applies changed settings at once; invalid ones are reported and ignored."""
        if self._env.live.tree is self._tree:
            return
        self._tree = self._env.live.tree
        try:
            self.tools.apply(self._env.settings(LoadgenSettings))
        except SettingsError as error:
            self._env.events.emit("settings_refused", error=str(error))
            return
        self._set_rates()

    def _runner_rows(self) -> Iterator[tuple[tuple[str, ...], float]]:
        for pool in self._pools.values():
            yield from pool.counts()

    def _spawn(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        if not self._running:
            coroutine.close()
            return
        self._tasks.once(coroutine, "journey")

    def __repr__(self) -> str:
        state = "running" if self._running else "stopped"
        in_flight = sum(users.in_flight for users in self._users)
        return f"<Load {state}, {len(self._users)} sites, {in_flight} operations in flight>"
