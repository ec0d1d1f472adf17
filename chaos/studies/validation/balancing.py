"""V17, V18: how much goes elsewhere, and how much is not sent at all."""

import asyncio
from functools import partial

from chaos.studies.validation.rows import Row, RowFigures, between, formula, printed
from chaos.studies.validation.world import ONE_ATTEMPT, PAIRED, PLAIN_NODE, REGION, SmallWorld, in_worlds
from services.chassis.env import Env
from services.chassis.settings import Tree, merge

SAMPLES = "http_request_duration_seconds_count"
"""Every request that reached a service, also those that a fault answered."""

ENVOY_RATE_PER_S = 50.0
ENVOY_WINDOW_S = 20.0
HEALTHY: Tree = merge(
    PLAIN_NODE,
    ONE_ATTEMPT,
    {
        "identity": {"workers": 1000, "service_time_s": 0.001},
        "router": {"failover": {"window_s": ENVOY_WINDOW_S}},
        "regions": {REGION: {"router": {"pair": PAIRED}}},
    },
)

GOOGLE_RATE_PER_S = 50.0
GOOGLE_WINDOW_S = 10.0
ACCEPTING = (0.1, 0.25, 0.4, 0.75)
THROTTLED: Tree = merge(
    PLAIN_NODE,
    ONE_ATTEMPT,
    {
        "identity": {"workers": 1000, "service_time_s": 0.001},
        "identity_client": {"guard": {"throttle": {"enabled": True, "k": 2.0, "window_s": GOOGLE_WINDOW_S}}},
    },
)


async def _share_home(world: SmallWorld, healthy: float) -> RowFigures:
    first, _ = await world.node("first", REGION)
    second, _ = await world.node("second", PAIRED)
    await world.serve("router", "router", REGION)
    if healthy < 1.0:
        await world.inject("http_error", instance="first", probability=1.0 - healthy, status=500)
    callers = world.callers("router")
    world.arrivals("requests", ENVOY_RATE_PER_S, callers.call)
    await asyncio.sleep(1.25 * ENVOY_WINDOW_S)
    before = first.metrics.total(SAMPLES), second.metrics.total(SAMPLES)
    await asyncio.sleep(ENVOY_WINDOW_S)
    home, away = first.metrics.total(SAMPLES) - before[0], second.metrics.total(SAMPLES) - before[1]
    return {f"to P0 at {healthy:.0%} healthy, %": 100 * home / (home + away)}


def measure_shares(seed: int, overrides: Tree) -> RowFigures:
    each = (partial(_share_home, healthy=healthy) for healthy in (1.0, 0.71, 0.5, 0.25, 0.0))
    return in_worlds(seed, merge(HEALTHY, overrides), *each)


async def _held_back(world: SmallWorld, accepting: float) -> RowFigures:
    await world.node()
    await world.inject("throttle", rate_per_s=accepting * GOOGLE_RATE_PER_S)
    callers = world.callers()
    world.arrivals("requests", GOOGLE_RATE_PER_S, callers.call)
    await asyncio.sleep(3 * GOOGLE_WINDOW_S)
    started, held = callers.started, _throttled(callers.env)
    await asyncio.sleep(3 * GOOGLE_WINDOW_S)
    return {f"held back at a = {accepting}": (_throttled(callers.env) - held) / (callers.started - started)}


def _throttled(env: Env) -> float:
    return env.metrics.total("identity_client_held_back_total", reason="throttle")


def measure_held_back(seed: int, overrides: Tree) -> RowFigures:
    each = (partial(_held_back, accepting=accepting) for accepting in ACCEPTING)
    return in_worlds(seed, merge(THROTTLED, overrides), *each)


def held_back(accepting: float) -> float:
    """Equation 21-1 with the requests of one window."""
    requests = GOOGLE_RATE_PER_S * GOOGLE_WINDOW_S
    return max(0.0, (requests - 2 * accepting * requests) / (requests + 1))


SHARE, HELD = 6.0, 0.05
"""Widest errors that may decide: percent of the requests, and a share of them."""

ROWS = (
    Row(
        "V17",
        "Envoy, priority load levels",
        "a router with two regions; the node of P0 fails a share of its requests (our fault `http_error`), so that the "
        "router measures a health of 100, 71, 50, 25, 0 %",
        "P, A",
        "t interval over seeds plus half a percent of rounding; at 71 % the documentation prints 100, its formula 99",
        10,
        (
            printed("to P0 at 100% healthy, %", "100", SHARE),
            between("to P0 at 71% healthy, %", 98.5, 100.0, SHARE),
            printed("to P0 at 50% healthy, %", "70", SHARE),
            printed("to P0 at 25% healthy, %", "35", SHARE),
            printed("to P0 at 0% healthy, %", "0", SHARE),
        ),
        measure_shares,
    ),
    Row(
        "V18",
        "Google SRE book, equation 21-1",
        "client throttle with K = 2 before a node that accepts a share a of 50 requests/s and refuses the others (our "
        "fault `throttle`)",
        "A",
        "t interval over seeds; a formula has no rounding",
        10,
        tuple(formula(f"held back at a = {accepting}", held_back(accepting), HELD) for accepting in ACCEPTING),
        measure_held_back,
    ),
)
