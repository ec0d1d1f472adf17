"""V10: a service that stays down after what brought it down is over."""

import asyncio
from functools import partial

from chaos.studies.validation.rows import Figures, Row, between, formula
from chaos.studies.validation.world import PLAIN_NODE, Callers, SmallWorld, counted, settings
from services.chassis.settings import Tree

SIZE = 0.1
"""Of the source's database and its load; figures are given in the source's size."""
FROZEN_FROM_S, FROZEN_S = 10.0, 10.0
DATABASE: Tree = settings(
    PLAIN_NODE,
    {
        "identity": {"workers": round(30 * SIZE), "service_time_s": 0.1, "service_fixed_share": 1.0},
        "identity_client": {
            "timeout_s": 1.0,
            "workflow": {"enabled": False},
            "sdk": {"attempts": 2, "wait": "fixed", "base_s": 0.0},
        },
    },
)


class _Outage:
    """A database under load that stands still for ten seconds."""

    def __init__(self, world: SmallWorld) -> None:
        self.world = world

    async def begin(self, rate_per_s: float) -> None:
        await self.world.node()
        self.callers = self.world.callers()
        self.arrivals = self.world.arrivals("queries", rate_per_s * SIZE, self.callers.call)
        await self.world_until(FROZEN_FROM_S)
        self.world.served["node"].freeze()
        await self.world_until(FROZEN_FROM_S + FROZEN_S)
        self.world.served["node"].thaw()

    async def world_until(self, t: float) -> None:
        await asyncio.sleep(t - self.world.now)

    async def between(self, start: float, end: float) -> tuple[float, float]:
        """Attempts per second in the source's size, and the share of operations that succeed."""
        await self.world_until(start)
        before = _state(self.callers)
        await self.world_until(end)
        attempts, ended, good = (now - then for now, then in zip(_state(self.callers), before, strict=True))
        return attempts / (end - start) / SIZE, good / ended


def _state(callers: Callers) -> tuple[float, float, float]:
    attempts = counted(callers.env, "identity_client_attempts_total", layer="sdk")
    return attempts, counted(callers.env, "identity_client_operations_total"), callers.succeeded


async def _at_280(world: SmallWorld) -> Figures:
    outage = _Outage(world)
    await outage.begin(280.0)
    offered, good = await outage.between(60.0, 90.0)
    outage.arrivals.set_rate(100.0 * SIZE)
    _, back = await outage.between(380.0, 400.0)
    return {"offered per s, 280/s": offered, "succeed, 280/s": good, "succeed, 280/s lowered to 100/s": back}


async def _at(world: SmallWorld, rate_per_s: float, start: float) -> Figures:
    outage = _Outage(world)
    await outage.begin(rate_per_s)
    _, good = await outage.between(start, start + 30.0)
    return {f"succeed, {rate_per_s:g}/s": good}


def measure_outage(seed: int, overrides: Tree) -> Figures:
    tree = settings(DATABASE, overrides)
    return {
        **SmallWorld(seed, tree).run(_at_280),
        **SmallWorld(seed, tree).run(partial(_at, rate_per_s=170.0, start=120.0)),
        **SmallWorld(seed, tree).run(partial(_at, rate_per_s=130.0, start=120.0)),
    }


ROWS = (
    Row(
        "V10",
        "HotOS'21, Metastable Failures in Distributed Systems, §2.1",
        "a tenth of the source: 3 workers of 0.1 s, fixed; timeout 1 s, one retry at once; the node is frozen from "
        "t = 10 to 20 s; figures from t = 60 s (280/s), 120 s, and 290 s after the load was lowered",
        "S",
        "t interval over seeds; near 0 is below 2 %, well is above 98 %",
        6,
        (
            formula("offered per s, 280/s", 560.0, 40.0),
            between("succeed, 280/s", 0.0, 0.02, 0.05),
            between("succeed, 280/s lowered to 100/s", 0.98, 1.0, 0.05),
            between("succeed, 170/s", 0.0, 0.02, 0.05),
            between("succeed, 130/s", 0.98, 1.0, 0.05),
        ),
        measure_outage,
    ),
)
