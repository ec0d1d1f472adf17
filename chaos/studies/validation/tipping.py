"""V11: how much load a queue takes when callers wait a second and send again until they are served."""

import asyncio
from functools import partial

from chaos.studies.validation.rows import Published, Row, RowFigures, between
from chaos.studies.validation.world import PLAIN_NODE, SmallWorld
from services.chassis.settings import Tree, merge

TIMEOUT_S = 1.0
RETRY_AFTER_S = 1.0
BALANCE_AT = {40: 36.37, 27: 23.79, 17: 14.27}
"""For each rate of service μ, per second: the rate of attempts x with most of them on time, x · (1 − exp(x − μ))."""
STAYS_AT = {40: 34.5, 27: 22.2, 17: 12.7}
TIPS_AT = {40: 35.7, 27: 22.7, 17: 13.3}
BEFORE_AT = {40: 30.0, 27: 15.0, 17: 8.0}
BEFORE_S, SHORT_S, LONG_S = 10.0, 60.0, 300.0
WARM_S, COUNTED_S = 30.0, 1000.0
TIPPED_S = 12.0
"""Of work in the queue: from here on nobody is served on time, and retries alone keep it full."""
LOOKED_AT_S = 1.0
SERVER: Tree = merge(
    PLAIN_NODE,
    {
        "identity": {"workers": 1, "service_fixed_share": 0.0},
        "identity_client": {"timeout_s": TIMEOUT_S, "workflow": {"enabled": False}},
    },
)
ONCE: Tree = {"identity_client": {"sdk": {"enabled": False}}}
AGAIN: Tree = {
    "identity_client": {
        "sdk": {"attempts": 1_000_000, "wait": "full_jitter", "base_s": 2 * RETRY_AFTER_S, "max_s": 2 * RETRY_AFTER_S}
    }
}


async def _on_time(world: SmallWorld, rate_per_s: float) -> float:
    """Attempts per second that are answered on time, of so many that are made."""
    await world.node()
    callers = world.callers()
    world.arrivals("attempts", rate_per_s, callers.call)
    await asyncio.sleep(WARM_S)
    before = callers.succeeded
    await asyncio.sleep(COUNTED_S)
    return (callers.succeeded - before) / COUNTED_S


async def _tips(world: SmallWorld, served_per_s: int, rate_per_s: float, trigger_s: float) -> float:
    """1 if the queue tips while the trigger raises the load."""
    _, node = await world.node()
    callers = world.callers()
    arrivals = world.arrivals("operations", BEFORE_AT[served_per_s], callers.call)
    await asyncio.sleep(BEFORE_S)
    arrivals.set_rate(rate_per_s)
    while world.now < BEFORE_S + trigger_s:
        await asyncio.sleep(LOOKED_AT_S)
        if len(node.queue) > TIPPED_S * served_per_s:
            return 1.0
    return 0.0


def measure(seed: int, overrides: Tree) -> RowFigures:
    return {
        name: value for served_per_s in BALANCE_AT for name, value in _measured(seed, served_per_s, overrides).items()
    }


def _measured(seed: int, served_per_s: int, overrides: Tree) -> RowFigures:
    server = merge(SERVER, {"identity": {"service_time_s": 1 / served_per_s}})
    once = SmallWorld(seed, merge(server, ONCE, overrides))
    found = {_balance(served_per_s): once.run(partial(_on_time, rate_per_s=BALANCE_AT[served_per_s]))}
    stays, tips = STAYS_AT[served_per_s], TIPS_AT[served_per_s]
    for name, rate_per_s, trigger_s in ((_stays(served_per_s), stays, SHORT_S), (_tipped(served_per_s), tips, LONG_S)):
        run = partial(_tips, served_per_s=served_per_s, rate_per_s=rate_per_s, trigger_s=trigger_s)
        found[name] = SmallWorld(seed, merge(server, AGAIN, overrides)).run(run)
    return found


def _balance(served_per_s: int) -> str:
    return f"most load in balance, μ = {served_per_s}"


def _stays(served_per_s: int) -> str:
    return f"tip within a minute at {STAYS_AT[served_per_s]:g}/s, μ = {served_per_s}"


def _tipped(served_per_s: int) -> str:
    return f"tip within five minutes at {TIPS_AT[served_per_s]:g}/s, μ = {served_per_s}"


def _published(served_per_s: int) -> tuple[Published, ...]:
    return (
        between(_balance(served_per_s), STAYS_AT[served_per_s], TIPS_AT[served_per_s], 0.9),
        between(_stays(served_per_s), 0.0, 0.5, 0.45),
        between(_tipped(served_per_s), 0.5, 1.0, 0.45),
    )


ROWS = (
    Row(
        "V11",
        "MSF-Model, arXiv 2309.16181, its validation notebook",
        "one worker of 1/μ s, exponential; callers wait 1 s and send again after 0 to 2 s until they are served; the "
        "load rises from 30, 15, 8/s to λ′; tipped: 12 s of work wait",
        "P",
        "the boundary lies between the λ′ that does not tip and the one that does. Ours is the most load that its "
        "retries balance: attempts that come too late come again. The length of the source's trigger is not known to "
        "us, and chance tips a queue below the boundary when it has time: at the lower λ′ less than half of the runs "
        "may tip within a minute, at the upper one more than half must within five",
        20,
        tuple(one for served_per_s in BALANCE_AT for one in _published(served_per_s)),
        measure,
    ),
)
