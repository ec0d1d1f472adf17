"""V03 to V07: retries against an error that does not depend on load."""

import asyncio
from functools import partial

from chaos.studies.validation.rows import Published, Row, RowFigures, formula, printed
from chaos.studies.validation.world import PLAIN_NODE, SmallWorld
from services.chassis.settings import Tree, merge

SOURCE = "Brooker 2022, program mbrooker/simulator_example, retry_sim"
CLIENTS = 10
CALLS_PER_S = 10.0
LENGTH_S = 10.0
RUNS = 10
"""The source's one run has ten times the clients of one of ours; clients do not touch each other."""
BAND = (
    "t interval over seeds, widened by the error of the source's one run, which has the calls of ten of ours, plus "
    "half a unit of the last digit"
)

INSENSITIVE: Tree = merge(PLAIN_NODE, {"identity": {"workers": 100_000, "service_time_s": 0.001}})


def _client(attempts: int, guard: Tree) -> Tree:
    """One retry layer that tries again at once; each tenant is a client with a guard of its own."""
    return {
        "identity_client": {
            "workflow": {"enabled": False},
            "sdk": {"attempts": attempts, "wait": "fixed", "base_s": 0.0},
            "guard": {"scope": "tenant", **guard},
        }
    }


NO_RETRIES = _client(1, {})
THREE_RETRIES = _client(4, {})
BUCKET = _client(1_000_000, {"budget": {"kind": "brooker", "deposit": 0.1, "deposit_on": "start", "capacity": 5.0}})
"""As in the source: the bucket alone limits the retries of a call."""
BREAKER = _client(
    4, {"breaker": {"mode": "retries_only", "failure_ratio": 0.1, "samples_min": 1, "window_s": 1e5, "break_s": 1e5}}
)
"""As in the source: no first attempts are refused, one failed call is enough to judge, and nothing closes it again."""
CLIENTS_OF_SOURCE = {"none": NO_RETRIES, "3 retries": THREE_RETRIES, "bucket": BUCKET, "breaker": BREAKER}


async def _load(world: SmallWorld, failing: float, clients: int, rate_per_s: float, length_s: float) -> RowFigures:
    """As in the source every client calls once at the start, which counts where a client makes ten calls in all."""
    await world.node()
    await world.inject("http_error", probability=failing, status=500)
    callers, who = world.callers(), world.streams["clients"]
    for client in range(clients):
        world.spawn(callers.call(f"client-{client}"))
    arrivals = world.arrivals("calls", rate_per_s, lambda: callers.call(f"client-{who.randrange(clients)}"))
    await asyncio.sleep(length_s)
    arrivals.stop()
    await asyncio.sleep(1.0)
    return {"success": callers.succeeded / callers.started, "load": callers.attempts / callers.started}


def _measured(failing: float, kinds: tuple[str, ...], seed: int, overrides: Tree) -> RowFigures:
    found = RowFigures()
    for kind in kinds:
        tree = merge(INSENSITIVE, CLIENTS_OF_SOURCE[kind], overrides)
        run = partial(_load, failing=failing, clients=CLIENTS, rate_per_s=CLIENTS * CALLS_PER_S, length_s=LENGTH_S)
        found |= {f"{name}, {kind}": value for name, value in SmallWorld(seed, tree).run(run).items()}
    return found


SPREADS = {10: 1, 100: 10, 1000: 100}
"""Clients of the source that share 100 calls/s, and how many of them one of our runs has: a tenth, with their load."""


def _spread(seed: int, overrides: Tree) -> RowFigures:
    found = RowFigures()
    for clients, ours in SPREADS.items():
        run = partial(_load, failing=0.5, clients=ours, rate_per_s=10.0, length_s=100.0)
        figures = SmallWorld(seed, merge(INSENSITIVE, BUCKET, overrides)).run(run)
        found |= {f"{name}, {clients} clients": value for name, value in figures.items()}
    return found


def _row(id_: str, setup: str, sure: str, published: tuple[Published, ...], failing: float, *kinds: str) -> Row:
    measure = partial(_measured, failing, kinds)
    return Row(id_, SOURCE, setup, sure, BAND, 10, published, measure)


SUCCESS, LOAD = 0.04, 0.08
"""Widest error that may decide: of a share of calls, and of attempts for each call."""

ROWS = (
    _row(
        "V03",
        "every attempt fails with p = 0.5 (our fault `http_error`); 10 of the 100 clients × 10 calls/s, 10 s; "
        "retries at once",
        "A, R",
        (
            formula("success, none", 0.5, SUCCESS),
            formula("load, none", 1.0, LOAD),
            formula("success, 3 retries", 1 - 0.5**4, SUCCESS),
            formula("load, 3 retries", 1 + 0.5 + 0.5**2 + 0.5**3, LOAD),
        ),
        0.5,
        "none",
        "3 retries",
    ),
    _row(
        "V04",
        "as V03; token bucket of 5, credited 0.1 at the start of each call, a retry costs 1",
        "R",
        (
            printed("success, bucket", "0.567", SUCCESS, runs=RUNS),
            printed("load, bucket", "1.14", LOAD, runs=RUNS),
        ),
        0.5,
        "bucket",
    ),
    _row(
        "V05",
        "as V03; a breaker for retries that opens at 10 % failures from the first call on and stays open",
        "R",
        (
            printed("success, breaker", "0.495", SUCCESS, runs=RUNS),
            printed("load, breaker", "1.00", LOAD, runs=RUNS),
        ),
        0.5,
        "breaker",
    ),
    _row(
        "V06",
        "as V03 with p = 1",
        "R, A",
        (
            formula("load, none", 1.0, LOAD),
            formula("load, 3 retries", 4.0, LOAD),
            printed("load, bucket", "1.14", LOAD, runs=RUNS),
            formula("load, breaker", 1.0, LOAD),
        ),
        1.0,
        *CLIENTS_OF_SOURCE,
    ),
    Row(
        "V07",
        SOURCE,
        "as V04, 100 calls/s in all for 100 s over 10, 100 and 1000 clients; a tenth of the clients with their load",
        "R",
        BAND,
        10,
        (
            printed("load, 10 clients", "1.10", LOAD, runs=RUNS),
            printed("load, 100 clients", "1.14", LOAD, runs=RUNS),
            printed("load, 1000 clients", "1.46", LOAD, runs=RUNS),
            printed("success, 10 clients", "0.55", SUCCESS, runs=RUNS),
            printed("success, 100 clients", "0.56", SUCCESS, runs=RUNS),
            printed("success, 1000 clients", "0.73", SUCCESS, runs=RUNS),
        ),
        _spread,
    ),
)
