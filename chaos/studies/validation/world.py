"""A small world in virtual time: a few of our services, and callers with our client and open-loop arrivals.

    async def measure(world: SmallWorld) -> RowFigures: ...
    figures = SmallWorld(seed, tree).run(measure)

Nothing here stands in for a service, a policy or the load generator. The world only says who calls whom and when.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any, TypeVar

from aiohttp import web
from yarl import URL

from compose.topology import PORT, SMALL, app_factory
from compose.virtual.world import Served, VirtualWorld
from loadgen.arrivals import Arrivals, PoissonSchedule
from services.chassis.background import Background
from services.chassis.clock import Clock
from services.chassis.env import Env, Peers, make_env
from services.chassis.http import NO_HEADERS, TIMEOUT, HttpClient, HttpReply
from services.chassis.live import announce
from services.chassis.registry import Instance
from services.chassis.settings import Tree
from services.chassis.store import Keys
from services.chassis.streams import Streams
from services.clients.identity.client import CallResult, ManagedIdentityClient
from services.identity.app import NODE
from services.identity.node import Node

T = TypeVar("T")

REGION, PAIRED = SMALL.names
RESOURCE = "https://management.azure.com/"
FOREVER_S = 1e6

PLAIN_NODE: Tree = {
    "identity": {
        "overload_slowdown": 0.0,
        "cold_slowdown": 0.0,
        "crash_enabled": False,
        "queue_length": 1_000_000,
        "warm_at_start": True,
    }
}
"""A node as textbooks have it: no slow-down, no cold cache, no crash, and a queue that does not fill."""

ONE_ATTEMPT: Tree = {
    "identity_client": {"timeout_s": FOREVER_S, "sdk": {"enabled": False}, "workflow": {"enabled": False}}
}
"""A caller without a timeout and without retries."""


class SmallWorld:
    """One virtual world and the processes in it. `tree` holds the settings of all of them."""

    def __init__(self, seed: int, tree: Mapping[str, Any]) -> None:
        self.world = VirtualWorld(seed=seed, transport="direct")
        self.seed = seed
        self.tree: Tree = dict(tree)
        self.clock = Clock(self.world.loop.time, self.world.epoch_s)
        self.streams = Streams(seed, "validate")
        self.background = Background(self.clock, self._emit)
        self.served: dict[str, Served] = {}
        self.failed: list[str] = []

    def __repr__(self) -> str:
        return f"<SmallWorld seed {self.seed}, t={self.now:.3f} s>"

    def run(self, measure: Callable[["SmallWorld"], Coroutine[Any, Any, T]]) -> T:
        """Runs `measure` to its end in virtual time.

        Raises:
            RuntimeError: a background task failed, so the figures cannot be trusted.
        """
        figures = self.world.run(self._measured(measure))
        if self.failed:
            raise RuntimeError(f"the small world broke: {self.failed[0]}")
        return figures

    async def _measured(self, measure: Callable[["SmallWorld"], Coroutine[Any, Any, T]]) -> T:
        try:
            return await measure(self)
        finally:
            await self.background.stop()

    def _emit(self, kind: str, **fields: Any) -> None:
        if kind in ("task_failed", "handler_failed"):
            self.failed.append(f"{kind} {fields}")

    @property
    def now(self) -> float:
        return self.clock.now()

    async def until(self, t: float) -> None:
        await asyncio.sleep(t - self.now)

    # --- who is there --------------------------------------------------------------------------------

    async def serve(self, service: str, name: str, region: str = REGION) -> tuple[Env, web.Application]:
        env = self.env(service, region, name)
        app = app_factory(service)(env)
        self.served[name] = await self.world.serve(app, name, PORT)
        return env, app

    async def node(self, name: str = "node", region: str = REGION) -> tuple[Env, Node]:
        env, app = await self.serve("identity", name, region)
        return env, app[NODE]

    def env(self, service: str, region: str, name: str, peers: Peers | None = None) -> Env:
        return make_env(
            Instance(service, region, name, f"http://{name}:{PORT}"),
            seed=self.seed,
            clock=self.clock,
            http=HttpClient(self.world.session(name)),
            store=self.world.redis.client(),
            sink=lambda event: self._emit(**event),
            tree=self.tree,
            peers=peers or Peers(),
        )

    def callers(self, target: str = "node", http: Callable[[HttpClient], HttpClient] | None = None) -> "Callers":
        """A process of callers whose requests go straight to the instance `target`."""
        env = self.env("loadgen", "", "callers", Peers({f"router/{REGION}": f"http://{target}:{PORT}"}))
        if http is not None:
            env.http = http(env.http)
        return Callers(env)

    # --- what happens --------------------------------------------------------------------------------

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        self.background.once(work, "validation")

    def arrivals(self, name: str, rate_per_s: float, arrive: Callable[[], Awaitable[object]]) -> Arrivals:
        """Starts Poisson arrivals; each begins `arrive`."""
        schedule = PoissonSchedule(self.streams[f"arrivals/{name}"], rate_per_s, self.now)
        arrivals = Arrivals(self.clock, schedule, lambda _planned, _actual: self.spawn(_await(arrive())))
        arrivals.start()
        return arrivals

    async def inject(self, kind: str, *, instance: str = "", probability: float = 1.0, **parameters: Any) -> None:
        """Puts a fault rule in force, in the form in which the controller stores it."""
        fault = {
            "id": kind,
            "kind": kind,
            "expires_at": self.clock.epoch() + FOREVER_S,
            "target": {"service": "identity", "instance": instance},
            "parameters": parameters,
            "probability": probability,
        }
        store = self.world.redis.client()
        await store.set(Keys.fault(f"{kind}-{instance}"), json.dumps(fault))
        await announce(store, "faults")
        await asyncio.sleep(1e-6)

    async def overlay(self, tree: Tree) -> None:
        """Puts a settings overlay in force, in place of the one before."""
        store = self.world.redis.client()
        await store.set(Keys.OVERLAY, json.dumps(tree))
        await announce(store, "overlay")


def in_worlds(
    seed: int, tree: Tree, *measures: Callable[[SmallWorld], Coroutine[Any, Any, Mapping[str, float]]]
) -> dict[str, float]:
    """The figures of all measurements, each in a world of its own."""
    return {name: value for measure in measures for name, value in SmallWorld(seed, tree).run(measure).items()}


async def _await(work: Awaitable[object]) -> None:
    await work


class FarClient(HttpClient):
    """Our HTTP client with a network in between: each way takes `delay_s()`, and the caller's timeout covers both."""

    __slots__ = ("_clock", "_delay_s")

    def __init__(self, near: HttpClient, clock: Clock, delay_s: Callable[[], float]) -> None:
        super().__init__(near.session)
        self._clock = clock
        self._delay_s = delay_s

    async def call(self, method: str, url: str | URL, *, timeout_s: float, **options: Any) -> HttpReply:
        ends_at = self._clock.now() + timeout_s
        await asyncio.sleep(self._delay_s())
        left_s = ends_at - self._clock.now()
        if left_s <= 0:
            return HttpReply(0, NO_HEADERS, b"", TIMEOUT)
        reply = await super().call(method, url, timeout_s=left_s, **options)
        back_s = self._delay_s()
        left_s = ends_at - self._clock.now()
        if reply.failure or back_s <= left_s:
            await asyncio.sleep(0.0 if reply.failure else back_s)
            return reply
        await asyncio.sleep(left_s)
        return HttpReply(0, NO_HEADERS, b"", TIMEOUT)


class Callers:
    """Our client, and the count of what became of its operations."""

    def __init__(self, env: Env) -> None:
        self.env = env
        self.client = ManagedIdentityClient(env)
        self.started = self.succeeded = self.attempts = 0

    async def call(self, tenant: str = "caller") -> CallResult:
        """One operation, counted when it ends."""
        self.started += 1
        result = await self.client.token(tenant, REGION, "", RESOURCE)
        self.succeeded += result.ok
        self.attempts += result.attempts
        return result

    def __repr__(self) -> str:
        return f"<Callers {self.succeeded}/{self.started} succeeded, {self.attempts} attempts>"
