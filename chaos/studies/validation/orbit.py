"""V12: how long retries from a bounded orbit keep a full queue full."""

import asyncio
import math
from functools import partial

from chaos.studies.validation.rows import Row, RowFigures, between
from chaos.studies.validation.world import PLAIN_NODE, SmallWorld
from services.chassis.settings import Tree, merge

SERVED_PER_S = 10.0
PLACES = 100
"""States of the source's queue, empty to full: one request in service and 98 waiting."""
ORBIT, RETRIES, TIMEOUT_S = 20, 4, 3.0
PAUSE_S = TIMEOUT_S / RETRIES
"""Between a timeout and its retry. The source's orbit retries at RETRIES / ((RETRIES + 1) · TIMEOUT_S) per request and
gives up at a quarter of that: a request is sent again every TIMEOUT_S + PAUSE_S, four times."""
REFUSED_S = 4.0
"""As long, in the whole seconds of a `Retry-After`, for a request that meets a full queue."""
SMALL, LARGE = 5.0, 7.0
SMALL_WATCHED_S, LARGE_WATCHED_S = 20_000.0, 1000.0
LOOKED_AT_S = 1.0
LOGARITHM, STILL_FULL = "log10 of the seconds until empty, 5/s", "still full after 1000 s, 7/s"
MEMORYLESS = 0.5772 / math.log(10)
"""Euler's constant: how far the mean logarithm of an exponential time lies below that of its mean."""
SERVER: Tree = merge(
    PLAIN_NODE,
    {
        "identity": {
            "workers": 1,
            "service_time_s": 1 / SERVED_PER_S,
            "service_fixed_share": 0.0,
            "queue_length": PLACES - 2,
            "retry_after_s": REFUSED_S,
        },
        "identity_client": {
            "timeout_s": TIMEOUT_S,
            "workflow": {"enabled": False},
            "sdk": {"attempts": 1 + RETRIES, "wait": "fixed", "base_s": PAUSE_S, "honour_retry_after": True},
            "guard": {
                "budget": {
                    "part": "services.policies.retry_budget:EnvoyBudget",
                    "options": {"share": 0.0, "retries_min": ORBIT},
                }
            },
        },
    },
)
"""Envoy's budget of retries that are under way is the orbit: 20 places, however many requests have timed out."""


async def _emptied_after(world: SmallWorld, rate_per_s: float, watched_s: float) -> float:
    """Seconds from a full queue and a full orbit until nobody is there; `watched_s` if that does not happen."""
    _, node = await world.node()
    callers = world.callers()
    for _ in range(PLACES + ORBIT):
        world.spawn(callers.call())
    world.arrivals("requests", rate_per_s, callers.call)
    while world.now < watched_s:
        await asyncio.sleep(LOOKED_AT_S)
        if not node.serving:
            return world.now
    return watched_s


def measure(seed: int, overrides: Tree) -> RowFigures:
    tree = merge(SERVER, overrides)
    small = SmallWorld(seed, tree).run(partial(_emptied_after, rate_per_s=SMALL, watched_s=SMALL_WATCHED_S))
    large = SmallWorld(seed, tree).run(partial(_emptied_after, rate_per_s=LARGE, watched_s=LARGE_WATCHED_S))
    return {LOGARITHM: math.log10(small), STILL_FULL: float(large == LARGE_WATCHED_S)}


ROWS = (
    Row(
        "V12",
        "metafor (HotOS'25), a Markov chain of one server with retries",
        "one worker of 0.1 s, exponential, and 100 places; timeout 3 s, 4 retries from an orbit of 20 (Envoy's retry "
        "budget: 20 under way), sent again after 3.75 s as in the chain; begins full, watched once a second",
        "R",
        "an order of magnitude either way of 410 s, whose logarithm is 2.61; that of a memoryless time is 0.25 less in "
        "the mean. The chain lets a quarter of the timeouts into its orbit, a value calibrated for other runs, and "
        "bounds their probability; ours all try to enter. At 7/s its 1.1·10⁷ s cannot be waited for: 20 runs of 1000 s "
        "without end put the mean above 2800 s",
        20,
        (
            between(LOGARITHM, math.log10(410) - MEMORYLESS - 1, math.log10(410) - MEMORYLESS + 1, 0.6),
            between(STILL_FULL, 1.0, 1.0, 0.05),
        ),
        measure,
    ),
)
