"""What the soak does about a collapse: leaves it for a while, drains, ramps up at little load, gives the load back."""

import asyncio
from typing import Any

import pytest

from chaos.soak.outside import LOOK_S as FOLLOW_S
from chaos.soak.outside import following
from chaos.soak.repair import DRAIN_S, HOUR_S, LEFT_S, REPAIR_S, SHED_FACTOR, Repairs
from compose.runtime import RuntimeUnavailable
from services.chassis.clock import Clock

EPOCH_S = 1e9
LOOK_S = 60.0


class Watched:
    """A testbed of two regions, of which those are down that the test says."""

    regions = ("eastus", "westus")

    def __init__(self) -> None:
        self.start = asyncio.get_running_loop().time()
        self.collapsed: dict[str, float] = {}
        self.done: list[tuple[float, str, float | str]] = []

    def epoch_s(self) -> float:
        return EPOCH_S + asyncio.get_running_loop().time()

    async def down(self) -> dict[str, float]:
        return self.collapsed

    async def set_load(self, region: str, factor: float) -> None:
        self._note(region, factor)

    async def set_traffic(self, region: str, rule: dict[str, Any]) -> None:
        self._note(region, rule["mode"])

    def _note(self, region: str, what: float | str) -> None:
        self.done.append((asyncio.get_running_loop().time() - self.start, region, what))

    def goes_down(self, at_s: float, *regions: str) -> None:
        self.collapsed = dict.fromkeys(regions, EPOCH_S + self.start + at_s)


def repair(at_s: float) -> list[tuple[float, str, float | str]]:
    """What is done in the two regions for one repair."""
    steps = (at_s, SHED_FACTOR), (at_s, "drain"), (at_s + DRAIN_S, "ramp")
    return [(at, region, what) for at, what in steps for region in ("eastus", "westus")]


def load_back(at_s: float) -> list[tuple[float, str, float | str]]:
    return [(at_s, "eastus", 1.0), (at_s, "westus", 1.0)]


async def look_until(repairs: Repairs, watched: Watched, end_s: float) -> None:
    """A look a minute, as the soak does."""
    while (now := asyncio.get_running_loop().time() - watched.start) < end_s:
        await repairs.look()
        await asyncio.sleep(max(0.0, LOOK_S - (asyncio.get_running_loop().time() - watched.start - now)))


async def test_a_collapse_is_left_for_a_while_then_repaired_everywhere() -> None:
    watched = Watched()
    said: list[str] = []
    repairs = Repairs(watched, said.append)
    await look_until(repairs, watched, 600.0)
    assert repairs.collapses == []
    watched.goes_down(580.0, "eastus")
    await look_until(repairs, watched, 1020.0)
    repaired_at = 900.0
    assert 580.0 + LEFT_S <= repaired_at < 580.0 + LEFT_S + LOOK_S
    assert watched.done == repair(repaired_at)
    watched.goes_down(0.0)
    await look_until(repairs, watched, 1200.0)
    (collapse,) = repairs.collapses
    assert (collapse.began_h, collapse.ended_h) == (580.0 / HOUR_S, 1020.0 / HOUR_S)
    assert said == ["hour 0.16: eastus collapsed; ended at 0.28"]
    assert watched.done == repair(repaired_at), "the load is given back only when the ramp is over"
    await look_until(repairs, watched, 1800.0)
    assert watched.done == repair(repaired_at) + load_back(repaired_at + REPAIR_S)


async def test_a_collapse_that_outlives_its_repair_is_repaired_again_at_once() -> None:
    watched = Watched()
    repairs = Repairs(watched, print)
    watched.goes_down(0.0, "westus")
    await look_until(repairs, watched, LEFT_S + REPAIR_S)
    watched.goes_down(LEFT_S + REPAIR_S - 1.0, "eastus")
    await look_until(repairs, watched, LEFT_S + 2 * REPAIR_S)
    (collapse,) = repairs.collapses
    assert (collapse.regions, collapse.ended_h) == ({"eastus", "westus"}, None)
    assert watched.done == repair(LEFT_S) + repair(LEFT_S + REPAIR_S)
    assert str(collapse) == "hour 0.00: eastus, westus collapsed; not ended"


async def test_a_later_collapse_is_left_for_a_while_too() -> None:
    watched = Watched()
    repairs = Repairs(watched, print)
    watched.goes_down(0.0, "westus")
    await look_until(repairs, watched, LEFT_S + LOOK_S)
    watched.goes_down(0.0)
    again_at = LEFT_S + REPAIR_S + LOOK_S
    await look_until(repairs, watched, again_at)
    watched.goes_down(again_at, "westus")
    await look_until(repairs, watched, again_at + LEFT_S + LOOK_S)
    assert watched.done == repair(LEFT_S) + load_back(LEFT_S + REPAIR_S) + repair(again_at + LEFT_S)
    assert len(repairs.collapses) == 2


@pytest.mark.parametrize("ends_s", [LEFT_S - 20.0, LEFT_S + DRAIN_S / 2, LEFT_S + DRAIN_S + 20.0])
async def test_a_repair_that_is_interrupted_is_taken_back(ends_s: float) -> None:
    watched = Watched()
    watched.goes_down(0.0, "westus")
    async with following(Repairs(watched, print), Clock(asyncio.get_running_loop().time, 0.0), print):
        await asyncio.sleep(ends_s)
        before = list(watched.done)
    given_back = [(ends_s, region, what) for what in ("open", 1.0) for region in ("eastus", "westus")]
    assert watched.done == before + (given_back if before else [])
    assert bool(before) == (ends_s > LEFT_S)


async def test_a_repair_that_the_controller_refuses_is_said_once_and_tried_again() -> None:
    watched, said = Watched(), list[str]()
    watched.goes_down(0.0, "westus")
    carried_out, refusals = watched.set_load, 3

    async def refused(region: str, factor: float) -> None:
        nonlocal refusals
        if refusals:
            refusals -= 1
            raise RuntimeUnavailable("load generator: timeout")
        await carried_out(region, factor)

    watched.set_load = refused  # type: ignore[method-assign]
    async with following(Repairs(watched, said.append), Clock(asyncio.get_running_loop().time, 0.0), said.append):
        await asyncio.sleep(LEFT_S + 3 * FOLLOW_S + 1.0)
        assert watched.done[0] == (LEFT_S + 3 * FOLLOW_S, "eastus", SHED_FACTOR)
    assert said == ["a repair waits: load generator: timeout"]
