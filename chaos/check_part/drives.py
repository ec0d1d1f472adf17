"""The calls with which a part is driven, by kind, and what is required of its answers.

Each drive returns the part's decisions as a trace. Times and outcomes come from the given stream.
"""

import gc
import sys
from collections.abc import Callable, Iterator
from math import isfinite
from random import Random
from types import FunctionType, MethodType, ModuleType
from typing import Any

from chaos.remediation.gate_model import RolloutWave
from services.chassis.faults import OwnEffect, SeenRequest, valid_effect
from services.parts.kind import PartError
from services.policies.outcome import AttemptOutcome
from services.policies.retry import OWN_ATTEMPTS_MAX, OWN_WAIT_MAX_S, FailedAttempt
from services.policies.token_cache import Lookup

Make = Callable[..., Any]
Trace = list[Any]
CALLS = 5_000
KEYS, KEYS_MAX = 60_000, 50_000
GROWTH_MAX_BYTES = 64 * 1024
RETRIES = 10_000
CAPACITY = 20
LIMITS = range(1, 10_001)
GATE_PATIENCE_S = 3600
OUTCOMES = tuple(AttemptOutcome)
SHARED = (type, ModuleType, FunctionType, MethodType, AttemptOutcome)


class Unbounded(PartError):
    """A part exceeds a bound of its kind."""


def require(holds: bool, text: str) -> None:
    """Raises Unbounded with `text` unless it holds."""
    if not holds:
        raise Unbounded(text)


def footprint(part: object) -> int:
    """Bytes of everything that a part holds, in itself, its class or its module."""
    seen: dict[int, object] = {}
    open_: list[object] = [part]
    home = type(part).__module__
    for base in type(part).__mro__:
        if base.__module__ == home:
            open_ += vars(base).values()
    open_ += vars(sys.modules[home]).values() if home in sys.modules else ()
    while open_:
        one = open_.pop()
        if id(one) in seen or isinstance(one, SHARED):
            continue
        seen[id(one)] = one
        open_ += gc.get_referents(one)
    return sum(sys.getsizeof(one) for one in seen.values())


def steady(part: object, work: Callable[[int], None], calls: int = CALLS) -> None:
    """Does the work for many calls, and requires that the second half adds no memory."""
    for number in range(calls):
        work(number)
    half = footprint(part)
    for number in range(calls, 2 * calls):
        work(number)
    grown = footprint(part) - half
    require(grown <= GROWTH_MAX_BYTES, f"holds {grown} bytes more after {calls} further calls")


def retry(make: Make, rng: Random) -> Trace:
    part, trace = make(), Trace()

    def operation(number: int) -> None:
        trace.append(tuple(_waits(part, rng, ("timeout", "throttled", "shed", "error")[number % 4])))

    steady(part, operation, 500)
    first = FailedAttempt(1, 1.0, 0.0, "timeout", 0, None)
    fresh, used = (one.wait_s(first, Random(7)) for one in (make(), part))
    require(fresh == used, "keeps state between operations: the same attempt gets another wait than at first")
    return trace


def _waits(part: Any, rng: Random, failure: str) -> Iterator[float]:
    since_s = waited_s = 0.0
    for number in range(1, OWN_ATTEMPTS_MAX + 1):
        after_s = 2.0 if failure == "throttled" else None
        wait_s = part.wait_s(FailedAttempt(number, since_s, waited_s, failure, 503, after_s), rng)
        if wait_s is None:
            return
        number = isinstance(wait_s, int | float) and not isinstance(wait_s, bool)
        good = number and isfinite(wait_s) and 0 <= wait_s <= OWN_WAIT_MAX_S
        require(good, f"waits {wait_s!r} s; at least 0 and at most {OWN_WAIT_MAX_S:g}")
        yield wait_s
        since_s, waited_s = since_s + 1.0 + wait_s, wait_s
    raise Unbounded(f"does not give up within {OWN_ATTEMPTS_MAX} attempts")


def budget(make: Make, rng: Random) -> Trace:
    part, trace = make(), Trace()

    def call(number: int) -> None:
        now = number * 0.01
        part.on_request(now)
        outcome = rng.choice(OUTCOMES)
        part.on_outcome(outcome, now)
        if outcome is AttemptOutcome.DROPPED and (granted := part.may_retry(now)):
            trace.append((number, granted))
            part.on_outcome(rng.choice(OUTCOMES), now, is_retry=True)

    steady(part, call)
    refuses = [_refuses(make(), ending) for ending in (True, False)]
    require(any(refuses), f"grants {RETRIES} retries in a row, although none succeeds")
    return trace


def _refuses(part: Any, ending: bool) -> bool:
    for _ in range(RETRIES):
        if not part.may_retry(1.0):
            return True
        if ending:
            part.on_outcome(AttemptOutcome.DROPPED, 1.0, is_retry=True)
    return False


def admission(make: Make, rng: Random) -> Trace:
    part, trace = make(), Trace()

    def call(number: int, good: float = 0.5) -> None:
        rejected = part.should_reject(number * 0.1, rng)
        trace.append(bool(rejected))
        if not rejected:
            part.on_outcome(AttemptOutcome.SUCCESS if rng.random() < good else AttemptOutcome.DROPPED, number * 0.1)

    steady(part, call)
    start = 2 * CALLS
    for number in range(start, start + 2 * CALLS):
        call(number, good=0.0 if number < start + CALLS else 1.0)
    refused = sum(trace[-CALLS // 5 :]) / (CALLS // 5)
    require(refused < 0.1, f"still refuses {refused:.0%} when all has been well for minutes")
    return trace


def queue(make: Make, rng: Random) -> Trace:
    part, trace, waiting = make(CAPACITY), Trace(), set[int]()

    def leave(items: Any) -> None:
        for item in items:
            require(item in waiting, "gives out an item twice, or one that it refused")
            waiting.discard(item)

    def call(number: int) -> None:
        now = number * 0.02
        if rng.random() < 0.6:
            if part.offer(number, now):
                waiting.add(number)
        elif (taken := part.take(now)) is not None:
            leave([taken])
            trace.append(taken)
        leave(part.pop_dropped())
        require(len(part) <= CAPACITY, f"holds {len(part)} items with a capacity of {CAPACITY}")
        require(len(part) == len(waiting), f"says that {len(part)} items wait; {len(waiting)} do")

    steady(part, call)
    leave(part.drain())
    leave(part.pop_dropped())
    require(not waiting and not len(part), "loses items")
    return trace


def limit(make: Make, rng: Random) -> Trace:
    part, trace = make(), Trace()

    def call(number: int) -> None:
        calm = number // 500 % 2 == 0
        part.on_sample(rng.expovariate(5.0 if calm else 0.5), rng.randrange(1, 60), not calm, number * 0.05)
        most = part.limit
        require(isinstance(most, int) and most in LIMITS, f"the limit is {most!r}; should be a whole number, 1 … 10000")
        trace.append(most)

    steady(part, call)
    return trace


def failover(make: Make, rng: Random) -> Trace:
    part, trace = make("home", "alternate"), Trace()

    def call(number: int) -> None:
        now, well = number * 0.05, number // 1000 % 2 == 0
        region = part.route(now, rng, is_retry=rng.random() < 0.3)
        require(region in ("home", "alternate"), f"routes to {region!r}; should be home or alternate")
        trace.append(region)
        part.on_outcome(region, AttemptOutcome.SUCCESS if well or region != "home" else AttemptOutcome.DROPPED, now)

    steady(part, call)
    return trace


def token_cache(make: Make, rng: Random) -> Trace:
    part, trace = make(), Trace()

    def call(number: int) -> None:
        now, key = number * 0.001, f"key-{number if rng.random() < 0.9 else number // 2}"
        found = part.lookup(key, now)
        require(isinstance(found, Lookup), f"lookup gives {found!r}; should be a Lookup")
        if number % 50 == 0:
            trace.append((key, found.value, part.token(key)))
        if found in (Lookup.MISS, Lookup.REFRESH_EARLY):
            if rng.random() < 0.9:
                part.store(key, number, now, 3600.0)
            else:
                part.fail(key, now, now)

    steady(part, call, KEYS)
    kept = sum(part.token(f"key-{number}") is not None for number in range(2 * KEYS))
    require(kept <= KEYS_MAX, f"keeps {kept} tokens; at most {KEYS_MAX}")
    return trace


class _Samples:
    """Signals of one region: the failure ratio that the test sets."""

    def __init__(self) -> None:
        self.found: tuple[float, int] | None = None

    def failure_ratio(self, _region: str, start_t: float, end_t: float) -> tuple[float, int] | None:
        require(start_t <= end_t, f"asks for the window from {start_t:g} to {end_t:g}")
        return self.found


def gate(make: Make, rng: Random) -> Trace:
    signals, wave, trace = _Samples(), RolloutWave("eastus", "East US", 10.0, 3, 0), Trace()

    def decision(part: Any, now_t: float) -> str:
        made = part.decide(signals, wave, now_t)
        require(made.verdict in ("proceed", "hold", "stop"), f"decides {made.verdict!r}")
        trace.append((now_t, made.verdict, made.reason))
        return str(made.verdict)

    def call(number: int) -> None:
        signals.found = rng.choice((None, (rng.random(), rng.randrange(30)), (0.0, 100), (1.0, 100)))
        decision(part, 10.0 + number % 600)

    part = make()
    steady(part, call, 1000)
    for found in ((0.0, 10_000), (1.0, 10_000)):
        signals.found, fresh = found, make()
        held = all(decision(fresh, 10.0 + second) == "hold" for second in range(GATE_PATIENCE_S))
        require(not held, f"holds for an hour with {found[1]} samples and a failure ratio of {found[0]:g}")
    return trace


def fault(make: Make, rng: Random) -> Trace:
    part, trace = make(), Trace()
    effects = 0

    def call(number: int) -> None:
        nonlocal effects
        now_s = number * 0.05
        made = part.effect(SeenRequest(f"/path/{rng.randrange(9)}", now_s, 3600.0, effects, 0.0), rng)
        if made is not None:
            require(isinstance(made, OwnEffect), f"the effect is {made!r}; should be an OwnEffect or None")
            valid_effect("effect", made)
            effects += 1
        trace.append(made)

    steady(part, call)
    return trace


DRIVES: dict[str, Callable[[Make, Random], Trace]] = {
    "retry": retry,
    "budget": budget,
    "admission": admission,
    "queue": queue,
    "limit": limit,
    "failover": failover,
    "token_cache": token_cache,
    "gate": gate,
    "fault": fault,
}
