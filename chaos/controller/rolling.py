"""Health signals without a recorder: provisioning attempts of the last minutes, scraped while a policy job runs."""

import asyncio
from collections import deque

from chaos.controller.scrape import scrape
from chaos.experiment.signals import DONE, TRIES
from compose.runtime import Runtime
from services.chassis.background import Background

INTERVAL_S = 1.0
KEPT_S = 900

Tries = dict[tuple[str, str], float]


class RollingSignals:
    """Implements the gate's `Signals`; times are seconds since `start`."""

    def __init__(self, runtime: Runtime, background: Background) -> None:
        self._runtime = runtime
        self._background = background.scope()
        self._samples: deque[tuple[float, Tries]] = deque(maxlen=KEPT_S)
        self._task: asyncio.Task[None] | None = None
        self.origin_epoch_s = 0.0

    def start(self) -> None:
        """Starts scraping; the time origin is now."""
        self.origin_epoch_s = self._runtime.clock.epoch()
        self._samples.clear()
        if self._task is None or self._task.done():
            self._task = self._background.keep(self._follow, "health signals")

    async def close(self) -> None:
        await self._background.stop()

    def failure_ratio(self, region: str, start_t: float, end_t: float) -> tuple[float, int] | None:
        """Failure ratio of the attempts in a region and their number; None without attempts."""
        window = [tries for t, tries in self._samples if start_t - INTERVAL_S <= t <= end_t]
        if len(window) < 2:
            return None
        grown = {key: value - window[0].get(key, 0.0) for key, value in window[-1].items() if key[0] == region}
        total = sum(grown.values())
        if total <= 0:
            return None
        return 1.0 - grown.get((region, DONE), 0.0) / total, int(total)

    async def _follow(self) -> None:
        while True:
            await self._sample()
            await asyncio.sleep(INTERVAL_S)

    async def _sample(self) -> None:
        provisioners = [spec for spec in self._runtime.instances() if spec.service == "provisioner"]
        pages = await scrape(self._runtime, provisioners, (TRIES,))
        tries: Tries = {}
        for rows in pages.values():
            for _name, labels, value in rows:
                key = (labels["region"], labels["result"])
                tries[key] = tries.get(key, 0.0) + value
        self._samples.append((self._runtime.clock.epoch() - self.origin_epoch_s, tries))
