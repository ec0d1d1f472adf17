"""What an operator does about a collapsed region during a soak test: remove all traffic, ramp it up, then the load.

The base load of the small testbed is near the point where retries hold a region down, so in a day it collapses several
times by itself. A collapse is left alone for `LEFT_S`, so that growth is judged in both states. Then traffic is drained
and ramped up as in the incident, while the users send a tenth of their load. Neither is enough alone here, where no
nodes are added: the full load tips the pair again, and the backlog holds it down at a tenth of the load. `Back to calm`
would empty the store and restart every process, which would hide any growth.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from chaos.controller.testbed import Testbed
from loadgen.settings import PROFILES

LEFT_S = 300.0
SHED_FACTOR = PROFILES["rest"]
DRAIN_S = 60.0
RAMP: dict[str, Any] = {"mode": "ramp", "from_fraction": 0.1, "to_fraction": 0.7, "over_s": 240.0, "hold_s": 60.0}
REPAIR_S = DRAIN_S + RAMP["over_s"] + RAMP["hold_s"] + 240.0
HOUR_S = 3600.0


class Watched(Protocol):
    """The testbed under a soak test. Times are Unix times."""

    @property
    def regions(self) -> Sequence[str]: ...

    def epoch_s(self) -> float: ...

    async def down(self) -> Mapping[str, float]:
        """The collapsed regions, with the time of the collapse."""
        ...

    async def set_load(self, region: str, factor: float) -> None: ...

    async def set_traffic(self, region: str, rule: dict[str, Any]) -> None: ...


class Within:
    """The testbed of a controller in this process."""

    def __init__(self, controller: Testbed) -> None:
        self.regions = controller.regions
        self._monitor = controller.monitor
        self.epoch_s = controller.runtime.clock.epoch
        self.set_load = controller.operations.set_load
        self.set_traffic = controller.operations.set_traffic

    async def down(self) -> Mapping[str, float]:
        return self._monitor.down


@dataclass
class Collapse:
    """One period with at least one collapsed region. Times are hours since the start of the soak test."""

    began_h: float
    regions: set[str]
    ended_h: float | None = None

    def __str__(self) -> str:
        regions = ", ".join(sorted(self.regions))
        end = "not ended" if self.ended_h is None else f"ended at {self.ended_h:.2f}"
        return f"hour {self.began_h:.2f}: {regions} collapsed; {end}"


class Repairs:
    """Follows the collapses that the controller's monitor sees, repairs them, and says so when one is over."""

    def __init__(self, testbed: Watched, say: Callable[[str], None]) -> None:
        self._testbed = testbed
        self._say = say
        self._start_epoch_s = testbed.epoch_s()
        self._judge_at_s: float | None = None
        self._under_way = False
        self.collapses: list[Collapse] = []

    async def look(self) -> None:
        """Repairs what has been down for `LEFT_S`, and gives the load back when that has helped."""
        down, now = await self._testbed.down(), self._testbed.epoch_s()
        self._note(down, now)
        if not down and self._judge_at_s is None:
            return
        if now < (self._judge_at_s or min(down.values()) + LEFT_S):
            return
        if down:
            await self._repair()
            self._judge_at_s = now + REPAIR_S
        else:
            await self._load(1.0)
            self._judge_at_s, self._under_way = None, False

    async def stop(self) -> None:
        """Gives traffic and load back if a repair is under way: nobody else would."""
        if self._under_way:
            await self._traffic({"mode": "open"})
            await self._load(1.0)

    def _note(self, down: Mapping[str, float], now: float) -> None:
        under_way = self.collapses[-1] if self.collapses and self.collapses[-1].ended_h is None else None
        if down:
            if under_way is None:
                self.collapses.append(under_way := Collapse(self._hour(min(down.values())), set()))
            under_way.regions.update(down)
        elif under_way is not None:
            under_way.ended_h = self._hour(now)
            self._say(str(under_way))

    def _hour(self, epoch_s: float) -> float:
        return (epoch_s - self._start_epoch_s) / HOUR_S

    async def _repair(self) -> None:
        self._under_way = True
        await self._load(SHED_FACTOR)
        await self._traffic({"mode": "drain"})
        await asyncio.sleep(DRAIN_S)
        await self._traffic(RAMP)

    async def _traffic(self, rule: dict[str, Any]) -> None:
        for region in self._testbed.regions:
            await self._testbed.set_traffic(region, rule)

    async def _load(self, factor: float) -> None:
        for region in self._testbed.regions:
            await self._testbed.set_load(region, factor)
