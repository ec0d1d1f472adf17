"""V08, V10: a service that stays down after what brought it down is over."""

import asyncio
from functools import partial

from chaos.record.metric_names import ATTEMPTS, ENDED
from chaos.studies.validation.rows import Row, RowFigures, between, formula
from chaos.studies.validation.world import PLAIN_NODE, Callers, FarClient, SmallWorld, in_worlds
from loadgen.arrivals import Arrivals
from services.chassis.settings import Tree, merge

# --- V08 -------------------------------------------------------------------------------------------------

BASE_PER_S, PEAK_PER_S = 40.0, 80.0
PEAK_FROM_S, PEAK_UNTIL_S = 20.0, 25.0
NETWORK_S = 0.1
JUDGED_FROM_S, JUDGED_S = 45.0, 5.0
BACK = 0.5
"""Of the load: a run has either all of it or nothing."""
CONTENDED: Tree = merge(
    PLAIN_NODE,
    {
        "identity": {
            "workers": 1_000_000,
            "service_time_s": 1.0,
            "service_fixed_share": 1.0,
            "contention_slowdown": 0.01,
        },
        "identity_client": {"timeout_s": 3.0, "workflow": {"enabled": False}},
    },
)
WITHOUT_BACKOFF: Tree = {"identity_client": {"sdk": {"attempts": 3, "wait": "fixed", "base_s": 0.0}}}
WITH_BACKOFF: Tree = {"identity_client": {"sdk": {"attempts": 3, "wait": "full_jitter", "base_s": 20.0, "max_s": 40.0}}}


async def _spiked(world: SmallWorld) -> float:
    """1 when the service is back twenty seconds after the peak, 0 when it stays down."""
    await world.node()
    network = world.streams["network"]
    callers = world.callers(http=lambda near: FarClient(near, world.clock, lambda: network.expovariate(1 / NETWORK_S)))
    arrivals = world.arrivals("calls", BASE_PER_S, callers.call)
    await asyncio.sleep(PEAK_FROM_S)
    arrivals.set_rate(PEAK_PER_S)
    await asyncio.sleep(PEAK_UNTIL_S - PEAK_FROM_S)
    arrivals.set_rate(BASE_PER_S)
    await asyncio.sleep(JUDGED_FROM_S - PEAK_UNTIL_S)
    before = callers.succeeded
    await asyncio.sleep(JUDGED_S)
    return float(callers.succeeded - before > BACK * BASE_PER_S * JUDGED_S)


def measure_spike(seed: int, overrides: Tree) -> RowFigures:
    return {
        f"runs that are back, {name}": SmallWorld(seed, merge(CONTENDED, backoff, overrides)).run(_spiked)
        for name, backoff in (("no backoff", WITHOUT_BACKOFF), ("jittered backoff", WITH_BACKOFF))
    }


# --- V10 -------------------------------------------------------------------------------------------------

SIZE = 0.1
"""Of the source's database and its load; figures are given in the source's size."""
FROZEN_FROM_S, FROZEN_S = 10.0, 10.0
DATABASE: Tree = merge(
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


async def _outage(world: SmallWorld, rate_per_s: float) -> tuple[Callers, Arrivals]:
    """A database under load that stands still for ten seconds."""
    await world.node()
    callers = world.callers()
    arrivals = world.arrivals("queries", rate_per_s * SIZE, callers.call)
    await world.until(FROZEN_FROM_S)
    world.served["node"].freeze()
    await world.until(FROZEN_FROM_S + FROZEN_S)
    world.served["node"].thaw()
    return callers, arrivals


async def _between(world: SmallWorld, callers: Callers, start: float, end: float) -> tuple[float, float]:
    """Attempts per second in the source's size, and the share of operations that succeed."""
    await world.until(start)
    before = _state(callers)
    await world.until(end)
    attempts, ended, good = (now - then for now, then in zip(_state(callers), before, strict=True))
    return attempts / (end - start) / SIZE, good / ended


def _state(callers: Callers) -> tuple[float, float, float]:
    attempts = callers.env.metrics.total(ATTEMPTS, layer="sdk")
    return attempts, callers.env.metrics.total(ENDED), callers.succeeded


async def _at_280(world: SmallWorld) -> RowFigures:
    callers, arrivals = await _outage(world, 280.0)
    offered, good = await _between(world, callers, 60.0, 90.0)
    arrivals.set_rate(100.0 * SIZE)
    _, back = await _between(world, callers, 380.0, 400.0)
    return {"offered per s, 280/s": offered, "succeed, 280/s": good, "succeed, 280/s lowered to 100/s": back}


async def _at(world: SmallWorld, rate_per_s: float, start: float) -> RowFigures:
    callers, _ = await _outage(world, rate_per_s)
    _, good = await _between(world, callers, start, start + 30.0)
    return {f"succeed, {rate_per_s:g}/s": good}


def measure_outage(seed: int, overrides: Tree) -> RowFigures:
    others = (partial(_at, rate_per_s=rate_per_s, start=120.0) for rate_per_s in (170.0, 130.0))
    return in_worlds(seed, merge(DATABASE, overrides), _at_280, *others)


ROWS = (
    Row(
        "V08",
        "Brooker, program mbrooker/simulator_example, simple_collapse_sim",
        "a node that takes 1 + 0.01 · (requests in service) s, 0.1 s of network each way, timeout 3 s, 3 tries; 40/s, "
        "80/s from t = 20 to 25 s; retries at once, or after full jitter of 20 and 40 s; judged at t = 45 to 50 s",
        "R",
        "a run is back or down; the source's mean of ten runs, 7 to 10 of 40/s, is that of about two that are back. t "
        "interval over seeds, widened by the error of the source's ten runs",
        20,
        (
            between("runs that are back, no backoff", 7 / 40, 10 / 40, 0.65, runs=10),
            between("runs that are back, jittered backoff", 1.0, 1.0, 0.1),
        ),
        measure_spike,
    ),
    Row(
        "V10",
        "HotOS'21, Metastable Failures in Distributed Systems, §2.1",
        "a tenth of the source: 3 workers of 0.1 s, fixed; timeout 1 s, one retry at once; the node is frozen from "
        "t = 10 to 20 s; figures from t = 60 s (280/s), 120 s, and 290 s after the load was lowered",
        "S",
        "t interval over seeds; near 0 is below 2 %, well is above 98 %",
        8,
        (
            formula("offered per s, 280/s", 560.0, 50.0),
            between("succeed, 280/s", 0.0, 0.02, 0.05),
            between("succeed, 280/s lowered to 100/s", 0.98, 1.0, 0.05),
            between("succeed, 170/s", 0.0, 0.02, 0.05),
            between("succeed, 130/s", 0.98, 1.0, 0.05),
        ),
        measure_outage,
    ),
)
