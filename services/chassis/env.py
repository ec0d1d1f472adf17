"""The dependencies of a service, passed in instead of globals: one `Env` per instance."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from services.chassis.background import Background
from services.chassis.clock import Clock
from services.chassis.events import Events, Sink
from services.chassis.http import HttpClient
from services.chassis.life import Life
from services.chassis.live import Live
from services.chassis.loop_lag import LoopLag
from services.chassis.metrics import Metrics
from services.chassis.registry import Instance, Registry
from services.chassis.settings import M, Tree, resolve
from services.chassis.store import Store
from services.chassis.stored import Stored
from services.chassis.streams import Streams
from services.chassis.tracing import NO_TRACING, Tracing

DEFAULT_PEER_URL = "http://{name}:8080"


@dataclass(frozen=True)
class Peers:
    """Base URLs of services that have one instance in a region, e.g. the router of `eastus`."""

    urls: Mapping[str, str] = field(default_factory=dict)
    pattern: str = DEFAULT_PEER_URL

    def url(self, service: str, region: str) -> str:
        """The base URL, without a trailing slash. `region` is empty for a service that belongs to no region."""
        name = f"{service}-{region}" if region else service
        return self.urls.get(f"{service}/{region}") or self.pattern.format(name=name)


@dataclass
class Env:
    """Everything an instance may touch outside itself."""

    instance: Instance
    clock: Clock
    streams: Streams
    http: HttpClient
    store: Store
    events: Events
    metrics: Metrics
    registry: Registry
    live: Live
    peers: Peers
    lag: LoopLag
    secret: str = field(repr=False)
    """The project secret, for operator calls between processes; if empty, all of them are refused."""
    background: Background
    stored: Stored
    life: Life
    tracing: Tracing = NO_TRACING

    @property
    def region(self) -> str:
        return self.instance.region

    def settings(self, model: type[M]) -> M:
        """The current settings of this instance: defaults, tree, overlay."""
        me = self.instance
        return resolve(model, self.live.tree, me.service, me.region, me.name)


def make_env(
    instance: Instance,
    *,
    seed: int,
    clock: Clock,
    http: HttpClient,
    store: Store,
    sink: Sink,
    tree: Tree,
    peers: Peers,
    lease_s: float = 9.0,
    secret: str = "",
    tracing: Tracing = NO_TRACING,
) -> Env:
    """Builds an `Env`; every runtime uses this function."""
    metrics = Metrics()
    events = Events(sink, clock, instance.name)
    stored = Stored(events.emit)
    return Env(
        instance=instance,
        clock=clock,
        streams=Streams(seed, instance.name),
        http=http,
        store=store,
        events=events,
        metrics=metrics,
        registry=Registry(store, stored, clock, lease_s=lease_s),
        live=Live(store, stored, clock, tree, (instance.service, instance.region, instance.name)),
        peers=peers,
        lag=LoopLag(clock, metrics),
        secret=secret,
        background=Background(clock, events.emit),
        stored=stored,
        life=Life(clock),
        tracing=tracing,
    )
