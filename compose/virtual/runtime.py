"""The virtual runtime: every instance in one process, on the virtual loop, over the in-memory network."""

import asyncio
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from aiohttp import web

from compose.runtime import Cut, InstanceDown, RuntimeUnavailable, ScrapeTarget, UnknownInstance
from compose.topology import PORT, InstanceSpec, Topology, app_factory, newest_nodes, next_nodes
from compose.virtual.net.links import LinkFault
from compose.virtual.world import Served, VirtualWorld
from services.chassis.clock import Clock
from services.chassis.endings import finish_all
from services.chassis.env import Env, Peers, make_env
from services.chassis.events import Sink
from services.chassis.http import HttpClient
from services.chassis.registry import Instance
from services.chassis.settings import Tree
from services.chassis.tracing import NO_TRACING, Tracing

OPERATOR_HOST = "operator"
MakeTracing = Callable[[Instance, Clock, int], Tracing]
"""The tracing of an instance that starts: its name, the clock of the run, the seed."""
STALL_S = 86_400.0
SECRET = "secret of the simulated testbed"
"""Not confidential: a simulation has no real endpoint."""


def no_tracing(_instance: Instance, _clock: Clock, _seed: int) -> Tracing:
    return NO_TRACING


@dataclass
class _Running:
    spec: InstanceSpec
    env: Env
    served: Served


class VirtualRuntime:
    """Implements `compose.runtime.Runtime` over a `VirtualWorld`."""

    name = "virtual"
    events_in_store = False
    started = None
    secret = SECRET

    def __init__(self, world: VirtualWorld, make_tracing: MakeTracing = no_tracing) -> None:
        self._world = world
        self._make_tracing = make_tracing
        self.clock = Clock(world.loop.time, world.epoch_s)
        self.http = HttpClient(world.session(OPERATOR_HOST))
        self.store = world.redis.client()
        self.peers = Peers()
        self._running: dict[str, _Running] = {}
        self._partitions: dict[tuple[str, str], tuple[LinkFault, LinkFault]] = {}
        self._tree: Tree = {}
        self._seed = 0
        self._sink: Sink = lambda _event: None

    async def start(self, topology: Topology, tree: Tree, seed: int, sink: Sink) -> None:
        self._tree, self._seed, self._sink = topology.settings(tree), seed, sink
        for spec in topology.instances():
            await self._start(spec)

    async def _start(self, spec: InstanceSpec) -> None:
        instance = Instance(spec.service, spec.region, spec.name, f"http://{spec.name}:{PORT}")
        tracing = self._make_tracing(instance, self.clock, self._seed)
        env = make_env(
            instance,
            seed=self._seed,
            clock=self.clock,
            http=tracing.client(self._world.session(spec.name)),
            store=self._world.redis.client(),
            sink=self._sink,
            tree=self._tree,
            peers=self.peers,
            secret=self.secret,
            tracing=tracing,
        )
        served = await self._world.serve(app_factory(spec.service)(env), spec.name, PORT)
        self._running[spec.name] = _Running(spec, env, served)

    async def until_lost(self) -> None:
        """Never returns: no external process can stop a simulation."""
        await asyncio.Event().wait()

    async def stop_instances(self) -> None:
        leaving = list(reversed(self._running.values()))
        self._running.clear()
        await finish_all(*(running.served.stop for running in leaving))

    async def stop(self) -> None:
        await self.stop_instances()

    def instances(self) -> Sequence[InstanceSpec]:
        return [running.spec for running in self._running.values()]

    def targets(self) -> Sequence[ScrapeTarget]:
        return [ScrapeTarget(running.spec, metrics=running.env.metrics) for running in self._running.values()]

    def applications(self) -> Sequence[tuple[InstanceSpec, Env, web.Application]]:
        """Spec, environment and aiohttp application of every running instance, for inspection in tests and reports."""
        return [(running.spec, running.env, running.served.app) for running in self._running.values()]

    async def add_nodes(self, region: str, count: int) -> Sequence[InstanceSpec]:
        specs = next_nodes(self.instances(), region, count)
        for spec in specs:
            await self._start(spec)
        return specs

    async def remove_nodes(self, region: str, count: int) -> Sequence[InstanceSpec]:
        newest = newest_nodes(self.instances(), region, count)
        for spec in newest:
            running = self._running.pop(spec.name)
            if running.served.process.state == "frozen":
                running.served.kill()  # a frozen process does not handle SIGTERM
            await running.served.stop()
            self._end_partitions(spec.name)
        return newest

    async def kill(self, name: str) -> None:
        self._find(name).served.kill()

    async def revive(self, name: str) -> None:
        running = self._find(name)
        if running.served.process.state == "dead":
            await self._start(running.spec)

    async def pause(self, name: str) -> None:
        served = self._find(name).served
        if served.process.state == "dead":
            raise InstanceDown(f"{name}: is not running")
        served.freeze()

    async def resume(self, name: str) -> None:
        self._find(name).served.thaw()

    async def partition(self, name: str, cuts: Sequence[Cut]) -> None:
        self._find(name)
        wanted = {(name, cut.id): cut for cut in cuts}
        self._end_partitions(name, wanted)
        for key, cut in wanted.items():
            if key not in self._partitions:
                if not any(fnmatchcase(other, cut.peer) for other in self._running if other != name):
                    raise self._unknown(cut.peer)
                self._partitions[key] = self._world.network.partition(name, cut.peer)

    def _end_partitions(self, name: str, wanted: Container[tuple[str, str]] = ()) -> None:
        for key in [key for key in self._partitions if key[0] == name and key not in wanted]:
            for fault in self._partitions.pop(key):
                self._world.network.stop_fault(fault)

    async def cpu_limit(self, name: str, cpus: float | None) -> None:
        self._find(name)
        if cpus is None:
            return
        raise RuntimeUnavailable(
            "virtual time has no CPU cost; use compose, or raise a node's service time in its settings"
        )

    async def stall_store(self, left_s: float) -> None:
        if left_s:
            self._world.redis.stall(STALL_S)
        else:
            self._world.redis.release()

    async def end_overdue_stall(self) -> None:
        return

    def _find(self, name: str) -> _Running:
        running = self._running.get(name)
        if running is None:
            raise self._unknown(name)
        return running

    def _unknown(self, name: str) -> UnknownInstance:
        return UnknownInstance(f"unknown instance {name!r}; known: {', '.join(sorted(self._running))}")
