"""The context of a journey: one tenant in one region, and the tools that all tenants share."""

from collections.abc import Callable, Coroutine, Mapping
from random import Random
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from loadgen.leftovers import Leftover, LeftoverKind, Leftovers
from loadgen.metrics import LoadMetrics, TenantMeter
from loadgen.settings import LoadgenSettings
from services.chassis.env import Env
from services.clients.arm import ArmCaller
from services.clients.identity.client import ManagedIdentityClient
from services.policies.retry import RetryPolicy

SUCCESS, FAILED, ABANDONED = "success", "failed", "abandoned"
NO_DETAIL: Mapping[str, Any] = MappingProxyType({})

Spawn = Callable[[Coroutine[Any, Any, Any]], None]


class JourneyOutcome(NamedTuple):
    """How one journey ended. `operation` is the kind of operation, `code` the reason of a failure."""

    result: str
    operation: str
    code: str = ""
    detail: Mapping[str, Any] = NO_DETAIL


Steps = list[Callable[[], Coroutine[Any, Any, Any]]]


class RunnerProvider(Protocol):
    """Provides hosted runners in a region, e.g. `runner_pool.RunnerPool`."""

    def order(self, runner_type: str) -> None:
        """Orders a runner for a job."""

    async def acquire(self, runner_type: str, deadline: float) -> Any:
        """Waits for a runner; None if `deadline` (clock seconds) passes first."""

    def release(self, runner_type: str, runner: Any) -> None:
        """The job has ended."""


class Tools:
    """Shared by all sites of one load generator. `apply` changes the settings while it runs."""

    def __init__(
        self,
        env: Env,
        settings: LoadgenSettings,
        identity: ManagedIdentityClient,
        metrics: LoadMetrics,
        spawn: Spawn,
    ) -> None:
        """`spawn` runs a coroutine in the background until the load stops."""
        self.env = env
        self.identity = identity
        self.metrics = metrics
        self.spawn = spawn
        self.pools: dict[str, RunnerProvider] = {}
        self.apply(settings)
        self.leftovers = Leftovers(self)

    def apply(self, settings: LoadgenSettings) -> None:
        self.settings = settings
        self.sdk: RetryPolicy = settings.sdk.build()
        self.workflow: RetryPolicy = settings.workflow.build()

    @property
    def now(self) -> float:
        return self.env.clock.now()

    def arm(self, tenant: str, region: str) -> ArmCaller:
        """The management client of a tenant, which need not have a site here."""
        return ArmCaller(self, TenantMeter(self.metrics, tenant, region), tenant, region)


class Site:
    """One tenant in one region: its random streams, its metrics, its management client."""

    def __init__(self, tools: Tools, tenant: str, region: str, *, run: str, stream: str = "journey") -> None:
        """`run` is part of resource names; `stream` names the random stream if it differs from the default."""
        self.tools = tools
        self.tenant = tenant
        self.region = region
        self.meter = TenantMeter(tools.metrics, tenant, region)
        self.rng: Random = tools.env.streams[f"{stream}/{tenant}/{region}"]
        self.arm = ArmCaller(tools, self.meter, tenant, region)
        self._run = run
        self._resources = 0

    def new_name(self, prefix: str) -> str:
        """A resource name that no other site and no earlier run has used."""
        self._resources += 1
        return f"{prefix}-{self._run}-{self._resources}"

    def leftover(self, kind: LeftoverKind, name: str) -> Leftover:
        return Leftover(self.tenant, self.region, kind, name)

    def new_identity(self, prefix: str) -> str:
        """The name of a new identity, recorded for deletion."""
        name = self.new_name(prefix)
        self.tools.leftovers.note(self.leftover("identity", name))
        return name

    def patience(self, mean_s: float | None = None) -> float:
        """A random patience in seconds: exponential, at least `patience_min_s`."""
        settings = self.tools.settings
        return max(settings.patience_min_s, self.rng.expovariate(1.0 / (mean_s or settings.patience_mean_s)))

    def choose(self, weights: Mapping[str, float]) -> str:
        """One key, with a probability proportional to its weight; one draw."""
        return self.rng.choices(list(weights), list(weights.values()))[0]

    def __repr__(self) -> str:
        return f"<Site {self.tenant} in {self.region}, {self._resources} resources>"
