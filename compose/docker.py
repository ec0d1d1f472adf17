"""The compose runtime: instances are containers of one compose project, controlled through the Docker engine.

Works inside the project (the controller, where names resolve) and on its host (published ports). The testbed outlives
runs: `start` resets it by killing every instance, emptying Redis and starting the instances again, so that no state
remains in any process. `stop` reverts what the run changed in containers and leaves the testbed up.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from redis.exceptions import RedisError, WatchError

from compose import docker_stack
from compose.docker_engine import HOST, PAUSED, DockerContainer, DockerEngine
from compose.run_lease import RunLease
from compose.runtime import Cut, InstanceDown, RuntimeUnavailable, ScrapeTarget, UnknownInstance
from compose.topology import PORT, SCALABLE, InstanceSpec, Topology, newest_nodes, next_nodes
from services.chassis.access import shared_secret
from services.chassis.background import Background
from services.chassis.clock import system_clock
from services.chassis.endings import finish_all
from services.chassis.env import Peers
from services.chassis.events import Events, Sink
from services.chassis.http import HttpClient
from services.chassis.live import announce
from services.chassis.process import real_session
from services.chassis.settings import Tree, merge
from services.chassis.store import Keys, Store, connect

REDIS, REDIS_PORT = "redis", 6379
READY_TIMEOUT_S = 90.0
READY_POLL_S = 0.25
LAST_LINES_S = 0.5
OBSERVE_S = 1.0
STALL_GRACE_S = 1.0


class DockerRuntime:
    """Implements `compose.runtime.Runtime` on containers; the only runtime with CPU limits."""

    name = "compose"
    events_in_store = True

    def __init__(self, project: str | None = None, *, engine: DockerEngine | None = None) -> None:
        located, self._inside = docker_stack.locate()
        self.engine = engine or DockerEngine(project or located)
        self.clock = system_clock()
        self.http = HttpClient(real_session())
        self.peers = Peers()
        self.secret = ""
        self.store: Store = connect(f"redis://{REDIS}:{REDIS_PORT}/0")
        self._lease: RunLease | None = None
        self._observer: Background | None = None
        self._active: dict[str, DockerContainer] = {}
        self._leaving: set[str] = set()
        """Removed nodes until they are seen stopped: `observe` may look meanwhile."""

    # Life cycle of a run

    async def start(self, topology: Topology, tree: Tree, seed: int, sink: Sink) -> None:
        """`sink` is used for events of this runtime only: event lines of processes go to the store's stream."""
        await self.attach(topology)
        lease = self._new_lease(sink)
        await lease.acquire()
        self._lease = lease  # set only now: `stop` reverts the changes of a run, and a refused run made none
        await self._make_reachable()
        await self._start_afresh(lease, topology, tree, seed)

    def _new_lease(self, sink: Sink) -> RunLease:
        return RunLease(self.store, Background(self.clock, Events(sink, self.clock, self.name).emit))

    async def until_lost(self) -> None:
        if self._lease is not None:
            await self._lease.until_lost()
        await asyncio.Event().wait()

    async def attach(self, topology: Topology) -> None:
        """Finds the testbed and connects to its Redis. On the host, brings up missing services first.

        Raises:
            RuntimeUnavailable: services are missing (named in the message) or not ready in time.
        """
        needed = {REDIS, *(spec.name for spec in topology.instances())} & set(docker_stack.services())
        missing = needed - {container.name for container in await self.engine.containers()}
        if missing and self._inside:
            raise RuntimeUnavailable(
                f"the testbed {self.engine.project!r} has no {', '.join(sorted(missing))}; start it: docker compose up"
            )
        if not self._inside and REDIS not in missing:
            missing |= set() if REDIS_PORT in ((await self.engine.find(REDIS)).host_ports or {}) else {REDIS}
        if missing:
            await docker_stack.bring_up(self.engine.project, sorted(missing))
        await self._revive_others()
        if not self._inside:
            redis = await self.engine.find(REDIS)
            await self.store.aclose()
            self.store = connect(f"redis://{HOST}:{(redis.host_ports or {})[REDIS_PORT]}/0")
        await self._until(lambda: _pings(self.store), "Redis")
        self.secret = await shared_secret(self.store)
        await self.refresh()

    async def _revive_others(self) -> None:
        """Starts or unpauses the containers of the compose file that are not instances, Redis above all."""
        declared = docker_stack.services()
        for container in await self.engine.containers():
            if container.spec or container.partition or container.compose_service not in declared:
                continue
            await self.engine.unpause(container)
            if not container.alive:
                await self.engine.start(container)

    async def reset(self, topology: Topology, tree: Tree, seed: int = 1) -> None:
        """Resets the testbed from any state: no faults, no added nodes, empty store, new processes, these settings.

        A run of another process loses its lease and ends.
        """
        await self._make_reachable()
        lease = self._new_lease(lambda _event: None)
        await lease.seize()
        try:
            await self._start_afresh(lease, topology, tree, seed)
        finally:
            await lease.release()

    async def _make_reachable(self) -> None:
        await self.restore()
        await self._revive_others()
        await self._until(lambda: _pings(self.store), "Redis")

    async def _start_afresh(self, lease: RunLease, topology: Topology, tree: Tree, seed: int) -> None:
        wanted = {spec.name: spec for spec in topology.instances()}
        present = {c.name: c for c in await self.engine.containers() if c.spec}
        await self._all(self.engine.kill(container) for container in present.values())
        left_out = {c.spec.region for c in present.values() if c.spec} - {region.name for region in topology.regions}
        await self._fill_store(lease, merge(_no_load(left_out), topology.settings(tree)), seed)
        await self._all(self.engine.start(present[name]) for name in wanted if name in present)
        await self._all(self._add(spec) for name, spec in wanted.items() if name not in present)
        await self._refresh(wanted)
        await self._all(self._ready(name) for name in wanted)

    async def _fill_store(self, lease: RunLease, tree: Tree, seed: int) -> None:
        """Empties the store and writes settings, seed and secret. Refuses if another run holds the lease."""
        while True:
            async with self.store.pipeline(transaction=True) as pipe:
                await lease.require(pipe)
                pipe.flushdb()
                pipe.set(Keys.OVERLAY, json.dumps(tree, sort_keys=True))
                pipe.set(Keys.SEED, seed)
                pipe.set(Keys.SECRET, self.secret)
                lease.write(pipe)
                with suppress(WatchError):  # the lease was renewed meanwhile: try again
                    await pipe.execute()
                    return

    async def restore(self) -> None:
        """Reverts all changes to containers: pauses, CPU limits, partitions, added nodes."""
        containers = await self.engine.containers()
        reverts = [partial(self._revert, container) for container in containers]
        await finish_all(*reverts, self.engine.unmark_stall, self._lift_cpu_limits)

    async def _revert(self, container: DockerContainer) -> None:
        if container.added:
            await self.engine.remove(container)
        elif container.partition:
            await self._end_partition(container)
        elif container.state == PAUSED:
            await self.engine.unpause(container)

    async def _lift_cpu_limits(self) -> None:
        instances = [container for container in await self.engine.containers() if container.spec]
        await self._all(self.engine.limit_cpu(container, None) for container in instances)

    async def stop_instances(self) -> None:
        """Leaves the containers running, and waits until they have written their last event lines."""
        await asyncio.sleep(LAST_LINES_S)

    async def stop(self) -> None:
        lease, self._lease = self._lease, None
        observer, self._observer = self._observer, None
        ours = lease is not None and not lease.lost  # after a lost lease the testbed belongs to another run
        reverts = (self.restore, self._start_dead_instances, self._delete_settings) if ours else ()
        await finish_all(
            *reverts,
            *([lease.release] if lease is not None else []),
            *([observer.stop] if observer is not None else []),
            self.store.aclose,
            self.http.close,
            self.engine.close,
        )

    async def _start_dead_instances(self) -> None:
        await self._all(self.engine.start(c) for c in await self.engine.containers() if c.spec and not c.alive)

    async def _delete_settings(self) -> None:
        with suppress(RedisError, OSError):
            await self.store.delete(Keys.OVERLAY)
            await announce(self.store, "settings")

    # Running instances

    def instances(self) -> Sequence[InstanceSpec]:
        return [container.spec for container in self._active.values() if container.spec]

    def targets(self) -> Sequence[ScrapeTarget]:
        return [ScrapeTarget(c.spec, url=self._url(c)) for c in self._active.values() if c.spec]

    def _url(self, container: DockerContainer) -> str:
        if self._inside:
            return f"http://{container.name}:{PORT}"
        return f"http://{HOST}:{(container.host_ports or {}).get(PORT, 0)}"

    async def refresh(self) -> None:
        """Updates the list of running instances. Both a run and the controller start and stop containers."""
        running = {container.name for container in await self.engine.containers() if container.spec and container.alive}
        self._leaving &= running
        running -= self._leaving
        await self._refresh([*(name for name in self._active if name not in running), *sorted(running)])

    async def observe(self, background: Background) -> None:
        """Keeps `instances`, `targets` and `peers` current from now on, until `stop`."""
        await self.refresh()
        self._observer = background.scope()
        self._observer.keep(self._observe, "observer of containers")

    async def _observe(self) -> None:
        while True:
            await asyncio.sleep(OBSERVE_S)
            with suppress(RuntimeUnavailable):
                await self.refresh()

    async def _refresh(self, names: Iterable[str]) -> None:
        """Reads addresses and ports again: the published port of an added node changes with every start."""
        present = {container.name: container for container in await self.engine.containers() if container.spec}
        self._active = {name: present[name] for name in names if name in present}
        specs = [container.spec for container in self._active.values() if container.spec]
        urls = {f"{s.service}/{s.region}": self._url(self._active[s.name]) for s in specs if s.service != SCALABLE}
        self.peers = Peers(urls)

    async def _ready(self, name: str) -> None:
        url = self._url(self._active[name])

        async def probe() -> bool:
            return (await self.http.call("GET", f"{url}/readyz", timeout_s=2.0)).ok

        try:
            await self._until(probe, name)
        except RuntimeUnavailable as error:
            raise RuntimeUnavailable(
                f"{error}; its log ends: {await self.engine.log_tail(self._active[name])}"
            ) from None

    async def _until(self, probe: Callable[[], Awaitable[bool]], what: str) -> None:
        deadline = self.clock.now() + READY_TIMEOUT_S
        while self.clock.now() < deadline:
            if await probe():
                return
            await asyncio.sleep(READY_POLL_S)
        raise RuntimeUnavailable(f"{what} was not ready within {READY_TIMEOUT_S:.0f} s")

    @staticmethod
    async def _all(work: Iterable[Awaitable[Any]]) -> None:
        """Runs all concurrently, waits for all, then raises the first error: a failure does not stop the others."""
        for result in await asyncio.gather(*work, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    # Acting on instances

    async def add_nodes(self, region: str, count: int) -> Sequence[InstanceSpec]:
        specs = next_nodes([c.spec for c in await self.engine.containers() if c.spec], region, count)
        await self._all(self._add(spec) for spec in specs)
        await self._refresh([*self._active, *(spec.name for spec in specs)])
        await self._all(self._ready(spec.name) for spec in specs)
        return specs

    async def _add(self, spec: InstanceSpec) -> None:
        known = [container for container in await self.engine.containers() if container.spec and not container.added]
        siblings = [c for c in known if c.spec and (c.spec.service, c.spec.region) == (spec.service, spec.region)]
        if not siblings:
            regions = sorted({container.spec.region for container in known if container.spec and container.spec.region})
            raise RuntimeUnavailable(
                f"the testbed has no {spec.service} in {spec.region}; regions: {', '.join(regions)}"
            )
        await self.engine.add_like(siblings[0], spec)

    async def remove_nodes(self, region: str, count: int) -> Sequence[InstanceSpec]:
        """Nodes of the compose file are stopped, not removed; the next reset starts them again."""
        newest = newest_nodes(self.instances(), region, count)
        self._leaving |= {spec.name for spec in newest}
        await self._all(self._retire(self._active.pop(spec.name)) for spec in newest)
        return newest

    async def _retire(self, container: DockerContainer) -> None:
        now = await self.engine.find(container.name)
        await (self.engine.kill if now.state == PAUSED else self.engine.stop)(now)  # a paused one handles no SIGTERM
        if container.added:
            await self.engine.remove(container)

    async def started(self, name: str) -> str:
        return str((await self.engine.inspect(await self.engine.find(name)))["State"]["StartedAt"])

    async def kill(self, name: str) -> None:
        await self.engine.kill(await self._find(name))

    async def revive(self, name: str) -> None:
        container = await self._find(name)
        if container.alive:
            return
        await self.engine.start(container)
        await self._refresh([*self._active, name])  # one that was down at the start of this process is not listed
        await self._ready(name)

    async def pause(self, name: str) -> None:
        container = await self._find(name)
        if not container.alive:
            raise InstanceDown(f"{name}: is not running")
        await self.engine.pause(container)

    async def resume(self, name: str) -> None:
        await self.engine.unpause(await self._find(name))

    async def cpu_limit(self, name: str, cpus: float | None) -> None:
        """Limits the instance to `cpus` CPUs; None removes the limit."""
        await self.engine.limit_cpu(await self._find(name), cpus)

    async def stall_store(self, left_s: float) -> None:
        """Pauses Redis: connections stay open and get no answers.

        The engine keeps the end of the lease, for when this process dies: nobody can read the store then.
        """
        redis = await self.engine.find(REDIS)
        if left_s:
            await self.engine.mark_stall(redis, self.clock.epoch() + left_s)
            await self.engine.pause(redis)
        else:
            await self.engine.unpause(redis)
            await self.engine.unmark_stall()

    async def end_overdue_stall(self) -> None:
        if self.clock.epoch() > await self.engine.stalled_until() + STALL_GRACE_S:
            await self.stall_store(0.0)

    async def partition(self, name: str, cuts: Sequence[Cut]) -> None:
        """Drops packets to the peers, which stops TCP in both directions. Patterns also match `redis`.

        A cut ends on request, or after its lease even if this process has died.
        """
        victim = await self._find(name)
        containers = await self.engine.containers()
        labels = {f"{name}>{cut.peer}@{cut.id}": cut for cut in cuts}
        there = {helper.partition: helper for helper in containers if helper.partition.startswith(f"{name}>")}
        await self._all(self._end_partition(there[label]) for label in there if label not in labels)
        missing = {label: cut for label, cut in labels.items() if label not in there}
        if missing and not victim.alive:
            raise InstanceDown(f"{name}: is not running")
        await self._all(self._cut(victim, containers, label, cut) for label, cut in missing.items())

    async def _cut(self, victim: DockerContainer, containers: Sequence[DockerContainer], label: str, cut: Cut) -> None:
        addresses = [peer.address for peer in _peers(containers, victim, cut.peer)]
        await self.engine.cut(victim, label, addresses, cut.lease_s)

    async def _end_partition(self, helper: DockerContainer) -> None:
        """Stops the helper container, which restores the addresses and removes itself."""
        with suppress(RuntimeUnavailable):
            await self.engine.stop(helper)

    async def _find(self, name: str) -> DockerContainer:
        known = {container.name: container for container in await self.engine.containers() if container.spec}
        if name not in known:
            raise UnknownInstance(f"unknown instance {name!r}; known: {', '.join(known)}")
        return known[name]


def _peers(containers: Iterable[DockerContainer], victim: DockerContainer, pattern: str) -> list[DockerContainer]:
    others = [c for c in containers if not c.partition and c.name != victim.name]
    found = [container for container in others if fnmatchcase(container.name, pattern)]
    if not found:
        raise UnknownInstance(f"no other instance matches {pattern!r}; known: {', '.join(c.name for c in others)}")
    alive = [container for container in found if container.address and container.alive]
    if not alive:
        raise InstanceDown(f"{victim.name}: no instance that matches {pattern!r} is running")
    return alive


async def _pings(store: Store) -> bool:
    with suppress(RedisError, OSError):
        return bool(await store.ping())
    return False


def _no_load(regions: Iterable[str]) -> Tree:
    """No users in regions of the compose file that the topology lacks: none of their nodes would answer."""
    none = {"token_rate_per_s": 0.0, "job_rate_per_s": 0.0}
    return {"loadgen": {"regions": dict.fromkeys(sorted(regions), none)}}
