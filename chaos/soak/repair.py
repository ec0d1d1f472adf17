"""What an operator does about a collapsed region during a soak test: drain everything, then ramp the traffic up.

The base load of the small testbed is near the point where retries hold a region down, so in a day it collapses several
times by itself. A collapse is left alone for `LEFT_S`, so that growth is judged in both states, and is then repaired as
in the incident. `Back to calm` would empty the store and restart every process, which would hide any growth.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from chaos.controller.testbed import Testbed

LEFT_S = 300.0
DRAIN_S = 60.0
RAMP: dict[str, Any] = {"mode": "ramp", "from_fraction": 0.1, "to_fraction": 0.7, "over_s": 240.0, "hold_s": 60.0}
HOUR_S = 3600.0


@dataclass
class Collapse:
    """One period with at least one collapsed region. Times are hours since the start of the soak test."""

    began_h: float
    regions: set[str]
    repairs: int = 0
    ended_h: float | None = None

    def __str__(self) -> str:
        regions = ", ".join(sorted(self.regions))
        end = "not ended" if self.ended_h is None else f"ended at {self.ended_h:.2f}"
        times = "once" if self.repairs == 1 else f"{self.repairs} times"
        return f"hour {self.began_h:.2f}: {regions} collapsed; traffic drained and ramped up {times}; {end}"


class Repairs:
    """Follows the collapses that the controller's monitor sees, repairs them, and says so when one is over."""

    def __init__(self, controller: Testbed, say: Callable[[str], None]) -> None:
        self._controller = controller
        self._say = say
        self._start_epoch_s = controller.runtime.clock.epoch()
        self._again_at_s = 0.0
        self.collapses: list[Collapse] = []

    async def look(self) -> None:
        """Takes note of the regions that are down now, and repairs what has been down for `LEFT_S`."""
        down, now = self._controller.monitor.down, self._controller.runtime.clock.epoch()
        if not down:
            if self.collapses and self.collapses[-1].ended_h is None:
                self.collapses[-1].ended_h = self._hour(now)
                self._say(str(self.collapses[-1]))
            return
        if not self.collapses or self.collapses[-1].ended_h is not None:
            self.collapses.append(Collapse(self._hour(min(down.values())), set()))
        self.collapses[-1].regions.update(down)
        if now >= max(self._again_at_s, min(down.values()) + LEFT_S):
            self.collapses[-1].repairs += 1
            await self._repair()
            self._again_at_s = self._controller.runtime.clock.epoch() + RAMP["over_s"] + RAMP["hold_s"] + LEFT_S

    def _hour(self, epoch_s: float) -> float:
        return (epoch_s - self._start_epoch_s) / HOUR_S

    async def _repair(self) -> None:
        for rule, wait_s in (({"mode": "drain"}, DRAIN_S), (RAMP, 0.0)):
            for region in self._controller.regions:
                await self._controller.operations.set_traffic(region, rule)
            await asyncio.sleep(wait_s)
