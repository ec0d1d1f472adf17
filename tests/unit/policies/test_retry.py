"""The plain loop takes tenacity's decisions; the formulas give the published waits."""

from dataclasses import dataclass
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
import tenacity
from hypothesis import given, settings
from hypothesis import strategies as st

from services.policies.retry import (
    SDK_NAIVE,
    WORKFLOW_NAIVE,
    CallState,
    RetryPolicy,
    RetrySettings,
    call,
)

DEFENDED = RetrySettings(attempts=3, wait="full_jitter", honour_retry_after=True)
NO_RETRY = RetrySettings(enabled=False)


@dataclass(frozen=True)
class Answer:
    retryable: bool = False
    retry_after_s: float | None = None
    number: int = 0


class Fault(Exception):
    def __init__(self, retryable: bool, retry_after_s: float | None = None) -> None:
        super().__init__("fault")
        self.retryable = retryable
        self.retry_after_s = retry_after_s


class Bench:
    """A clock that only sleep and attempts move, and the attempts themselves."""

    def __init__(self, outcomes: list[Answer | Fault], attempt_s: float = 0.0) -> None:
        self.now = 0.0
        self.outcomes = outcomes
        self.attempt_s = attempt_s
        self.attempts = 0
        self.waits: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds

    async def attempt(self) -> Answer:
        outcome = self.outcomes[min(self.attempts, len(self.outcomes) - 1)]
        self.attempts += 1
        self.now += self.attempt_s
        if isinstance(outcome, Fault):
            raise outcome
        return outcome

    async def run(self, retry: RetrySettings, rng: Random | None = None, **options: Any) -> Answer:
        return await call(
            retry.build(), self.attempt, clock_now=self.clock, sleep=self.sleep, rng=rng or Random(1), **options
        )


FAIL = Answer(retryable=True)
GOOD = Answer()


async def test_the_sdk_layer_makes_four_attempts_and_waits_a_quarter_a_half_and_one_second() -> None:
    bench = Bench([FAIL])
    result = await bench.run(SDK_NAIVE)
    assert (bench.attempts, bench.waits, result) == (4, [0.25, 0.5, 1.0], FAIL)


async def test_the_exponential_wait_stops_growing_at_its_maximum() -> None:
    bench = Bench([FAIL])
    await bench.run(RetrySettings(attempts=7))
    assert bench.waits == [0.25, 0.5, 1.0, 2.0, 2.0, 2.0]


async def test_two_nested_layers_multiply_to_twelve_attempts_in_nineteen_and_a_quarter_seconds() -> None:
    """docs/model.md §1: with one-second timeouts a job emits 12 attempts per 19.25 s."""
    bench = Bench([FAIL], attempt_s=1.0)

    async def sdk_call() -> Answer:
        return await bench.run(SDK_NAIVE)

    result = await call(WORKFLOW_NAIVE.build(), sdk_call, clock_now=bench.clock, sleep=bench.sleep, rng=Random(1))
    assert (bench.attempts, bench.now, result) == (12, 19.25, FAIL)


async def test_success_ends_the_call_at_once() -> None:
    bench = Bench([FAIL, GOOD])
    assert await bench.run(SDK_NAIVE) is GOOD
    assert (bench.attempts, bench.waits) == (2, [0.25])


async def test_off_makes_one_attempt() -> None:
    bench = Bench([FAIL])
    seen: list[int] = []
    assert await bench.run(NO_RETRY, on_attempt=seen.append) is FAIL
    assert (bench.attempts, bench.waits, seen) == (1, [], [1])


async def test_retry_after_replaces_the_backoff_only_where_it_is_honoured() -> None:
    asked = Answer(retryable=True, retry_after_s=1.0)
    deaf, listening = Bench([asked]), Bench([asked])
    await deaf.run(SDK_NAIVE)
    await listening.run(DEFENDED)
    assert deaf.waits == [0.25, 0.5, 1.0]
    assert listening.waits == [1.0, 1.0]


async def test_a_negative_retry_after_is_no_wait() -> None:
    bench = Bench([Answer(retryable=True, retry_after_s=-3.0)])
    await bench.run(DEFENDED)
    assert bench.waits == [0.0, 0.0]


async def test_the_budget_has_the_last_word_and_is_asked_once_per_retry_with_the_time_of_the_failure() -> None:
    bench = Bench([FAIL], attempt_s=1.0)
    asked: list[float] = []

    def may_retry(now: float) -> bool:
        asked.append(now)
        return len(asked) < 3

    assert await bench.run(SDK_NAIVE, may_retry=may_retry) is FAIL
    assert (bench.attempts, asked) == (3, [1.0, 2.25, 3.75])


async def test_the_budget_is_not_asked_after_the_last_attempt() -> None:
    bench = Bench([FAIL])
    asked: list[float] = []

    def may_retry(now: float) -> bool:
        asked.append(now)
        return True

    await bench.run(SDK_NAIVE, may_retry=may_retry)
    assert len(asked) == 3


async def test_attempts_are_announced_before_they_start() -> None:
    bench = Bench([FAIL])
    seen: list[tuple[int, int]] = []
    await bench.run(SDK_NAIVE, on_attempt=lambda number: seen.append((number, bench.attempts)))
    assert seen == [(1, 0), (2, 1), (3, 2), (4, 3)]


async def test_a_retryable_exception_is_retried_and_the_last_one_raised() -> None:
    bench = Bench([Fault(retryable=True)])
    with pytest.raises(Fault):
        await bench.run(SDK_NAIVE)
    assert bench.attempts == 4


async def test_any_other_exception_passes_through_at_once() -> None:
    bench = Bench([Fault(retryable=False)])
    with pytest.raises(Fault):
        await bench.run(SDK_NAIVE)
    assert (bench.attempts, bench.waits) == (1, [])


async def test_an_exception_that_says_nothing_is_not_retried() -> None:
    bench = Bench([FAIL])

    async def attempt() -> Answer:
        await bench.attempt()
        raise ValueError("no opinion")

    with pytest.raises(ValueError, match="no opinion"):
        await call(SDK_NAIVE.build(), attempt, clock_now=bench.clock, sleep=bench.sleep, rng=Random(1))
    assert bench.attempts == 1


async def test_stop_after_delay_follows_our_clock() -> None:
    bench = Bench([FAIL], attempt_s=1.0)
    bench.now = 100.0
    await bench.run(RetrySettings(attempts=10, wait="fixed", base_s=1.0, stop_after_delay_s=5.0))
    assert (bench.attempts, bench.now) == (3, 105.0)


async def test_a_strategy_of_ones_own_reads_what_tenacity_offers() -> None:
    bench, seen = Bench([FAIL]), []

    def stop(state: CallState) -> bool:
        seen.append((state.attempt_number, state.idle_for, state.upcoming_sleep, repr(state)))
        return state.idle_for >= 0.75

    plain = SDK_NAIVE.build()
    policy = RetryPolicy(SDK_NAIVE, stop=stop, wait=plain.wait, retry=plain.retry)
    await call(policy, bench.attempt, clock_now=bench.clock, sleep=bench.sleep, rng=Random(1))
    assert seen == [
        (1, 0.0, 0.25, "<CallState attempt 1, slept 0.00s>"),
        (2, 0.25, 0.5, "<CallState attempt 2, slept 0.25s>"),
        (3, 0.75, 1.0, "<CallState attempt 3, slept 0.75s>"),
    ]


def waits_of(retry: RetrySettings, seed: int, failures: int) -> list[float]:
    """Waits the policy would make, straight from the strategy and without any loop."""
    policy, rng, waits = retry.build(), Random(seed), []
    state = SimpleNamespace(rng=rng, upcoming_sleep=0.0, attempt_number=1, outcome=None)
    for number in range(1, failures + 1):
        state.attempt_number = number
        state.upcoming_sleep = policy.wait(state)
        waits.append(state.upcoming_sleep)
    return waits


def test_full_jitter_is_uniform_from_zero_to_the_exponential() -> None:
    rng = Random(5)
    expected = [rng.random() * high for high in (0.25, 0.5, 1.0, 2.0, 2.0)]
    assert waits_of(RetrySettings(wait="full_jitter"), 5, 5) == expected


def test_equal_jitter_keeps_half_of_the_exponential() -> None:
    rng = Random(5)
    expected = [high / 2 + rng.random() * (high / 2) for high in (0.25, 0.5, 1.0, 2.0)]
    waits = waits_of(RetrySettings(wait="equal_jitter"), 5, 4)
    assert waits == expected
    assert all(high / 2 <= wait <= high for wait, high in zip(waits, (0.25, 0.5, 1.0, 2.0), strict=True))


def test_decorrelated_jitter_grows_from_its_own_last_wait() -> None:
    rng, previous, expected = Random(5), 0.25, []
    for _ in range(6):
        previous = min(2.0, 0.25 + rng.random() * (3 * previous - 0.25))
        expected.append(previous)
    assert waits_of(RetrySettings(wait="decorrelated_jitter"), 5, 6) == expected


def test_jitter_comes_from_the_given_stream_alone() -> None:
    retry = RetrySettings(wait="full_jitter")
    assert waits_of(retry, 5, 4) == waits_of(retry, 5, 4)
    assert waits_of(retry, 5, 4) != waits_of(retry, 6, 4)


async def stock(retry: RetrySettings, bench: Bench, rng: Random) -> Answer:
    """The same strategies, driven by tenacity itself, on the bench's clock."""
    policy = retry.build()

    def lend_stream(state: tenacity.RetryCallState) -> None:
        state.rng = rng  # type: ignore[attr-defined]

    driver = tenacity.AsyncRetrying(
        sleep=bench.sleep,
        stop=policy.stop,
        wait=policy.wait,
        retry=policy.retry,
        before=lend_stream,
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
    )
    answer: Answer = await driver(bench.attempt)
    return answer


outcomes = st.lists(
    st.one_of(
        st.builds(Answer, st.booleans(), st.none() | st.floats(0, 5), st.integers(0, 99)),
        st.builds(Fault, st.booleans(), st.none() | st.floats(0, 5)),
    ),
    min_size=1,
    max_size=12,
)
retries = st.builds(
    RetrySettings,
    attempts=st.integers(1, 8),
    wait=st.sampled_from(["exponential", "full_jitter", "equal_jitter", "decorrelated_jitter", "fixed"]),
    base_s=st.floats(0, 3),
    max_s=st.floats(3.0, 10.0),
    multiplier=st.floats(1, 3),
    honour_retry_after=st.booleans(),
    stop_after_delay_s=st.none() | st.floats(0.1, 20),
)


@settings(max_examples=300, deadline=None)
@given(outcomes, retries, st.floats(0, 2), st.integers(0, 1000))
async def test_the_plain_loop_decides_as_async_retrying_does(
    sequence: list[Answer | Fault], retry: RetrySettings, attempt_s: float, seed: int
) -> None:
    ours, theirs = Bench(sequence, attempt_s), Bench(sequence, attempt_s)
    our_rng, their_rng = Random(seed), Random(seed)
    endings: list[object] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tenacity, "time", SimpleNamespace(monotonic=theirs.clock))
        for run in (ours.run(retry, our_rng), stock(retry, theirs, their_rng)):
            try:
                endings.append(await run)
            except Fault as fault:
                endings.append(fault)
    assert ours.attempts == theirs.attempts
    assert ours.waits == theirs.waits
    assert ours.now == theirs.now
    assert endings[0] is endings[1]
    assert our_rng.getstate() == their_rng.getstate()


def test_reprs_are_one_readable_line() -> None:
    assert repr(SDK_NAIVE.build()) == "<RetryPolicy 4 attempts, exponential from 0.25s>"
    assert repr(DEFENDED.build()) == "<RetryPolicy 3 attempts, full_jitter from 0.25s, Retry-After first>"
    assert repr(NO_RETRY.build()) == "<RetryPolicy off>"


def test_settings_are_frozen_and_refuse_unknown_names() -> None:
    with pytest.raises(ValueError):
        RetrySettings.model_validate({"attempt": 3})
    with pytest.raises(ValueError):
        SDK_NAIVE.attempts = 5
