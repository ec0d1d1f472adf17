"""What a journey is given: one tenant in one region, and the tools that all tenants share."""

from collections.abc import Callable, Coroutine, Mapping
from random import Random
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

from loadgen.leftovers import Kind, Leftover, Leftovers
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
    """How one journey ended. `operation` is the class of operation, `code` says why it failed."""

    result: str
    operation: str
    code: str = ""
    detail: Mapping[str, Any] = NO_DETAIL


Steps = list[Callable[[], Coroutine[Any, Any, Any]]]


class RunnerProvider(Protocol):
    """Who hands out hosted runners in a region; `runner_pool.RunnerPool` is one."""

    def order(self, runner_type: str) -> None:
        """A job needs a runner soon."""

    async def acquire(self, runner_type: str, deadline: float) -> Any:
        """A runner, or None when none came before `deadline` (clock seconds)."""

    def release(self, runner: Any) -> None:
        """The job is over."""


class Tools:
    """Shared by every site of one load generator. `apply` swaps the settings while it runs."""

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
        """Management calls for a tenant that need not have a site here."""
        return ArmCaller(self, TenantMeter(self.metrics, tenant, region), tenant, region)


class Site:
    """One tenant in one region: its random streams, its meter, its way to the region's provisioner."""

    def __init__(self, tools: Tools, tenant: str, region: str, *, run: str, stream: str = "journey") -> None:
        """`run` marks the names of resources; `stream` separates this site's draws from another's."""
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

    def leftover(self, kind: Kind, name: str) -> Leftover:
        return Leftover(self.tenant, self.region, kind, name)

    def new_identity(self, prefix: str) -> str:
        """The name of an identity about to be created; it is deleted in the end."""
        name = self.new_name(prefix)
        self.tools.leftovers.note(self.leftover("identity", name))
        return name

    def patience(self, mean_s: float | None = None) -> float:
        """How long this user waits, drawn now: exponential, and no less than `patience_min_s`."""
        settings = self.tools.settings
        return max(settings.patience_min_s, self.rng.expovariate(1.0 / (mean_s or settings.patience_mean_s)))

    def choose(self, weights: Mapping[str, float]) -> str:
        """One key, with odds in proportion to its weight; one draw."""
        return self.rng.choices(list(weights), list(weights.values()))[0]

    def __repr__(self) -> str:
        return f"<Site {self.tenant} in {self.region}, {self._resources} resources>"
