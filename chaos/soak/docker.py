"""Soak test of the running Docker testbed: the memory of every container over time."""

import asyncio
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

import docker
from docker.errors import DockerException, NotFound
from requests.exceptions import RequestException
from rich.console import Console
from rich.table import Table

from chaos.progress.terminal import table
from chaos.soak.outside import repaired
from chaos.soak.trend import READINGS_MIN, Trend, trend
from compose.docker_engine import COMPOSE_SERVICE, INSTANCE, PROJECT
from compose.runtime import RuntimeUnavailable
from services.chassis.clock import system_clock
from services.chassis.exit_codes import BAD_INPUT, CONTRADICTED, EXPECTED
from services.chassis.interrupts import run as run_until_signal

INTERVAL_S = 10.0
MB = 1e6
WEEK_H = 168.0
SETTLED_MINUTES = 35.0
"""Default settling time: every lifetime and retention (900 s each) has passed once, and the slowest cache is full."""
FLOOR_MB_AN_HOUR = 1.0
NOT_OURS = frozenset({"prometheus", "alertmanager", "grafana"})
"""Shown but not judged: their memory use has its own pattern (Prometheus: two hours of samples), and a limit."""


@dataclass(frozen=True)
class Look:
    """Memory of all containers at one time, in MB, without reclaimable page cache, and when each was started."""

    at_s: float
    memory_mb: dict[str, float]
    started: dict[str, str] = field(default_factory=dict)


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

    def look(self) -> Look:
        """Reads the memory of all containers.

        Raises:
            RuntimeUnavailable: no container of the project is running, or the engine does not answer.
        """
        containers = self._containers()
        with ThreadPoolExecutor(len(containers)) as pool:
            rows = list(pool.map(_stats, containers))
        read = [(one, row) for one, row in zip(containers, rows, strict=True) if row]
        return Look(
            self.clock.now(),
            {name_of(one.labels): used_mb(row) for one, row in read},
            {name_of(one.labels): one.attrs["State"]["StartedAt"] for one, _ in read},
        )

    def youngest_minutes(self) -> float:
        """Age of the most recently started container, in minutes."""
        starts = [one.attrs["State"]["StartedAt"] for one in self._containers()]
        return (self.clock.epoch() - max(map(_epoch, starts))) / 60.0


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


def _epoch(stamp: str) -> float:
    return datetime.fromisoformat(stamp[:19] + "+00:00").timestamp()


def name_of(labels: dict[str, str]) -> str:
    return labels.get(INSTANCE) or labels.get(COMPOSE_SERVICE, "?")


def used_mb(stats: dict[str, Any]) -> float:
    """Memory use without page cache, which cgroup v1 and v2 name differently."""
    details = stats.get("stats", {})
    cache = details.get("total_inactive_file", details.get("inactive_file", 0))
    return float(stats.get("usage", 0) - cache) / MB


def judge(looks: Sequence[Look]) -> list[tuple[Trend, bool]]:
    """(trend in MB per hour, whether it counts as growth) of every container that ran the whole time."""
    names = sorted(set.intersection(*(set(look.memory_mb) for look in looks)))
    hours = [(look.at_s - looks[0].at_s) / 3600.0 for look in looks]
    found = []
    for name in names:
        one = trend(name, hours, [look.memory_mb[name] for look in looks], FLOOR_MB_AN_HOUR * WEEK_H)
        found.append((one, one.grows and name not in NOT_OURS))
    return found


def restarted(looks: Sequence[Look]) -> list[str]:
    """The containers that were started again or ended during the watch: their growth was lost with the process.

    One that came later, e.g. an added node, is not among them.
    """
    first = looks[0].started
    return sorted(name for name, start in first.items() if any(look.started.get(name) != start for look in looks))


def soak_docker_command(minutes: float, project: str, settle_minutes: float, console: Console) -> int:
    """Waits for the settling time, watches the testbed, prints MB per hour by container; returns the exit code.

    Interrupted, it judges what it has seen, if that is enough.
    """
    looks: list[Look] = []
    try:
        run_until_signal(_watch(ContainerMeter(project), minutes, settle_minutes, console, looks))
    except KeyboardInterrupt:
        if len(looks) >= READINGS_MIN:
            _conclude(looks, console)
        raise
    return _conclude(looks, console)


def _conclude(looks: Sequence[Look], console: Console) -> int:
    rows, lost = judge(looks), [name for name in restarted(looks) if name not in NOT_OURS]
    console.print(_table(rows, (looks[-1].at_s - looks[0].at_s) / 60.0))
    grown = [one.name for one, counts in rows if counts and one.name not in lost]
    console.print(f"grows: {', '.join(grown)}" if grown else "nothing grows")
    if lost:
        console.print(f"ended or started again during the watch, so not judged: {', '.join(lost)}")
    return CONTRADICTED if grown else BAD_INPUT if lost else EXPECTED


async def _watch(
    meter: ContainerMeter, minutes: float, settle_minutes: float, console: Console, looks: list[Look]
) -> None:
    """Adds a look to `looks` every `INTERVAL_S`; repairs collapses meanwhile, as the soak in virtual time does."""
    async with repaired(meter.project, partial(console.print, soft_wrap=True)):
        wait_s = 60.0 * (settle_minutes - await asyncio.to_thread(meter.youngest_minutes))
        if wait_s > 0:
            console.print(f"waiting {wait_s / 60.0:.0f} min for the testbed to settle (--settle {settle_minutes:g})")
            await asyncio.sleep(wait_s)
        start = meter.clock.now()
        for number in range(max(READINGS_MIN, round(minutes * 60.0 / INTERVAL_S)) + 1):
            await asyncio.sleep(max(0.0, start + number * INTERVAL_S - meter.clock.now()))
            looks.append(await asyncio.to_thread(meter.look))
            if number % round(60.0 / INTERVAL_S) == 0:
                total = sum(looks[-1].memory_mb.values())
                console.print(f"minute {number * INTERVAL_S / 60.0:4.0f}: {total:.0f} MB in total")


def _table(rows: Sequence[tuple[Trend, bool]], minutes: float) -> Table:
    shown = table("container", "MB", "MB per hour", "", title=f"memory over {minutes:.0f} min")
    for one, counts in sorted(rows, key=lambda row: -row[0].per_hour):
        word = "grows" if counts else "not judged" if one.name in NOT_OURS else ""
        shown.add_row(one.name, f"{one.level:.1f}", f"{one.per_hour:+.2f}", word)
    return shown
