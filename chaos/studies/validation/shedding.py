"""V16: what is left of requests that make two calls, when half of all calls are shed."""

import asyncio

from chaos.studies.validation.rows import Difference, Row, RowFigures, between, formula
from chaos.studies.validation.world import ONE_ATTEMPT, PLAIN_NODE, SmallWorld
from services.chassis.settings import Tree, merge

WORKERS, SERVICE_S = 2, 0.016
CAPACITY_PER_S = WORKERS / SERVICE_S
PAUSE_S = 0.1
"""Least time, and mean of more, between the two calls of a request: long for the queue, short for DAGOR's window."""
WARM_UP_S, MEASURED_S = 25.0, 15.0

OVERLOADED: Tree = merge(
    PLAIN_NODE,
    ONE_ATTEMPT,
    {"identity": {"workers": WORKERS, "service_time_s": SERVICE_S, "service_fixed_share": 0.0}},
)
RANDOM: Tree = {"identity": {"queue_length": 20}}
USERS = 512
DAGOR: Tree = {"kind": "dagor", "users": USERS, "queue_time_s": 0.08}
REQUEST_WISE: Tree = {"identity": {"queue_length": 60, "shedding": DAGOR}}


async def _two_calls(world: SmallWorld) -> tuple[float, float]:
    """The share of requests whose two calls succeed, and of those whose first does. Each request is a user's."""
    await world.node()
    callers, users, pause = world.callers(), world.streams["users"], world.streams["pause"]
    firsts: list[bool] = []
    boths: list[bool] = []

    async def request() -> None:
        user, measured = f"user-{users.randrange(USERS)}", world.now >= WARM_UP_S
        first = (await callers.call(user)).ok
        await asyncio.sleep(PAUSE_S + pause.expovariate(1 / PAUSE_S))
        second = (await callers.call(user)).ok
        if measured:
            firsts.append(first)
            boths.append(first and second)

    arrivals = world.arrivals("requests", CAPACITY_PER_S, request)
    await asyncio.sleep(WARM_UP_S + MEASURED_S)
    arrivals.stop()
    await asyncio.sleep(10.0)
    return sum(boths) / len(boths), sum(firsts) / len(firsts)


def measure(seed: int, overrides: Tree) -> RowFigures:
    by_chance, _ = SmallWorld(seed, merge(OVERLOADED, RANDOM, overrides)).run(_two_calls)
    together, first = SmallWorld(seed, merge(OVERLOADED, REQUEST_WISE, overrides)).run(_two_calls)
    return {
        "succeed, random shedding": by_chance,
        "succeed, request-wise": together,
        "of those whose first call succeeds, request-wise": together / first,
    }


ROWS = (
    Row(
        "V16",
        "DAGOR (SoCC'18), request-wise shedding",
        "requests at the capacity of a node, each of which makes two calls; a full queue sheds at random, the "
        "node's DAGOR by the request's user",
        "A",
        "t interval over seeds; arithmetic has no rounding",
        10,
        (
            formula("succeed, random shedding", 0.25, 0.04),
            formula(
                "succeed, request-wise",
                0.5,
                0.12,
                differs=Difference(
                    "our DAGOR admits 5 % less after a window of overload and 1 % of the arrivals more after one "
                    "without; the published half is that of the whole capacity, and it hunts at 80 to 98 % of it",
                    0.40,
                    0.49,
                ),
            ),
            between("of those whose first call succeeds, request-wise", 0.98, 1.0, 0.04),
        ),
        measure,
    ),
)
