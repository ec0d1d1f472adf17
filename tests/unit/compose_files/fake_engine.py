"""A Docker engine whose containers are entries of a dict, and the compose runtime over it."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from compose.docker import DockerRuntime
from compose.docker_engine import DockerContainer
from compose.topology import InstanceSpec, RegionSpec, Topology
from services.chassis.clock import Clock
from services.chassis.http import HttpReply

TOPOLOGY = Topology((RegionSpec("eastus", "East US", identity_nodes=2),), loadgen=False)


class FakeEngine:
    """Containers in a dict, and a diary of what was done to them."""

    project = "test"

    def __init__(self, specs: Sequence[InstanceSpec]) -> None:
        self.known = {spec.name: _container(spec, number) for number, spec in enumerate(specs)}
        self.known["redis"] = DockerContainer("redis", "redis", "running", address="10.0.0.2", host_ports={6379: 8079})
        self.diary: list[tuple[str, ...]] = []
        self.starts: Counter[str] = Counter()
        self.stall_mark = math.inf
        self.changed: Callable[[str, str], None] = lambda _name, _state: None

    async def inspect(self, container: DockerContainer) -> dict[str, Any]:
        return {"State": {"StartedAt": f"start {self.starts[container.name]}"}}

    def restart(self, name: str) -> None:
        """What the engine does by its restart policy, or a user: a new process, which is not paused."""
        self.starts[name] += 1
        self.known[name] = replace(self.known[name], state="running")

    async def containers(self) -> list[DockerContainer]:
        return [self.known[name] for name in sorted(self.known)]

    async def find(self, name: str) -> DockerContainer:
        return self.known[name]

    async def add_like(self, template: DockerContainer, spec: InstanceSpec) -> None:
        self.diary.append(("add", spec.name, template.name))
        self.known[spec.name] = replace(_container(spec, 90), added=True)

    async def cut(self, victim: DockerContainer, name: str, addresses: Sequence[str], lease_s: float) -> None:
        self.diary.append(("cut", victim.name, *addresses, f"{lease_s:g}"))
        self.known[name] = DockerContainer(f"cut {name}", victim.compose_service, "running", partition=name)

    async def remove(self, container: DockerContainer) -> None:
        self.diary.append(("remove", container.name))
        del self.known[container.name]

    async def limit_cpu(self, container: DockerContainer, cpus: float | None) -> None:
        self.diary.append(("limit", container.name, str(cpus)))

    async def kill(self, container: DockerContainer) -> None:
        self._change("kill", container, "exited")

    async def start(self, container: DockerContainer) -> None:
        self.starts[container.name] += 1
        self._change("start", container, "running")

    async def pause(self, container: DockerContainer) -> None:
        self._change("pause", container, "paused")

    async def unpause(self, container: DockerContainer) -> None:
        if container.state == "paused":
            self._change("unpause", container, "running")

    async def mark_stall(self, _store: DockerContainer, until: float) -> None:
        self.stall_mark = until

    async def unmark_stall(self) -> None:
        self.stall_mark = math.inf

    async def stalled_until(self) -> float:
        return self.stall_mark

    async def stop(self, container: DockerContainer) -> None:
        if container.partition:
            self.diary.append(("end", container.partition))
            del self.known[container.name]
        else:
            self._change("stop", container, "exited")

    async def log_tail(self, _container: DockerContainer, lines: int = 5) -> str:
        return "its last words"

    async def close(self) -> None:
        self.diary.append(("close",))

    def _change(self, what: str, container: DockerContainer, state: str) -> None:
        self.diary.append((what, container.name))
        self.known[container.name] = replace(container, state=state)
        self.changed(container.name, state)

    def did(self, what: str) -> list[str]:
        return [entry[1] for entry in self.diary if entry[0] == what]


def _container(spec: InstanceSpec, number: int) -> DockerContainer:
    ports = {8080: 8200 + number}
    return DockerContainer(f"id-{spec.name}", spec.name, "running", spec, address=f"10.0.1.{number}", host_ports=ports)


class ReadyHttp:
    """Answers 200 to everything but the instances that should not come up."""

    def __init__(self) -> None:
        self.dead: set[str] = set()

    async def call(self, _method: str, url: str, *, timeout_s: float) -> HttpReply:
        return HttpReply(503 if any(mark in url for mark in self.dead) else 200, {}, b"")

    async def close(self) -> None:
        pass


async def over_fake_engine(engine: FakeEngine, world: Any, monkeypatch: pytest.MonkeyPatch) -> DockerRuntime:
    """A runtime over the fake engine, on the virtual clock and store, that believes itself inside the project."""
    monkeypatch.setenv("AFTERSHOCK_PROJECT", "test")
    monkeypatch.setattr("compose.docker.real_session", lambda: None)
    monkeypatch.setattr("compose.docker.system_clock", lambda: Clock(world.loop.time, world.epoch_s))
    made = DockerRuntime(engine=engine)  # type: ignore[arg-type]
    made.http = ReadyHttp()  # type: ignore[assignment]
    made.store = world.redis.client()
    await made._refresh(spec.name for spec in TOPOLOGY.instances())
    return made


def pausing_redis_stalls_it(engine: FakeEngine, world: Any) -> list[tuple[str, float]]:
    """Makes the virtual store do what the engine does to Redis; returns the changes and their times."""
    changes: list[tuple[str, float]] = []

    def changed(name: str, state: str) -> None:
        if name == "redis":
            changes.append((state, world.loop.time()))
            if state == "paused":
                world.redis.stall(3600.0)
            else:
                world.redis.release()

    engine.changed = changed
    return changes
