"""A small identity service under a storm: a router or a pair of them, nodes, and callers that were blocked.

    bench = Bench(world, tree={"identity": {"bounded": True}}, nodes=2)
    await bench.start()
    await bench.storm(until=30.0)
    assert bench.success(20.0, 30.0) == 1.0

The storm is the incident's, made small: steady token traffic at 40 % of capacity, and from `released_at` on as many
jobs as want three identity calls each, which come back after a fixed delay when one of them fails. Everything is real
except the jobs, which are loops here because the provisioner is tested elsewhere.
"""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

from compose.topology import PORT, app_factory
from compose.virtual.world import Served, VirtualWorld
from services.chassis.clock import Clock
from services.chassis.env import Env, Peers, make_env
from services.chassis.http import HttpClient
from services.chassis.live import announce
from services.chassis.registry import Instance
from services.chassis.settings import Tree, merge
from services.chassis.store import Keys
from services.clients.identity.client import CallResult, ManagedIdentityClient
from services.identity.app import NODE
from services.identity.node import Node
from services.router.app import ROUTER
from services.router.handlers import Router

EAST, WEST = "eastus", "westus"
CALLER = "caller"
RESOURCE = "https://management.azure.com/"
TOKENS_PER_S = 8.0
JOBS = 50
CALLS_PER_JOB = 3
REQUEUE_S = 5.0
RELEASED_AT = 5.0


@dataclass
class Bench:
    """The service in one region, or in a pair of them, with one process of callers."""

    world: VirtualWorld
    tree: Tree = field(default_factory=dict)
    nodes: int = 2
    regions: tuple[str, ...] = (EAST,)
    warm: bool = True
    seed: int = 1

    def __post_init__(self) -> None:
        self.clock = Clock(self.world.loop.time, self.world.epoch_s)
        self.store = self.world.redis.client()
        self.events: list[dict[str, Any]] = []
        self.routers: dict[str, Router] = {}
        self.node: dict[str, Node] = {}
        self.envs: dict[str, Env] = {}
        self.served: dict[str, Served] = {}
        self.results: list[tuple[float, str, CallResult]] = []
        self._tasks: list[asyncio.Task[Any]] = []

    async def start(self) -> None:
        for region in self.regions:
            for number in range(1, self.nodes + 1):
                await self.add_node(region, number)
        for region in self.regions:
            _, app = await self._serve("router", region, f"router-{region}")
            self.routers[region] = app[ROUTER]
        self.env = self._env("loadgen", "", CALLER)
        self.client = ManagedIdentityClient(self.env)
        self._background(self.env.live.follow())
        await asyncio.sleep(0.0)

    async def add_node(self, region: str, number: int) -> Node:
        name = f"identity-{region}-{number}"
        _, app = await self._serve("identity", region, name)
        self.node[name] = app[NODE]
        return self.node[name]

    async def _serve(self, service: str, region: str, name: str) -> tuple[Env, Any]:
        env = self._env(service, region, name)
        app = app_factory(service)(env)
        self.served[name] = await self.world.serve(app, name, PORT)
        return env, app

    def _env(self, service: str, region: str, name: str) -> Env:
        implied: Tree = {"identity": {"warm_at_start": self.warm}}
        if len(self.regions) == 2:
            one, other = self.regions
            implied["regions"] = {one: {"router": {"pair": other}}, other: {"router": {"pair": one}}}
        env = make_env(
            Instance(service, region, name, f"http://{name}:{PORT}"),
            seed=self.seed,
            clock=self.clock,
            http=HttpClient(self.world.session(name)),
            store=self.world.redis.client(),
            sink=self.events.append,
            tree=merge(implied, self.tree),
            peers=Peers(),
        )
        self.envs[name] = env
        return env

    def _background(self, work: Any) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(work))

    async def switch(self, overlay: Tree) -> None:
        """What the controller does when somebody switches a mitigation."""
        await self.store.set(Keys.OVERLAY, json.dumps(overlay))
        await announce(self.store, "settings")

    # --- callers -------------------------------------------------------------------------------------

    async def token(self, tenant: str, region: str = EAST, client_id: str = "", *, backlog: bool = False) -> CallResult:
        result = await self.client.token(tenant, region, client_id, RESOURCE, backlog=backlog)
        self.results.append((self.clock.now(), tenant, result))
        return result

    def tokens(self, tenant: str, rate_per_s: float, *, until: float, since: float = 0.0) -> None:
        """Open-loop traffic: evenly spaced, whether or not the earlier ones were answered."""

        async def arrive() -> None:
            for number in range(round((until - since) * rate_per_s)):
                await asyncio.sleep(max(0.0, since + number / rate_per_s - self.clock.now()))
                self._background(self.token(tenant))

        self._background(arrive())

    def job(self, number: int, *, until: float) -> None:
        """A job that was blocked: it needs three calls in a row, and comes back when one fails."""

        async def run() -> None:
            tries, left = 0, CALLS_PER_JOB
            while left and self.clock.now() < until:
                result = await self.token("jobs", backlog=tries > 0)
                left -= result.ok
                if not result.ok:
                    tries += 1
                    await asyncio.sleep(REQUEUE_S)

        self._background(run())

    async def storm(self, until: float) -> None:
        """Returns at `until`."""
        self.tokens("tokens", TOKENS_PER_S, until=until)
        await self.sleep_until(RELEASED_AT)
        for number in range(JOBS):
            self.job(number, until=until)
        await self.sleep_until(until)

    async def sleep_until(self, t: float) -> None:
        await asyncio.sleep(max(0.0, t - self.clock.now()))

    # --- what came of it -----------------------------------------------------------------------------

    def success(self, start: float, end: float, tenant: str | None = None) -> float:
        """Share of operations that ended well in the window."""
        ended = [r.ok for at, who, r in self.results if start <= at < end and tenant in (None, who)]
        return sum(ended) / len(ended) if ended else 0.0

    def counted(self, name: str, instance: str = CALLER, **labels: str) -> float:
        """The sum of a counter over the series of an instance (a prefix) that carry these labels."""
        return sum(env.metrics.total(name, **labels) for who, env in self.envs.items() if who.startswith(instance))

    @property
    def amplification(self) -> float:
        """Attempts for each operation, over the whole run."""
        started = self.counted("identity_client_operations_started_total")
        return self.counted("identity_client_attempts_total", layer="sdk") / started

    def rejected(self, reason: str) -> float:
        return self.counted("identity_rejected_total", "identity", reason=reason)


async def stormed(world: VirtualWorld, tree: Tree, *, until: float = 25.0, **options: Any) -> Bench:
    """A bench after the storm."""
    bench = Bench(world, tree, **options)
    await bench.start()
    await bench.storm(until)
    return bench


def run(tree: Tree, **options: Any) -> Bench:
    """The same in a world of its own, for tests that are not coroutines; figures can be read afterwards."""
    world = VirtualWorld(seed=1, transport="direct")
    return world.run(stormed(world, tree, **options))
