"""What the soak does about a collapse: leaves it for a while, sheds load until the regions are up, and keeps count."""

import asyncio
from types import SimpleNamespace
from typing import Any

from chaos.soak.repair import HOUR_S, LEFT_S, SHED_FACTOR, SHED_S, Repairs

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
        self.loads: list[tuple[float, str, float]] = []

    async def set_load(self, region: str, factor: float) -> None:
        self.loads.append((asyncio.get_running_loop().time() - self.start, region, factor))


async def look_until(repairs: Repairs, watched: Watched, end_s: float) -> None:
    """A look a minute, as the soak does."""
    while asyncio.get_running_loop().time() - watched.start < end_s:
        await repairs.look()
        await asyncio.sleep(LOOK_S)


async def test_a_collapse_is_left_for_a_while_then_load_is_shed_everywhere_and_given_back() -> None:
    watched: Any = Watched()
    said: list[str] = []
    repairs = Repairs(watched, said.append)
    await look_until(repairs, watched, 600.0)
    assert repairs.collapses == []
    watched.monitor.down = {"eastus": EPOCH_S + watched.start + 580.0}
    await look_until(repairs, watched, 1020.0)
    shed_at = 900.0
    assert 580.0 + LEFT_S <= shed_at < 580.0 + LEFT_S + LOOK_S
    shed = [(shed_at, "eastus", SHED_FACTOR), (shed_at, "westus", SHED_FACTOR)]
    assert watched.loads == shed
    watched.monitor.down = {}
    await look_until(repairs, watched, 1200.0)
    (collapse,) = repairs.collapses
    assert (collapse.began_h, collapse.ended_h) == (580.0 / HOUR_S, 1020.0 / HOUR_S)
    assert said == ["hour 0.16: eastus collapsed; ended at 0.28"]
    assert watched.loads == shed
    await look_until(repairs, watched, 1800.0)
    assert watched.loads == [*shed, (shed_at + SHED_S, "eastus", 1.0), (shed_at + SHED_S, "westus", 1.0)]


async def test_load_comes_back_only_when_every_region_is_up() -> None:
    watched: Any = Watched()
    repairs = Repairs(watched, print)
    watched.monitor.down = {"westus": EPOCH_S + watched.start}
    await look_until(repairs, watched, LEFT_S + SHED_S)
    watched.monitor.down = {"eastus": EPOCH_S + watched.start + LEFT_S}
    await look_until(repairs, watched, LEFT_S + 2 * SHED_S)
    (collapse,) = repairs.collapses
    assert (collapse.regions, collapse.ended_h) == ({"eastus", "westus"}, None)
    assert {factor for _at, _region, factor in watched.loads} == {SHED_FACTOR}
    assert str(collapse) == "hour 0.00: eastus, westus collapsed; not ended"


async def test_a_later_collapse_is_left_for_a_while_too() -> None:
    watched: Any = Watched()
    repairs = Repairs(watched, print)
    watched.monitor.down = {"westus": EPOCH_S + watched.start}
    await look_until(repairs, watched, LEFT_S + LOOK_S)
    watched.monitor.down = {}
    await look_until(repairs, watched, LEFT_S + SHED_S + LOOK_S)
    again_at = LEFT_S + SHED_S + LOOK_S
    watched.monitor.down = {"westus": EPOCH_S + watched.start + again_at}
    await look_until(repairs, watched, again_at + LEFT_S + LOOK_S)
    at = [when for when, region, _factor in watched.loads if region == "westus"]
    assert at == [LEFT_S, LEFT_S + SHED_S, again_at + LEFT_S]
    assert len(repairs.collapses) == 2
