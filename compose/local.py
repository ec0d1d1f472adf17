"""The local runtime: one operating-system process per instance on this machine, real sockets, no Docker.

Redis is the `redis-server` of the machine if there is one, else an embedded server. Every process is a child of this
one and is killed when it ends (`children.py`).
"""

import asyncio
import json
import os
import shutil
import signal
import socket
from collections import defaultdict
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from redis.exceptions import RedisError

from compose.children import Child, end, python
from compose.runtime import Cut, InstanceDown, RuntimeUnavailable, ScrapeTarget, UnknownInstance
from compose.scratch import scratch_folder
from compose.topology import InstanceSpec, Topology, newest_nodes, next_nodes
from services.chassis.clock import system_clock
from services.chassis.endings import finish_all
from services.chassis.env import Peers
from services.chassis.environment import variable
from services.chassis.events import Sink
from services.chassis.http import HttpClient
from services.chassis.process import real_session
from services.chassis.settings import Tree
from services.chassis.store import Store, connect
from services.chassis.streams import secret_token

HOST = "127.0.0.1"
READY_TIMEOUT_S = 90.0
READY_POLL_S = 0.1
SPARE_PORTS = 64


@dataclass
class _Instance:
    spec: InstanceSpec
    port: int
    process: Child
    paused: bool = False

    @property
    def alive(self) -> bool:
        return self.process.returncode is None

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"


class LocalRuntime:
    """Implements `compose.runtime.Runtime` with child processes. One log file per instance is written to `logs`."""

    name = "local"
    events_in_store = True
    started = None

    def __init__(self, logs: Path | None = None) -> None:
        self._stack = ExitStack()
        self._logs = logs or self._stack.enter_context(scratch_folder())
        self._logs.mkdir(parents=True, exist_ok=True)
        self.clock = system_clock()
        self.http = HttpClient(real_session())
        self.peers = Peers()
        self._redis_port = free_ports(1)[0]
        self._redis_url = f"redis://{HOST}:{self._redis_port}/0"
        self.store: Store = connect(self._redis_url)
        self._redis: Child | None = None
        self._children: dict[str, _Instance] = {}
        self._reviving: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._spare: list[int] = []
        self.secret = secret_token()
        self._tree: Tree = {}
        self._seed = 0

    async def start(self, topology: Topology, tree: Tree, seed: int, sink: Sink) -> None:
        """`sink` is not called: the event lines of processes go to the store's stream."""
        self._tree, self._seed = topology.settings(tree), seed
        await self._start_redis()
        specs = topology.instances()
        ports = free_ports(len(specs) + SPARE_PORTS)
        self._spare = ports[len(specs) :]
        named = dict(zip(specs, ports, strict=False))
        self.peers = Peers({f"{spec.service}/{spec.region}": f"http://{HOST}:{port}" for spec, port in named.items()})
        for spec, port in named.items():
            self._spawn(spec, port)
        await asyncio.gather(*(self._ready(child) for child in self._children.values()))

    async def _start_redis(self) -> None:
        redis = self._redis = Child("Redis", redis_command(self._redis_port), self._logs / "redis.log")
        await self._answers(self.store.ping, redis)

    def _spawn(self, spec: InstanceSpec, port: int) -> None:
        values: dict[str, Any] = {
            "region": spec.region,
            "instance": spec.name,
            "redis_url": self._redis_url,
            "url": f"http://{HOST}:{port}",
            "host": HOST,
            "port": port,
            "seed": self._seed,
            "settings": json.dumps(self._tree),
            "peers": json.dumps(dict(self.peers.urls)),
            "project_secret": self.secret,
            "echo": False,  # a log file has no bound, unlike that of a container: 1 GB a day
        }
        environment = {**os.environ, **{variable(name): str(value) for name, value in values.items()}}
        log = self._logs / f"{spec.name}.log"
        self._children[spec.name] = _Instance(spec, port, Child(spec.name, python("-m", spec.module), log, environment))

    async def _ready(self, child: _Instance) -> None:
        async def probe() -> bool:
            return (await self.http.call("GET", f"{child.url}/readyz", timeout_s=2.0)).ok

        await self._answers(probe, child.process)

    async def _answers(self, probe: Any, child: Child) -> None:
        """Waits until `probe` succeeds. Raises RuntimeUnavailable on a timeout, or at once if the child has ended."""
        deadline = self.clock.now() + READY_TIMEOUT_S
        while self.clock.now() < deadline:
            if child.returncode is not None:
                raise RuntimeUnavailable(child.exit_summary())
            with suppress(RedisError, OSError):
                if await probe():
                    return
            await asyncio.sleep(READY_POLL_S)
        raise RuntimeUnavailable(f"{child.name} was not ready within {READY_TIMEOUT_S:.0f} s; {child.exit_summary()}")

    async def until_lost(self) -> None:
        """Never returns: no other run can take over these processes."""
        await asyncio.Event().wait()

    async def stop_instances(self) -> None:
        await end([child.process for child in self._children.values()])
        self._children.clear()

    async def stop(self) -> None:
        redis = [self._redis] if self._redis is not None else []
        await finish_all(self.stop_instances, self.store.aclose, lambda: end(redis), self.http.close, self._stack.close)

    def instances(self) -> Sequence[InstanceSpec]:
        return [child.spec for child in self._children.values()]

    def targets(self) -> Sequence[ScrapeTarget]:
        return [ScrapeTarget(child.spec, url=child.url) for child in self._children.values()]

    async def add_nodes(self, region: str, count: int) -> Sequence[InstanceSpec]:
        specs = next_nodes(self.instances(), region, count)
        for spec in specs:
            self._spawn(spec, self._spare.pop())
        await asyncio.gather(*(self._ready(self._children[spec.name]) for spec in specs))
        return specs

    async def remove_nodes(self, region: str, count: int) -> Sequence[InstanceSpec]:
        newest = newest_nodes(self.instances(), region, count)
        leaving = [self._children.pop(spec.name) for spec in newest]
        for child in leaving:
            if child.paused and child.alive:
                child.process.kill()  # a stopped process does not handle SIGTERM
        await end([child.process for child in leaving])
        self._spare += [child.port for child in leaving]
        return newest

    async def kill(self, name: str) -> None:
        child = self._find(name)
        if child.alive:
            child.process.kill()
            await child.process.wait()

    async def revive(self, name: str) -> None:
        """Serialised per instance: a second process on the same port would outlive this runtime."""
        async with self._reviving[name]:
            child = self._find(name)
            if not child.alive:
                self._spawn(child.spec, child.port)
                await self._ready(self._children[name])

    async def pause(self, name: str) -> None:
        child = self._find(name)
        if not child.alive:
            raise InstanceDown(f"{name}: is not running")
        child.process.send_signal(signal.SIGSTOP)
        child.paused = True

    async def resume(self, name: str) -> None:
        child = self._find(name)
        if child.alive:
            child.process.send_signal(signal.SIGCONT)
        child.paused = False

    async def partition(self, name: str, cuts: Sequence[Cut]) -> None:
        self._find(name)
        if cuts:
            raise RuntimeUnavailable("processes on loopback cannot be partitioned; use virtual or compose")

    async def cpu_limit(self, name: str, cpus: float | None) -> None:
        self._find(name)
        if cpus is not None:
            raise RuntimeUnavailable("processes without a container have no CPU limit; use compose")

    async def stall_store(self, left_s: float) -> None:
        if self._redis is not None:
            self._redis.send_signal(signal.SIGSTOP if left_s else signal.SIGCONT)

    async def end_overdue_stall(self) -> None:
        return

    def _find(self, name: str) -> _Instance:
        child = self._children.get(name)
        if child is None:
            raise UnknownInstance(f"unknown instance {name!r}; known: {', '.join(sorted(self._children))}")
        return child


def redis_command(port: int) -> list[str]:
    """The command of a Redis without persistence on `HOST`: the machine's own if installed, else the embedded one."""
    server = shutil.which("redis-server")
    if server is None:
        return python("-m", "compose.embedded_redis", str(port))
    return [server, "--port", str(port), "--bind", HOST, "--save", "", "--appendonly", "no"]


def free_ports(count: int) -> list[int]:
    """Distinct free TCP ports: all are bound at the same time before any is released."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for held in sockets:
            held.bind((HOST, 0))
        return [held.getsockname()[1] for held in sockets]
    finally:
        for held in sockets:
            held.close()
