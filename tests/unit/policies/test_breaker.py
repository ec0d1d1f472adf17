"""Closed, open, half-open: when each begins, and what it lets through."""

from typing import Any

from services.policies.breaker import Breaker, BreakerSettings
from services.policies.outcome import AttemptOutcome

GOOD, BAD, IGNORED = AttemptOutcome.SUCCESS, AttemptOutcome.DROPPED, AttemptOutcome.IGNORED


def breaker(**changes: Any) -> Breaker:
    values: dict[str, Any] = {"mode": "all", "consecutive_failures": 3, "break_s": 5.0} | changes
    return Breaker(BreakerSettings.model_validate(values))


def report(policy: Breaker, now: float, *outcomes: AttemptOutcome) -> None:
    for outcome in outcomes:
        policy.on_outcome(outcome, now)


def test_it_opens_after_three_failures_in_a_row() -> None:
    policy = breaker()
    report(policy, 1.0, BAD, BAD, GOOD, BAD, BAD)
    assert policy.state(1.0) == "closed"
    report(policy, 1.0, BAD)
    assert policy.state(1.0) == "open"
    assert policy.allow(1.0) is False


def test_ignored_outcomes_do_not_affect_the_failure_count() -> None:
    policy = breaker()
    report(policy, 1.0, BAD, IGNORED, BAD, IGNORED)
    assert policy.state(1.0) == "closed"
    report(policy, 1.0, BAD)
    assert policy.state(1.0) == "open"


def test_it_opens_at_pollys_ten_percent_of_a_hundred_calls() -> None:
    policy = breaker(consecutive_failures=None)
    for number in range(99):
        report(policy, 1.0, BAD if number < 10 else GOOD)
    assert policy.state(1.0) == "closed"  # 10 of 99 is more than 10 %, but fewer than 100 calls
    report(policy, 1.0, BAD)
    assert policy.state(1.0) == "open"


def test_nine_percent_keeps_it_closed() -> None:
    policy = breaker(consecutive_failures=None)
    for number in range(200):
        report(policy, 1.0, BAD if number % 100 >= 91 else GOOD)
    assert policy.state(1.0) == "closed"


def test_failures_older_than_the_window_do_not_count() -> None:
    policy = breaker(consecutive_failures=None, samples_min=10)
    report(policy, 0.0, *[BAD] * 9)
    report(policy, 30.0, *[GOOD] * 10)
    assert policy.state(30.0) == "closed"


def test_it_half_opens_exactly_after_its_break_and_lets_one_trial_through() -> None:
    policy = breaker()
    report(policy, 1.0, BAD, BAD, BAD)
    assert policy.allow(5.999) is False
    assert policy.state(6.0) == "half-open"
    assert [policy.allow(6.0) for _ in range(3)] == [True, False, False]


def test_a_successful_trial_closes_it_and_resets_its_counts() -> None:
    policy = breaker()
    report(policy, 1.0, BAD, BAD, BAD)
    assert policy.allow(6.0) is True
    report(policy, 7.0, GOOD)
    assert policy.state(7.0) == "closed"
    report(policy, 7.0, BAD, BAD)
    assert policy.state(7.0) == "closed"


def test_a_bad_trial_opens_it_for_another_break() -> None:
    policy = breaker()
    report(policy, 1.0, BAD, BAD, BAD)
    assert policy.allow(6.0) is True
    report(policy, 7.0, BAD)
    assert policy.state(11.999) == "open"
    assert policy.state(12.0) == "half-open"


def test_an_ignored_trial_frees_its_place() -> None:
    policy = breaker()
    report(policy, 1.0, BAD, BAD, BAD)
    assert policy.allow(6.0) is True
    report(policy, 7.0, IGNORED)
    assert policy.allow(7.0) is True


def test_all_trials_must_succeed() -> None:
    policy = breaker(trials=2)
    report(policy, 1.0, BAD, BAD, BAD)
    assert [policy.allow(6.0) for _ in range(3)] == [True, True, False]
    report(policy, 6.5, GOOD)
    assert policy.state(6.5) == "half-open"
    assert policy.allow(6.5) is False
    report(policy, 6.5, GOOD)
    assert policy.state(6.5) == "closed"


def test_calls_from_before_the_break_are_ignored() -> None:
    policy = breaker()
    report(policy, 1.0, BAD, BAD, BAD, GOOD, GOOD)
    assert policy.state(1.0) == "open"
    report(policy, 6.0, GOOD)
    assert policy.state(6.0) == "half-open"


def test_retries_only_stops_retries_and_no_first_attempt() -> None:
    policy = breaker(mode="retries_only")
    report(policy, 1.0, BAD, BAD, BAD)
    assert policy.allow(1.0) is True
    assert policy.allow(1.0, is_retry=True) is False


def test_retries_only_reopens_by_a_retry() -> None:
    policy = breaker(mode="retries_only")
    report(policy, 1.0, BAD, BAD, BAD)
    assert [policy.allow(6.0, is_retry=True) for _ in range(2)] == [True, False]
    report(policy, 6.0, GOOD)
    assert policy.allow(6.0, is_retry=True) is True


def test_off_never_opens() -> None:
    policy = breaker(mode="off")
    report(policy, 1.0, *[BAD] * 1000)
    assert policy.allow(1.0) is True
    assert policy.allow(1.0, is_retry=True) is True
    assert repr(policy) == "<Breaker off>"


def test_the_repr_says_when_it_half_opens() -> None:
    policy = breaker()
    report(policy, 1.0, GOOD, GOOD, BAD, BAD, BAD)
    policy.allow(2.0)
    assert repr(policy) == "<Breaker open, 3/5 failures, half-open in 4.0s>"
    assert repr(breaker()) == "<Breaker closed, 0/0 failures>"


def test_a_late_success_of_an_old_call_is_not_the_trial() -> None:
    policy = breaker()
    assert policy.allow(0.5)
    report(policy, 1.0, BAD, BAD, BAD)
    assert policy.allow(6.0)
    policy.on_outcome(GOOD, 6.1, 0.5)
    assert policy.state(6.1) == "half-open"
    policy.on_outcome(BAD, 6.2, 0.5)
    assert policy.state(6.2) == "half-open", "nor is a late failure"
    policy.on_outcome(GOOD, 6.3, 6.0)
    assert policy.state(6.3) == "closed"


def test_late_failures_of_calls_from_before_the_break_do_not_open_it_again() -> None:
    policy = breaker()
    report(policy, 1.0, BAD, BAD, BAD)
    assert policy.allow(6.0)
    policy.on_outcome(GOOD, 6.1, 6.0)
    for _ in range(5):
        policy.on_outcome(BAD, 6.2, 0.5)
    assert policy.state(6.2) == "closed"
