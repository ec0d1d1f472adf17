"""Monitoring of the idle testbed by the controller: collapsed regions and machine stalls.

Scrapes the load generator and the provisioners, the callers of the identity service, every two seconds, and keeps only
the last seconds of each region.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from chaos.controller.scrape import ScrapedLabels, ScrapedRow, scrape
from chaos.record.machine import STALLS, Stall, StallDetector, lost_s
from compose.runtime import Runtime
from compose.topology import LOADGEN
from services.chassis.background import Background

ATTEMPTS = "identity_client_attempts_total"
INTERVAL_S = 2.0
WINDOW_S = 10.0
ATTEMPTS_MIN = 10
DOWN_BELOW = 0.5
UP_FROM = 0.9
OBSERVER = "controller"

Tried = tuple[float, float, float]
"""Unix time, attempts, successful attempts."""


class Growth:
    """Increase of counters since the last reading.

    A lower value means a restart from 0; a first reading counts as 0.
    """

    def __init__(self) -> None:
        self._last: dict[tuple[str, ...], float] = {}

    def of(self, key: tuple[str, ...], value: float) -> float:
        before = self._last.get(key, value)
        self._last[key] = value
        return value - before if value >= before else value


@dataclass
class RegionWatch:
    """Attempts of one region over the last seconds, and the start of a collapse (Unix time) if there is one."""

    tried: deque[Tried] = field(default_factory=deque)
    down_since: float | None = None

    def add(self, at: float, attempts: float, good: float) -> bool | None:
        """Adds a reading; True if the region collapsed with it, False if it recovered, otherwise None."""
        self.tried.append((at, attempts, good))
        while self.tried[0][0] <= at - WINDOW_S:
            self.tried.popleft()
        total = sum(count for _, count, _ in self.tried)
        if total < ATTEMPTS_MIN:
            return None
        ratio = sum(count for _, _, count in self.tried) / total
        if self.down_since is None and ratio < DOWN_BELOW:
            self.down_since = self._began()
            return True
        if self.down_since is not None and ratio >= UP_FROM:
            self.down_since = None
            return False
        return None

    def _began(self) -> float:
        """Time of the first reading of the current bad period; readings without attempts are ignored."""
        since = self.tried[-1][0]
        for at, attempts, good in reversed(self.tried):
            if attempts and good / attempts >= DOWN_BELOW:
                break
            since = at
        return since


class Watch:
    """Checks every `INTERVAL_S` seconds until closed, and calls `report(kind, fields)` on changes."""

    def __init__(
        self, runtime: Runtime, background: Background, report: Callable[[str, dict[str, object]], None]
    ) -> None:
        self._runtime = runtime
        self._background = background.scope()
        self._report = report
        self._detector = StallDetector()
        self._growth = Growth()
        self._regions: dict[str, RegionWatch] = {}
        self._own_lost_s = 0.0
        self.stall: Stall | None = None
        """The last stall; its `t` is a Unix time."""

    def start(self) -> None:
        self._background.keep(self._follow, "testbed watch")

    async def close(self) -> None:
        await self._background.stop()

    def lost(self, seconds: float) -> None:
        """Reports a stall of the controller's own event loop, in seconds."""
        self._own_lost_s += seconds

    def forget(self) -> None:
        """Clears the region states after a reset."""
        self._regions.clear()

    @property
    def down(self) -> dict[str, float]:
        """The collapsed regions, with the Unix time of the collapse."""
        return {name: seen.down_since for name, seen in self._regions.items() if seen.down_since is not None}

    async def _follow(self) -> None:
        while True:
            await self.look()
            await asyncio.sleep(INTERVAL_S)

    async def look(self) -> None:
        callers = [spec for spec in self._runtime.instances() if spec.service in (LOADGEN, "provisioner")]
        pages = await scrape(self._runtime, callers, (ATTEMPTS, STALLS))
        now = self._runtime.clock.epoch()
        self._look_at_machine(now, pages)
        self._look_at_regions(now, pages)

    def _look_at_machine(self, now: float, pages: Mapping[str, list[ScrapedRow]]) -> None:
        grown = {OBSERVER: self._own_lost_s}
        self._own_lost_s = 0.0
        for instance, rows in pages.items():
            for name, _labels, value in rows:
                if name == STALLS:
                    grown[instance] = self._growth.of((instance, name), value)
        stall = self._detector.add(now, lost_s(grown, OBSERVER))
        if stall is not None:
            self.stall = stall
            self._report("machine_stalled", {"stalled_s": round(stall.stalled_s, 3)})

    def _look_at_regions(self, now: float, pages: Mapping[str, list[ScrapedRow]]) -> None:
        tried: dict[str, list[float]] = {}
        for instance, rows in pages.items():
            for name, labels, value in rows:
                if name == ATTEMPTS and labels["layer"] == "sdk":
                    count = self._growth.of((instance, *_identity(labels)), value)
                    sums = tried.setdefault(labels["region"], [0.0, 0.0])
                    sums[0] += count
                    sums[1] += count if labels["outcome"] == "ok" else 0.0
        for region, (attempts, good) in sorted(tried.items()):
            went_down = self._regions.setdefault(region, RegionWatch()).add(now, attempts, good)
            if went_down is not None:
                self._report("collapse_began" if went_down else "collapse_ended", {"region": region})


def _identity(labels: ScrapedLabels) -> tuple[str, ...]:
    return tuple(value for pair in sorted(labels.items()) for value in pair)
