"""Each budget spends and earns exactly as its source does."""

import pytest

from services.policies.outcome import AttemptOutcome
from services.policies.retry_budget import (
    AwsQuota,
    BrookerBudget,
    BudgetSettings,
    EnvoyBudget,
    FinagleBudget,
    GrpcThrottle,
    RetryBudget,
    UnlimitedBudget,
)


def spend(budget: RetryBudget, now: float, wanted: int = 10_000) -> int:
    """How many retries in a row it allows."""
    for count in range(wanted):
        if not budget.may_retry(now):
            return count
    return wanted


def test_finagles_reserve_is_a_hundred_retries_in_one_burst() -> None:
    """10 per second * 10 s * 5000 tokens = 500 000, and a retry costs 5000."""
    budget = FinagleBudget()
    assert budget.reserve == 500_000
    assert spend(budget, 0.0) == 100


def test_finagle_allows_one_retry_for_five_requests_at_twenty_percent() -> None:
    budget = FinagleBudget(share=0.2, retries_per_s_min=0.0)
    for _ in range(4):
        budget.on_request(0.0)
    assert budget.may_retry(0.0) is False
    budget.on_request(0.0)
    assert budget.may_retry(0.0) is True
    assert budget.may_retry(0.0) is False


def test_finagles_deposits_and_withdrawals_expire_after_ten_seconds() -> None:
    budget = FinagleBudget()
    assert spend(budget, 0.0) == 100
    assert spend(budget, 9.9) == 0
    assert spend(budget, 10.0) == 100
    for _ in range(50):
        budget.on_request(20.0)
    assert spend(budget, 29.9) == 110
    assert spend(budget, 39.9) == 100


def test_finagle_without_a_share_gives_only_its_reserve() -> None:
    budget = FinagleBudget(share=0.0, retries_per_s_min=2.0)
    for _ in range(100):
        budget.on_request(0.0)
    assert spend(budget, 0.0) == 20


def test_the_defended_budget_adds_ten_percent_and_three_retries_per_ten_seconds() -> None:
    budget = BudgetSettings(kind="finagle").build()
    assert spend(budget, 0.0) == 3
    for _ in range(100):
        budget.on_request(20.0)
    assert spend(budget, 20.0) == 13


def test_aws_spends_its_quota_at_five_a_retry_and_ten_a_timeout() -> None:
    assert spend(AwsQuota(), 0.0) == 100
    budget = AwsQuota()
    assert sum(budget.may_retry(0.0, "timeout") for _ in range(99)) == 50
    budget = AwsQuota()
    assert sum(budget.may_retry(0.0, "throttled") for _ in range(199)) == 100


def test_aws_spends_it_at_fourteen_with_the_new_costs() -> None:
    assert spend(AwsQuota(new_costs=True), 0.0) == 35
    budget = AwsQuota(new_costs=True)
    assert sum(budget.may_retry(0.0, "timeout") for _ in range(99)) == 35
    budget = AwsQuota(new_costs=True)
    assert sum(budget.may_retry(0.0, "throttled") for _ in range(200)) == 100


def test_aws_gives_back_the_cost_of_a_retry_that_helped_and_one_otherwise() -> None:
    budget = AwsQuota()
    spend(budget, 0.0)
    assert budget.level == 0
    budget.on_outcome(AttemptOutcome.SUCCESS, 0.0)
    assert budget.level == 1
    budget.on_outcome(AttemptOutcome.SUCCESS, 0.0, is_retry=True)
    assert budget.level == 6
    budget.on_outcome(AttemptOutcome.SUCCESS, 0.0, is_retry=True, failure="timeout")
    assert budget.level == 16
    budget.on_outcome(AttemptOutcome.DROPPED, 0.0, is_retry=True)
    budget.on_outcome(AttemptOutcome.IGNORED, 0.0)
    assert budget.level == 16


def test_aws_never_holds_more_than_its_capacity() -> None:
    budget = AwsQuota()
    budget.on_outcome(AttemptOutcome.SUCCESS, 0.0)
    assert budget.level == 500


def test_grpc_stops_at_half_its_tokens_and_needs_ten_successes_per_failure() -> None:
    budget = GrpcThrottle()
    for _ in range(4):
        budget.on_outcome(AttemptOutcome.DROPPED, 0.0)
    assert (budget.tokens, budget.may_retry(0.0)) == (6.0, True)
    budget.on_outcome(AttemptOutcome.DROPPED, 0.0)
    assert (budget.tokens, budget.may_retry(0.0)) == (5.0, False)
    budget.on_outcome(AttemptOutcome.SUCCESS, 0.0)
    assert (budget.tokens, budget.may_retry(0.0)) == (5.1, True)
    for _ in range(100):
        budget.on_outcome(AttemptOutcome.SUCCESS, 0.0)
    assert budget.tokens == 10.0
    for _ in range(100):
        budget.on_outcome(AttemptOutcome.DROPPED, 0.0)
    assert budget.tokens == 0.0


def test_grpc_takes_nothing_for_a_retry_and_nothing_for_an_ignored_outcome() -> None:
    budget = GrpcThrottle()
    spend(budget, 0.0, 50)
    budget.on_outcome(AttemptOutcome.IGNORED, 0.0)
    assert budget.tokens == 10.0


def test_envoy_allows_three_retries_in_flight_however_idle() -> None:
    budget = EnvoyBudget()
    budget.on_request(0.0)
    assert spend(budget, 0.0) == 3


def test_envoy_allows_twenty_percent_of_what_is_in_flight_the_retries_included() -> None:
    budget = EnvoyBudget()
    for _ in range(100):
        budget.on_request(0.0)
    assert spend(budget, 0.0) == 24  # 124 in flight, 20 % of which is 24.8
    budget.on_outcome(AttemptOutcome.DROPPED, 0.0, is_retry=True)
    assert (budget.retries, budget.active) == (23, 123)
    assert spend(budget, 0.0) == 1
    for _ in range(100):
        budget.on_outcome(AttemptOutcome.SUCCESS, 0.0)
    assert (budget.retries, budget.active) == (24, 24)
    assert budget.may_retry(0.0) is False


def test_brooker_earns_a_tenth_and_spends_one() -> None:
    budget = BrookerBudget()
    assert spend(budget, 0.0) == 10
    for _ in range(9):
        budget.on_outcome(AttemptOutcome.SUCCESS, 0.0)
    assert budget.may_retry(0.0) is False
    budget.on_outcome(AttemptOutcome.SUCCESS, 0.0)
    assert budget.tokens == 1.0
    assert budget.may_retry(0.0) is True


def test_brooker_at_the_start_of_a_call_earns_whatever_becomes_of_it() -> None:
    budget = BudgetSettings(kind="brooker", deposit_on="start", capacity=5.0).build()
    assert [budget.may_retry(0.0) for _ in range(6)] == [True] * 5 + [False]
    for _ in range(10):
        budget.on_request(0.0)
        budget.on_outcome(AttemptOutcome.DROPPED, 0.0)
    assert budget.may_retry(0.0)
    assert not budget.may_retry(0.0)
    budget.on_outcome(AttemptOutcome.SUCCESS, 0.0)
    assert repr(budget) == "<BrookerBudget 0/5 tokens>"


def test_brooker_adds_a_tenth_to_the_load_while_failures_persist() -> None:
    budget = BrookerBudget()
    spend(budget, 0.0)
    retries = 0
    for number in range(10_000):
        outcome = AttemptOutcome.DROPPED if number % 2 else AttemptOutcome.SUCCESS
        budget.on_outcome(outcome, 0.0)
        retries += outcome is AttemptOutcome.DROPPED and budget.may_retry(0.0)
    assert retries == 500  # 5000 successes deposit 500


def test_off_allows_every_retry() -> None:
    budget = BudgetSettings().build()
    assert isinstance(budget, UnlimitedBudget)
    budget.on_request(0.0)
    budget.on_outcome(AttemptOutcome.DROPPED, 0.0)
    assert spend(budget, 0.0, 5000) == 5000


KINDS = {
    "off": "<UnlimitedBudget off>",
    "finagle": "<FinagleBudget 10% of requests + 3 in reserve>",
    "aws": "<AwsQuota 500/500, a retry costs 5>",
    "aws_2026": "<AwsQuota 500/500, a retry costs 14>",
    "grpc": "<GrpcThrottle 10/10 tokens>",
    "envoy": "<EnvoyBudget 0 retries of 0 in flight>",
    "brooker": "<BrookerBudget 10/10 tokens>",
}


@pytest.mark.parametrize("kind", KINDS)
def test_settings_build_every_kind(kind: str) -> None:
    assert repr(BudgetSettings.model_validate({"kind": kind}).build()) == KINDS[kind]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("off", "envoy")])
def test_every_budget_that_remembers_ends_a_retry_storm(kind: str) -> None:
    """1000 requests in 10 s, one at a time, each failing and wanting three retries: plain clients make 4000 attempts.

    Envoy's limits only what is in flight at one time, and says nothing here.
    """
    budget = BudgetSettings.model_validate({"kind": kind}).build()
    attempts = 0
    for number in range(1000):
        now = number * 0.01
        budget.on_request(now)
        attempts += 1
        retried = False
        for _ in range(3):
            budget.on_outcome(AttemptOutcome.DROPPED, now, is_retry=retried)
            if not budget.may_retry(now):
                break
            retried = True
            attempts += 1
        else:
            budget.on_outcome(AttemptOutcome.DROPPED, now, is_retry=True)
    assert 1000 <= attempts <= 1110


def test_more_ends_than_beginnings_make_no_room_for_retries() -> None:
    budget = EnvoyBudget()
    for _ in range(100):
        budget.on_outcome(AttemptOutcome.DROPPED, 1.0, is_retry=True)
    assert [budget.may_retry(1.0) for _ in range(4)] == [True, True, True, False]
