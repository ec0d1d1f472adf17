"""V14: a cascading failure, and how far retries let the load grow."""

import asyncio

from chaos.studies.validation.rows import Row, RowFigures, between, formula, printed
from chaos.studies.validation.world import PLAIN_NODE, SmallWorld
from services.chassis.settings import Tree, merge

SIZE = 0.01
"""Of the source's service and its load; figures are given in the source's size."""
HEALTHY_PER_S, CASCADE_PER_S, LOWERED_PER_S = 10_000.0, 11_000.0, 9_000.0
CAPACITY_PER_S = 10_500.0
WORKERS = 20
HEALTHY_S, CASCADE_S, LOWERED_S, JUDGED_S = 20.0, 80.0, 40.0, 10.0

SERVICE: Tree = merge(
    PLAIN_NODE,
    {"identity": {"workers": WORKERS, "service_time_s": WORKERS / (CAPACITY_PER_S * SIZE), "queue_length": 400}},
)
THREE_ATTEMPTS: Tree = {
    "identity_client": {
        "timeout_s": 2.0,
        "workflow": {"enabled": False},
        "sdk": {"attempts": 3, "wait": "full_jitter", "base_s": 0.2, "max_s": 1.0},
    }
}
TEN_PERCENT: Tree = {
    "identity_client": {"guard": {"budget": {"kind": "finagle", "share": 0.1, "retries_per_s_min": 0.0}}}
}


async def _cascade(world: SmallWorld) -> RowFigures:
    await world.node()
    callers = world.callers()
    arrivals = world.arrivals("requests", HEALTHY_PER_S * SIZE, callers.call)
    found = RowFigures()
    for rate_per_s, length_s in (
        (HEALTHY_PER_S, HEALTHY_S),
        (CASCADE_PER_S, CASCADE_S),
        (LOWERED_PER_S, LOWERED_S),
    ):
        arrivals.set_rate(rate_per_s * SIZE)
        await asyncio.sleep(length_s - JUDGED_S)
        before = callers.succeeded
        await asyncio.sleep(JUDGED_S)
        found[_name(rate_per_s)] = (callers.succeeded - before) / JUDGED_S / (rate_per_s * SIZE)
    return found


def _name(rate_per_s: float) -> str:
    return f"served of the load at {rate_per_s:g}/s"


async def _growth(world: SmallWorld) -> float:
    """Attempts for each operation when every attempt fails."""
    await world.node()
    await world.inject("http_error", status=503)
    callers = world.callers()
    arrivals = world.arrivals("requests", 50.0, callers.call)
    await asyncio.sleep(20.0)
    arrivals.stop()
    await asyncio.sleep(5.0)
    return callers.attempts / callers.started


def measure(seed: int, overrides: Tree) -> RowFigures:
    plain = merge(SERVICE, THREE_ATTEMPTS, overrides)
    budgeted = merge(SERVICE, THREE_ATTEMPTS, TEN_PERCENT, overrides)
    return {
        **SmallWorld(seed, plain).run(_cascade),
        "growth, 3 attempts": SmallWorld(seed, plain).run(_growth),
        "growth, 3 attempts and 10 % retries": SmallWorld(seed, budgeted).run(_growth),
    }


ROWS = (
    Row(
        "V14",
        "Google SRE book, chapters 21 and 22",
        "a hundredth of the source: a node of 20 workers good for 10 500/s, queue of 400, no slow-down; timeout 2 s, 3 "
        "attempts with full jitter; 10 000/s, then 11 000/s, then 9 000/s; the growth with a service that refuses all",
        "P, A",
        "t interval over seeds; healthy is above 95 % of the load, in cascade below 50 %; half a unit of the last "
        "digit of the growth",
        5,
        (
            between(_name(HEALTHY_PER_S), 0.95, 1.05, 0.25),
            between(_name(CASCADE_PER_S), 0.0, 0.5, 0.25),
            between(_name(LOWERED_PER_S), 0.0, 0.5, 0.25),
            formula("growth, 3 attempts", 3.0, 0.05),
            printed("growth, 3 attempts and 10 % retries", "1.1", 0.02),
        ),
        measure,
    ),
)
