"""V01, V02: one node against the formulas of Erlang."""

import asyncio
import math
from functools import partial

from chaos.studies.validation.rows import Published, Row, RowFigures, formula
from chaos.studies.validation.world import ONE_ATTEMPT, PLAIN_NODE, SmallWorld, in_worlds
from services.chassis.env import Env
from services.chassis.settings import Tree, merge
from services.identity.node import Node

WORKERS = 2
SERVICE_S = 0.01
LOADS = (0.5, 0.7, 0.9)
WARM_UP_S = 3.0
MEASURED_S = {0.5: 25.0, 0.7: 35.0, 0.9: 40.0}
"""Longer where the queue forgets more slowly: its memory grows as 1/(1 − ρ)²."""

LOSS_QUEUE = 2
LOSS_LOADS = (0.5, 0.9, 1.5)
LOSS_MEASURED_S = {0.5: 30.0, 0.9: 10.0, 1.5: 10.0}

EXPONENTIAL: Tree = merge(
    PLAIN_NODE,
    ONE_ATTEMPT,
    {"identity": {"workers": WORKERS, "service_time_s": SERVICE_S, "service_fixed_share": 0.0}},
)


def erlang_c(servers: int, offered: float) -> float:
    """The probability that an arrival waits, M/M/c."""
    last = offered**servers / math.factorial(servers) / (1 - offered / servers)
    return last / (sum(offered**k / math.factorial(k) for k in range(servers)) + last)


def blocking(servers: int, waiting: int, offered: float) -> float:
    """The probability that an arrival finds all servers busy and `waiting` waiting, M/M/c/K."""
    weights = [offered**k / math.factorial(k) for k in range(servers + 1)]
    for _ in range(waiting):
        weights.append(weights[-1] * offered / servers)
    return weights[-1] / sum(weights)


class _Watch:
    """What arrivals find: Poisson arrivals see time averages."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.arrivals = self.waits = self.queued = 0

    def look(self) -> None:
        self.arrivals += 1
        self.waits += len(self.node.serving) >= self.node.settings.workers
        self.queued += len(self.node.queue)


async def _waiting(world: SmallWorld, load: float) -> RowFigures:
    env, node = await world.node()
    callers, watch = world.callers(), _Watch(node)

    async def arrive() -> None:
        watch.look()
        await callers.call()

    world.arrivals("tokens", load * WORKERS / SERVICE_S, arrive)
    await asyncio.sleep(WARM_UP_S)
    watch.arrivals = watch.waits = watch.queued = 0
    waited_s, served = _waits(env)
    await asyncio.sleep(MEASURED_S[load])
    waited_after_s, served_after = _waits(env)
    return {
        f"P(wait) at {load}": watch.waits / watch.arrivals,
        f"mean wait at {load}, ms": 1000 * (waited_after_s - waited_s) / (served_after - served),
        f"mean queue at {load}": watch.queued / watch.arrivals,
    }


def _waits(env: Env) -> tuple[float, float]:
    """Seconds waited, and by how many requests."""
    return env.metrics.total("identity_queue_wait_seconds_sum"), env.metrics.total("identity_queue_wait_seconds_count")


async def _losing(world: SmallWorld, load: float) -> RowFigures:
    env, _node = await world.node()
    callers = world.callers()
    world.arrivals("tokens", load * WORKERS / SERVICE_S, callers.call)
    await asyncio.sleep(WARM_UP_S)
    refused, started = env.metrics.total("identity_rejected_total", reason="queue_full"), callers.started
    await asyncio.sleep(LOSS_MEASURED_S[load])
    refused = env.metrics.total("identity_rejected_total", reason="queue_full") - refused
    return {f"blocked at {load}": refused / (callers.started - started)}


def measure_waiting(seed: int, overrides: Tree) -> RowFigures:
    return in_worlds(seed, merge(EXPONENTIAL, overrides), *(partial(_waiting, load=load) for load in LOADS))


def measure_losing(seed: int, overrides: Tree) -> RowFigures:
    tree = merge(EXPONENTIAL, {"identity": {"queue_length": LOSS_QUEUE}}, overrides)
    return in_worlds(seed, tree, *(partial(_losing, load=load) for load in LOSS_LOADS))


def _waiting_figures(load: float, width: float) -> tuple[Published, ...]:
    """`width`: the relative error that may decide."""
    waits = erlang_c(WORKERS, load * WORKERS)
    mean_s = waits * SERVICE_S / (WORKERS * (1 - load))
    queued = waits * load / (1 - load)
    return (
        formula(f"P(wait) at {load}", waits, width * waits),
        formula(f"mean wait at {load}, ms", 1000 * mean_s, width * 1000 * mean_s),
        formula(f"mean queue at {load}", queued, width * queued),
    )


BAND = "t interval over seeds; a formula has no rounding"

ROWS = (
    Row(
        "V01",
        "M/M/c, Erlang C",
        "one node with 2 workers, exponential service of 10 ms, no slow-down, no crash, Poisson arrivals at "
        "ρ = 0.5, 0.7, 0.9",
        "A",
        BAND,
        20,
        (*_waiting_figures(0.5, 0.25), *_waiting_figures(0.7, 0.2), *_waiting_figures(0.9, 0.3)),
        measure_waiting,
    ),
    Row(
        "V02",
        "M/M/c/K",
        f"as V01 with a queue of {LOSS_QUEUE}, at ρ = 0.5, 0.9, 1.5",
        "A",
        BAND,
        10,
        tuple(
            formula(f"blocked at {load}", value, 0.2 * value)
            for load in LOSS_LOADS
            for value in (blocking(WORKERS, LOSS_QUEUE, WORKERS * load),)
        ),
        measure_losing,
    ),
)
