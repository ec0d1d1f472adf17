"""What the soak does about a collapse: leaves it for a while, drains everything, ramps up, and keeps count."""

import asyncio
from types import SimpleNamespace
from typing import Any

from chaos.soak.repair import DRAIN_S, HOUR_S, LEFT_S, RAMP, Repairs

EPOCH_S = 1e9
LOOK_S = 60.0


class Watched:
    """A controller of two regions whose monitor says what the test wants."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.start = loop.time()
        self.regions = ("eastus", "westus")
        self.monitor = SimpleNamespace(down={})
        self.runtime = SimpleNamespace(clock=SimpleNamespace(epoch=lambda: EPOCH_S + loop.time()))
        self.operations = self
        self.rules: list[tuple[float, str, str]] = []

    async def set_traffic(self, region: str, rule: dict[str, Any]) -> None:
        self.rules.append((asyncio.get_running_loop().time() - self.start, region, rule["mode"]))


async def look_until(repairs: Repairs, watched: Watched, end_s: float) -> None:
    """A look a minute, as the soak does."""
    while (now := asyncio.get_running_loop().time() - watched.start) < end_s:
        await repairs.look()
        await asyncio.sleep(max(0.0, LOOK_S - (asyncio.get_running_loop().time() - watched.start - now)))


async def test_a_collapse_is_left_for_a_while_then_drained_and_ramped_everywhere() -> None:
    watched: Any = Watched()
    said: list[str] = []
    repairs = Repairs(watched, said.append)
    await look_until(repairs, watched, 600.0)
    assert repairs.collapses == []
    watched.monitor.down = {"eastus": EPOCH_S + watched.start + 580.0}
    await look_until(repairs, watched, 1000.0)
    drained_at = 900.0
    assert 580.0 + LEFT_S <= drained_at < 580.0 + LEFT_S + LOOK_S
    assert watched.rules == [
        (drained_at, "eastus", "drain"),
        (drained_at, "westus", "drain"),
        (drained_at + DRAIN_S, "eastus", "ramp"),
        (drained_at + DRAIN_S, "westus", "ramp"),
    ]
    watched.monitor.down = {}
    await look_until(repairs, watched, 1200.0)
    (collapse,) = repairs.collapses
    assert (collapse.began_h, collapse.ended_h, collapse.repairs) == (580.0 / HOUR_S, 1020.0 / HOUR_S, 1)
    assert said == ["hour 0.16: eastus collapsed; traffic drained and ramped up once; ended at 0.28"]


async def test_a_collapse_that_outlives_its_repair_is_repaired_again() -> None:
    watched: Any = Watched()
    repairs = Repairs(watched, print)
    watched.monitor.down = {"westus": EPOCH_S + watched.start}
    await look_until(repairs, watched, LEFT_S + DRAIN_S)
    watched.monitor.down["eastus"] = EPOCH_S + watched.start + LEFT_S
    pause_s = RAMP["over_s"] + RAMP["hold_s"] + LEFT_S
    await look_until(repairs, watched, LEFT_S + DRAIN_S + pause_s + 2 * LOOK_S)
    (collapse,) = repairs.collapses
    assert (collapse.regions, collapse.repairs, collapse.ended_h) == ({"eastus", "westus"}, 2, None)
    drains = [at for at, region, mode in watched.rules if (region, mode) == ("eastus", "drain")]
    assert drains == [LEFT_S, LEFT_S + DRAIN_S + pause_s]
    assert str(collapse) == "hour 0.00: eastus, westus collapsed; traffic drained and ramped up 2 times; not ended"
