"""Tokens shared between callers (X2): what costs an operation, and what does not."""

import asyncio

from tests.unit.mitigations.caller_bench import LIFETIME_S, OVERLOADED, Caller

ONE_CACHE = {"cache": {"enabled": True, "callers": 1, "margin_s": 5.0}}


async def test_without_a_cache_every_token_is_an_operation() -> None:
    caller = Caller()
    for _ in range(3):
        await caller.token()
    assert (caller.started, len(caller.service.requests)) == (3, 3)


async def test_a_cached_token_is_no_operation_and_no_attempt() -> None:
    caller = Caller(**ONE_CACHE)
    tokens = [(await caller.token()).json()["access_token"] for _ in range(3)]
    assert tokens == ["token-1"] * 3
    assert (caller.started, caller.attempts, caller.cached("hit")) == (1, 1, 2)


async def test_a_token_is_fetched_again_a_margin_before_it_expires() -> None:
    caller = Caller(cache={"enabled": True, "callers": 1, "margin_s": 5.0, "early_lifetime_s": 1e6})
    await caller.token()
    await asyncio.sleep(LIFETIME_S - 5.1)
    await caller.token()
    assert caller.started == 1
    await asyncio.sleep(0.1)
    await caller.token()
    assert caller.started == 2


async def test_of_many_that_need_the_same_token_one_fetches() -> None:
    caller = Caller(**ONE_CACHE)
    caller.service.takes_s = 0.5
    results = await asyncio.gather(*(caller.token() for _ in range(20)))
    assert all(result.ok for result in results)
    assert (caller.started, caller.cached("shared")) == (1, 19)


async def test_different_identities_do_not_wait_for_each_other() -> None:
    caller = Caller(**ONE_CACHE)
    caller.service.takes_s = 0.5
    await asyncio.gather(*(caller.token(client_id=f"identity-{number}") for number in range(5)))
    assert caller.started == 5


async def test_machines_of_a_tenant_have_a_cache_each() -> None:
    caller = Caller(cache={"enabled": True, "callers": 4})
    for _ in range(200):
        await caller.token()
    assert caller.started == 4
    for _ in range(200):
        await caller.token("another tenant")
    assert caller.started == 8


async def test_when_the_one_who_fetches_is_cancelled_another_takes_over() -> None:
    caller = Caller(**ONE_CACHE)
    caller.service.takes_s = 1.0
    leader, follower, third = caller.begin(), caller.begin(), caller.begin()
    await asyncio.sleep(0.5)
    leader.cancel()
    assert (await follower).ok
    assert (await third).ok
    assert asyncio.get_running_loop().time() == 1.5
    assert caller.started == 2


async def test_a_cancelled_waiter_does_not_cancel_the_others() -> None:
    caller = Caller(**ONE_CACHE)
    caller.service.takes_s = 1.0
    leader, follower, third = caller.begin(), caller.begin(), caller.begin()
    await asyncio.sleep(0.5)
    follower.cancel()
    assert (await leader).ok
    assert (await third).ok


async def test_a_failed_fetch_fails_all_waiters_and_is_cached_for_a_moment() -> None:
    caller = Caller(
        cache={**ONE_CACHE["cache"], "negative_s": 2.0}, sdk={"enabled": False}, workflow={"enabled": False}
    )
    caller.service.takes_s = 0.5
    caller.service.failure = OVERLOADED
    results = await asyncio.gather(*(caller.token() for _ in range(10)))
    assert {result.failure for result in results} == {"shed"}
    assert (await caller.token()).failure == "shed"
    assert (caller.started, caller.cached("shared"), caller.cached("failed")) == (1, 9, 1)
    await asyncio.sleep(2.0)
    caller.service.failure = None
    assert (await caller.token()).ok


async def test_a_long_lived_token_is_refreshed_at_half_life_while_it_is_still_used() -> None:
    caller = Caller(**ONE_CACHE)
    await caller.token()
    await asyncio.sleep(LIFETIME_S / 2)
    caller.service.takes_s = 1.0
    assert (await caller.token()).json()["access_token"] == "token-1"
    assert (await caller.token()).json()["access_token"] == "token-1"
    await asyncio.sleep(1.1)
    assert (await caller.token()).json()["access_token"] == "token-2"
    assert caller.started == 2


async def test_identities_are_created_as_before() -> None:
    caller = Caller(**ONE_CACHE)
    for _ in range(2):
        await caller.client.put_identity("tenant", "eastus", "name")
        await caller.client.delete_identity("tenant", "eastus", "name")
    assert caller.started == 4


async def test_a_cache_that_is_switched_off_is_forgotten() -> None:
    caller = Caller(**ONE_CACHE)
    await caller.token()
    caller.switch(cache={"enabled": False})
    await caller.token()
    caller.switch(cache={"enabled": True})
    await caller.token()
    assert caller.started == 3
