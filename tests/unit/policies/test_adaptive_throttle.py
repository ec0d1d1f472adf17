"""p = max(0, (requests - K * accepts) / (requests + 1)), counted before sending."""

from random import Random

import pytest

from services.policies.adaptive_throttle import AdaptiveThrottle
from services.policies.outcome import AttemptOutcome


def history(throttle: AdaptiveThrottle, requests: int, accepts: int, now: float) -> None:
    never = Random(0)
    never.random = lambda: 1.0  # type: ignore[method-assign]
    for number in range(requests):
        throttle.should_reject(now, never)
        throttle.on_outcome(AttemptOutcome.SUCCESS if number < accepts else AttemptOutcome.DROPPED, now)


@pytest.mark.parametrize(
    ("requests", "accepts", "expected"),
    [(0, 0, 0.0), (100, 100, 0.0), (100, 50, 0.0), (100, 40, 20 / 101), (100, 0, 100 / 101)],
)
def test_the_formula_of_the_sre_book(requests: int, accepts: int, expected: float) -> None:
    throttle = AdaptiveThrottle()
    history(throttle, requests, accepts, 1.0)
    assert throttle.probability(1.0) == expected


def test_requests_count_before_they_are_answered() -> None:
    throttle, rng = AdaptiveThrottle(), Random(1)
    for _ in range(3):
        throttle.should_reject(1.0, rng)
    assert throttle.probability(1.0) == 0.75


def test_requests_refused_here_count_too() -> None:
    throttle, rng = AdaptiveThrottle(), Random(1)
    history(throttle, 100, 0, 1.0)
    rejected = sum(throttle.should_reject(1.0, rng) for _ in range(100))
    assert rejected > 90
    assert throttle.probability(1.0) == 200 / 201


def test_an_ignored_outcome_takes_its_request_back() -> None:
    throttle = AdaptiveThrottle()
    throttle.should_reject(1.0, Random(1))
    throttle.on_outcome(AttemptOutcome.IGNORED, 1.0)
    assert throttle.probability(1.0) == 0.0


def test_it_forgets_after_two_minutes() -> None:
    throttle = AdaptiveThrottle()
    history(throttle, 10, 0, 0.0)
    assert throttle.probability(119.9) == 10 / 11
    assert throttle.probability(120.0) == 0.0


def test_a_healthy_backend_draws_nothing_from_the_stream() -> None:
    throttle, rng = AdaptiveThrottle(), Random(1)
    before = rng.getstate()
    throttle.should_reject(1.0, rng)
    assert rng.getstate() == before


def test_a_dead_backend_gets_about_its_share_of_probes() -> None:
    """With nothing accepted p tends to 1, yet some requests always pass."""
    throttle, rng = AdaptiveThrottle(), Random(1)
    sent = sum(not throttle.should_reject(1.0, rng) for _ in range(10_000))
    assert 1 <= sent < 30


def test_off_rejects_nothing() -> None:
    throttle = AdaptiveThrottle(enabled=False)
    history(throttle, 100, 0, 1.0)
    assert throttle.should_reject(1.0, Random(1)) is False


def test_reprs() -> None:
    assert repr(AdaptiveThrottle(enabled=False)) == "<AdaptiveThrottle off>"
    assert repr(AdaptiveThrottle()) == "<AdaptiveThrottle K=2, <SlidingCounts 0 good of 0 in 120s>>"


@pytest.mark.parametrize("late_s", [0.0, 6.0, 130.0])
def test_an_ignored_answer_in_a_later_slice_leaves_no_debt(late_s: float) -> None:
    """Three requests of the first second end one after the other: no count may become negative."""
    throttle = AdaptiveThrottle()
    for _ in range(3):
        throttle.should_reject(1.0, Random(1))
    for _ in range(3):
        throttle.on_outcome(AttemptOutcome.IGNORED, 1.0 + late_s, 1.0)
        assert 0.0 <= throttle.probability(1.0 + late_s) < 1.0
    assert throttle.probability(125.0) == 0.0
    assert throttle.probability(1.0 + late_s) == 0.0
