"""The key figures of the idle testbed, once a second, from the instances' metrics pages.

During a run the figures come from its recorder, and this pauses.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from chaos.controller.scrape import rows
from chaos.progress.glance import FAMILIES, PROVISIONING_WINDOW_S, Glance, glance
from chaos.record.series import Group, Where, matches
from compose.runtime import Runtime, ScrapeTarget
from compose.topology import LOADGEN, SCALABLE
from services.chassis.background import Background

INTERVAL_S = 1.0
KEPT = int(PROVISIONING_WINDOW_S / INTERVAL_S) + 2
TIMEOUT_S = 0.9
SERVICES = frozenset({LOADGEN, "provisioner", SCALABLE})

Series = tuple[str, tuple[tuple[str, str], ...]]
ScrapedPage = dict[Series, float]


class Readings:
    """The last seconds of a few metrics, with the query interface of `SeriesTable`."""

    def __init__(self) -> None:
        self._grown: deque[tuple[float, ScrapedPage]] = deque(maxlen=KEPT)
        self._latest: ScrapedPage = {}
        self._newest: ScrapedPage = {}
        self._instances: set[str] = set()

    def add(self, t: float, page: ScrapedPage) -> None:
        self._grown.append((t, {key: self._growth(key, value) for key, value in page.items()}))
        self._newest = page
        self._latest.update(page)
        self._instances |= {_instance(key) for key in page}

    def _growth(self, key: Series, value: float) -> float:
        """The increase of a counter; a lower value means a restart from 0.

        A new series of a known instance starts at 0. The first value of a new instance does not count: it is unknown
        when it was counted.
        """
        last = self._latest.get(key, 0.0 if _instance(key) in self._instances else value)
        return value - last if value >= last else value

    def increase(self, name: str, where: Where, start_t: float, end_t: float, by: Sequence[str]) -> dict[Group, float]:
        sums: dict[Group, float] = {}
        for t, grown in self._grown:
            if start_t + INTERVAL_S / 2 <= t <= end_t:
                _add(sums, grown, name, where, by)
        return sums

    def last(self, name: str, where: Where, by: Sequence[str]) -> dict[Group, float]:
        sums: dict[Group, float] = {}
        _add(sums, self._newest, name, where, by)
        return sums


def _instance(key: Series) -> str:
    return key[1][0][1]


def _add(sums: dict[Group, float], page: ScrapedPage, name: str, where: Where, by: Sequence[str]) -> None:
    for key, value in page.items():
        labels = dict(key[1])
        if key[0] == name and matches(labels, where):
            group = tuple(labels.get(one, "") for one in by)
            sums[group] = sums.get(group, 0.0) + value


class Pulse:
    """Reads the figures every second until closed, except while `paused()`; passes each to `tell`."""

    def __init__(
        self,
        runtime: Runtime,
        regions: Sequence[str],
        background: Background,
        paused: Callable[[], bool],
        tell: Callable[[Glance], None],
    ) -> None:
        self._runtime = runtime
        self._regions = regions
        self._background = background.scope()
        self._paused = paused
        self._tell = tell
        self._readings = Readings()

    def start(self) -> None:
        self._background.keep(self._follow, "pulse")

    async def close(self) -> None:
        await self._background.stop()

    async def _follow(self) -> None:
        while True:
            if self._paused():
                self._readings = Readings()
            else:
                await self.look()
            await asyncio.sleep(INTERVAL_S)

    async def look(self) -> None:
        targets = [target for target in self._runtime.targets() if target.spec.service in SERVICES]
        pages = await asyncio.gather(*(self._read(target) for target in targets))
        t = self._runtime.clock.now()
        self._readings.add(t, {key: value for page in pages for key, value in page.items()})
        self._tell(glance(self._readings, self._regions, t))

    async def _read(self, target: ScrapeTarget) -> ScrapedPage:
        """The samples of an instance; empty if it does not answer."""
        if target.metrics is not None:
            return parse(target.metrics.page().decode(), target.spec.name)
        reply = await self._runtime.http.call("GET", f"{target.url}/metrics", timeout_s=TIMEOUT_S)
        return parse(reply.body.decode(), target.spec.name) if reply.ok else {}


def parse(page: str, instance: str) -> ScrapedPage:
    """The samples of the metric families used for the key figures."""
    return {
        (name, (("instance", instance), *sorted(labels.items()))): value for name, labels, value in rows(page, FAMILIES)
    }
