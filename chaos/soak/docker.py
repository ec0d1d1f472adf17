"""Soak test of the running Docker testbed: the memory of every container over time."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from typing import Any

import docker
from docker.errors import DockerException, NotFound
from requests.exceptions import RequestException
from rich.console import Console

from chaos.soak.looks import NOT_OURS, Look
from chaos.soak.outside import repaired
from chaos.soak.settling import settled_after, settling
from chaos.soak.watch import Watch
from compose.docker_engine import COMPOSE_SERVICE, INSTANCE, PROJECT
from compose.runtime import RuntimeUnavailable
from services.chassis.clock import system_clock
from services.chassis.interrupts import run as run_until_signal

MB = 1e6


class ContainerMeter:
    """Reads the containers of one compose project."""

    def __init__(self, project: str) -> None:
        self.project = project
        self.clock = system_clock()
        try:
            self._client = docker.from_env()
        except DockerException as error:
            raise RuntimeUnavailable(f"no Docker engine answers: {error}") from error

    def _containers(self) -> list[Any]:
        with _engine():
            found: list[Any] = self._client.containers.list(filters={"label": f"{PROJECT}={self.project}"})
        if not found:
            raise RuntimeUnavailable(f"no container of project {self.project!r} runs; start the testbed: make up")
        return found

    async def look(self) -> Look:
        """Reads the memory of all containers.

        Raises:
            RuntimeUnavailable: no container of the project is running, or the engine does not answer.
        """
        return await asyncio.to_thread(self._look)

    def _look(self) -> Look:
        containers = self._containers()
        with ThreadPoolExecutor(len(containers)) as pool:
            rows = list(pool.map(_stats, containers))
        read = [(one, row) for one, row in zip(containers, rows, strict=True) if row]
        started = {name_of(one.labels): one.attrs["State"]["StartedAt"] for one, _ in read}
        return Look(
            self.clock.now(),
            {name_of(one.labels): used_mb(row) for one, row in read},
            started,
            age_s=min((self._age_s(at) for name, at in started.items() if name not in NOT_OURS), default=0.0),
        )

    def _age_s(self, started: str) -> float:
        return self.clock.epoch() - datetime.fromisoformat(started[:19] + "+00:00").timestamp()


@contextmanager
def _engine() -> Iterator[None]:
    """An engine that goes away is an unavailable testbed, not a defect."""
    try:
        yield
    except (DockerException, RequestException) as error:
        raise RuntimeUnavailable(f"the Docker engine does not answer: {error}") from error


def _stats(container: Any) -> dict[str, Any]:
    """The memory statistics of a container; empty if it has ended since it was listed."""
    with _engine(), suppress(NotFound):
        found: dict[str, Any] = container.stats(stream=False, one_shot=True)["memory_stats"]
        return found
    return {}


def name_of(labels: dict[str, str]) -> str:
    return labels.get(INSTANCE) or labels.get(COMPOSE_SERVICE, "?")


def used_mb(stats: dict[str, Any]) -> float:
    """Memory use without page cache, which cgroup v1 and v2 name differently."""
    details = stats.get("stats", {})
    cache = details.get("total_inactive_file", details.get("inactive_file", 0))
    return float(stats.get("usage", 0) - cache) / MB


def soak_docker_command(minutes: float, project: str, settle_minutes: float | None, console: Console) -> int:
    """Waits until the testbed is settled, watches it, prints MB per hour by container; returns the exit code.

    Interrupted, it judges what it has seen, if that is enough.
    """
    say = partial(console.print, soft_wrap=True, highlight=False)
    watch = Watch(60.0 * minutes, system_clock(), say)
    try:
        run_until_signal(_watch(watch, project, settle_minutes, say))
    except KeyboardInterrupt:
        if watch.looks:
            watch.conclude()
        raise
    return watch.conclude()


async def _watch(watch: Watch, project: str, settle_minutes: float | None, say: partial[None]) -> None:
    """Repairs collapses meanwhile, as the soak in virtual time does."""
    meter = ContainerMeter(project)
    async with repaired(project, say) as testbed:
        if settle_minutes is None:
            settle = settling(await testbed.settings(), testbed.regions)
        else:
            settle = settled_after(60.0 * settle_minutes)
        await watch.settle(meter, testbed, settle)
        await watch.follow(meter, testbed)
