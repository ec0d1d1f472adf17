"""Retry budget, circuit breaker, adaptive throttle and deadline at the callers of the identity service."""

import asyncio

import pytest

from services.clients.identity.client import IdentityClientSettings
from services.clients.identity.guard import CallGuard, GuardSettings
from services.policies.deadline import HEADER
from tests.unit.mitigations.caller_bench import NOT_FOUND, OVERLOADED, THROTTLED, TIMED_OUT, Caller

FINAGLE = {"budget": {"kind": "finagle", "share": 0.1, "retries_per_s_min": 0.3, "window_s": 10.0}}
ALL_AT_ONCE = {"enabled": True, "attempts": 4, "wait": "fixed", "base_s": 0.0}
NO_LAYER = {"enabled": False}
BREAKER = {"samples_min": 10, "failure_ratio": 0.5, "window_s": 30.0, "break_s": 5.0}


def test_the_incidents_callers_have_no_guard() -> None:
    settings = IdentityClientSettings()
    assert not settings.guard.active
    assert not settings.cache.enabled
    assert not settings.send_deadline


async def test_without_a_budget_an_operation_that_keeps_failing_is_twelve_attempts() -> None:
    caller = Caller()
    caller.service.failure = OVERLOADED
    result = await caller.token()
    assert (result.failure, result.attempts, caller.attempts) == ("shed", 12, 12)


async def test_a_budget_counts_the_retries_of_both_layers_and_of_all_operations() -> None:
    caller = Caller(guard=FINAGLE)
    caller.service.failure = OVERLOADED
    for _ in range(10):
        await asyncio.gather(*(caller.token() for _ in range(10)))
    # A hundred operations within the window deposit ten retries; the reserve is 0.3/s for ten seconds.
    assert caller.attempts == 100 + 10 + 3
    assert caller.held_back("budget") > 0


async def test_a_budget_that_refuses_leaves_the_last_answer() -> None:
    caller = Caller(guard={"budget": {"kind": "finagle", "share": 0.0, "retries_per_s_min": 0.0}})
    caller.service.failure = THROTTLED
    result = await caller.token()
    assert (result.failure, result.status, result.attempts) == ("throttled", 429, 1)


async def test_a_budget_may_be_each_tenants_own() -> None:
    shared, own = Caller(guard=FINAGLE), Caller(guard={**FINAGLE, "scope": "tenant"})
    for caller in (shared, own):
        caller.service.failure = OVERLOADED
        for tenant in ("a", "b"):
            await caller.token(tenant)
    # One reserve of three retries, or one for each.
    assert (shared.attempts, own.attempts) == (2 + 3, 2 + 3 + 3)


@pytest.mark.parametrize(("failure", "retries"), [(TIMED_OUT, 50), (OVERLOADED, 100)])
async def test_the_aws_quota_charges_a_timeout_twice(failure: object, retries: int) -> None:
    caller = Caller(guard={"budget": {"kind": "aws"}}, sdk=ALL_AT_ONCE, workflow=NO_LAYER)
    caller.service.failure = failure  # type: ignore[assignment]
    for _ in range(100):
        await caller.token()
    assert caller.attempts == 100 + retries


async def test_a_caller_that_is_cancelled_gives_back_what_it_had_paid_for() -> None:
    caller = Caller(guard={"budget": {"kind": "envoy"}})
    caller.service.failure = OVERLOADED
    waiting = [caller.begin() for _ in range(20)]
    await asyncio.sleep(0.1)  # three of them are in their backoff, paid for
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    guard = caller.client._layers["eastus"].guards[""]  # type: ignore[index]
    assert repr(guard._budget) == "<EnvoyBudget 0 retries of 0 in flight>"


async def test_a_breaker_of_retries_lets_every_first_attempt_pass() -> None:
    caller = Caller(guard={"breaker": {**BREAKER, "mode": "retries_only"}})
    caller.service.failure = OVERLOADED
    await asyncio.gather(*(caller.token() for _ in range(10)))
    tripped = caller.attempts
    results = [await caller.token() for _ in range(5)]
    assert caller.attempts == tripped + 5
    assert {(result.failure, result.attempts) for result in results} == {("shed", 1)}
    assert caller.held_back("breaker") > 0


async def test_after_the_break_one_retry_is_tried_and_success_closes_the_circuit() -> None:
    caller = Caller(guard={"breaker": {**BREAKER, "mode": "retries_only"}}, sdk=ALL_AT_ONCE, workflow=NO_LAYER)
    caller.service.failure = OVERLOADED
    await asyncio.gather(*(caller.token() for _ in range(10)))
    await asyncio.sleep(5.0)
    before = caller.attempts
    assert (await caller.token()).attempts == 2  # the trial, which fails: open again
    assert (await caller.token()).attempts == 1
    assert caller.attempts == before + 3


async def test_a_first_attempt_is_not_the_trial_of_a_breaker_of_retries() -> None:
    guard = CallGuard(GuardSettings.model_validate({"breaker": {**BREAKER, "mode": "retries_only"}}), rng=None)  # type: ignore[arg-type]
    from services.policies.outcome import AttemptOutcome

    for _ in range(10):
        guard.ended(AttemptOutcome.DROPPED, 0.0, is_retry=False)
    assert guard.refusal(1.0, is_retry=True) == "breaker"
    assert guard.refusal(5.0, is_retry=True) == ""  # the trial goes out
    guard.ended(AttemptOutcome.SUCCESS, 5.1, is_retry=False)
    assert guard.refusal(5.2, is_retry=True) == "breaker"
    guard.ended(AttemptOutcome.SUCCESS, 5.3, is_retry=True)
    assert guard.refusal(5.4, is_retry=True) == ""


async def test_a_breaker_of_everything_sends_nothing_and_says_so() -> None:
    caller = Caller(guard={"breaker": {**BREAKER, "mode": "all"}}, sdk=ALL_AT_ONCE, workflow=NO_LAYER)
    caller.service.failure = OVERLOADED
    await asyncio.gather(*(caller.token() for _ in range(10)))
    before = caller.attempts
    result = await caller.token()
    assert (result.failure, result.status, result.attempts) == ("held_back", 0, 0)
    assert caller.attempts == before
    assert caller.counted("identity_client_operations_total", result="failed") == 11


async def test_client_errors_do_not_trip_the_breaker() -> None:
    caller = Caller(guard={"breaker": {**BREAKER, "mode": "all"}})
    caller.service.failure = NOT_FOUND
    results = [await caller.token() for _ in range(50)]
    assert {result.status for result in results} == {404}
    assert caller.attempts == 50


async def test_the_throttle_holds_back_what_the_service_would_refuse() -> None:
    naive, throttled = Caller(workflow=NO_LAYER), Caller(workflow=NO_LAYER, guard={"throttle": {"enabled": True}})
    for caller in (naive, throttled):
        caller.service.failure = OVERLOADED
        await asyncio.gather(*(caller.token() for _ in range(50)))
        caller.service.failure = None
    assert naive.attempts == 200
    assert throttled.attempts + throttled.held_back("throttle") == 200
    assert throttled.attempts < 100
    await asyncio.sleep(10.0)  # its memory
    assert (await throttled.token()).ok


async def test_a_deadline_is_when_this_attempt_will_be_given_up() -> None:
    silent, telling = Caller(), Caller(send_deadline=True)
    await silent.token()
    await asyncio.sleep(2.5)
    await telling.token()
    assert HEADER not in silent.service.requests[0][1]
    assert float(telling.service.requests[0][1][HEADER]) == telling.env.clock.epoch() + 1.0


async def test_a_switched_policy_meets_the_next_operation() -> None:
    caller = Caller()
    caller.service.failure = OVERLOADED
    under_way = caller.begin()
    await asyncio.sleep(1.0)
    caller.switch(sdk=NO_LAYER, workflow=NO_LAYER)
    assert (await caller.token()).attempts == 1
    assert (await under_way).attempts == 12
    caller.switch(sdk={"enabled": True}, workflow={"enabled": True})
    assert (await caller.token()).attempts == 12


async def test_what_a_guard_has_learnt_outlives_a_change_elsewhere() -> None:
    caller = Caller(guard=FINAGLE)
    caller.service.failure = OVERLOADED
    await caller.token()
    caller.switch(send_deadline=True)
    await caller.token()
    assert caller.attempts == 2 + 3
    caller.switch(guard={"budget": {"share": 0.2}})
    await caller.token()
    assert caller.attempts == 2 + 3 + 1 + 3


async def test_a_bad_setting_is_reported_and_changes_nothing() -> None:
    caller = Caller()
    await caller.token()
    caller.switch(timeout_s=-1)
    assert (await caller.token()).ok
    assert "identity_client.timeout_s" in caller.events[0]["error"]
