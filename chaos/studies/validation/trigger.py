"""V15: four cells of load and trigger, one of which ends in a failure that outlives the trigger."""

import asyncio
from functools import partial

from chaos.studies.validation.rows import Row, RowFigures, between
from chaos.studies.validation.world import PLAIN_NODE, Callers, SmallWorld
from services.chassis.settings import Tree, merge

CAPACITY_PER_S = 100.0
SERVICE_S = 0.1
LOAD_PER_S = 35.0
"""The source tunes its load until the cells differ, and says so; here they do from 34.5 to 36 per second."""
REDUCED = 75.0 / 100.0
"""The source's waits between requests in the fourth cell: 100 µs instead of 75."""
TRIGGER_AT_S, JUDGED_AFTER_S, JUDGED_S = 10.0, 30.0, 10.0
CELLS = {
    "a: 10 s at −78 % CPU": (1.0, 10.0, 0.22),
    "b: 10 s at −80 % CPU": (1.0, 10.0, 0.20),
    "c: 9 s at −80 % CPU": (1.0, 9.0, 0.20),
    "d: 10 s at −80 % CPU, less load": (REDUCED, 10.0, 0.20),
}
"""Share of the load, length of the trigger in seconds, and the share of capacity that it leaves."""
DATABASE: Tree = merge(
    PLAIN_NODE,
    {
        "identity": {
            "workers": round(CAPACITY_PER_S * SERVICE_S),
            "service_time_s": SERVICE_S,
            "service_fixed_share": 1.0,
        },
        "identity_client": {
            "timeout_s": 3.0,
            "workflow": {"enabled": False},
            "sdk": {"attempts": 5, "wait": "fixed", "base_s": 0.0},
        },
    },
)


async def _succeed_after(world: SmallWorld, load: float, trigger_s: float, left: float) -> float:
    """The share of operations that succeed, half a minute after the trigger."""
    await world.node()
    callers, rate_per_s = world.callers(), load * LOAD_PER_S
    world.spawn(_send(world, callers, rate_per_s))
    await asyncio.sleep(TRIGGER_AT_S)
    await world.overlay({"identity": {"service_time_s": SERVICE_S / left}})
    await asyncio.sleep(trigger_s)
    await world.overlay({})
    await asyncio.sleep(JUDGED_AFTER_S)
    before = callers.succeeded
    await asyncio.sleep(JUDGED_S)
    return (callers.succeeded - before) / (JUDGED_S * rate_per_s)


async def _send(world: SmallWorld, callers: Callers, rate_per_s: float) -> None:
    """Requests at equal distances, as the source sends them."""
    while True:
        world.spawn(callers.call())
        await asyncio.sleep(1 / rate_per_s)


def measure(seed: int, overrides: Tree) -> RowFigures:
    tree = merge(DATABASE, overrides)
    return {
        f"succeed afterwards, {name}": SmallWorld(seed, tree).run(
            partial(_succeed_after, load=load, trigger_s=trigger_s, left=left)
        )
        for name, (load, trigger_s, left) in CELLS.items()
    }


BACK, DOWN = (0.95, 1.05), (0.0, 0.05)

ROWS = (
    Row(
        "V15",
        "OSDI'22, Metastable Failures in the Wild, artifact lexiangh/Metastability, Retry_Metastability",
        "a node of 10 workers of 0.1 s, fixed, and 35 requests/s at equal distances; timeout 3 s, 4 resends at once; "
        "the trigger lowers the node's capacity by 78 or 80 % for 9 or 10 s; judged 30 to 40 s after it",
        "P",
        "back is above 95 %, down is below 5 % of the load; nothing is random, so every seed gives the same. The load "
        "is tuned until the cells differ, as the source tunes its own: they do from 34.5 to 36/s",
        2,
        tuple(
            between(f"succeed afterwards, {name}", *(DOWN if name.startswith("b") else BACK), 0.05) for name in CELLS
        ),
        measure,
    ),
)
