"""Who fetches, who waits, who uses the old token, in MSAL's real seconds."""

from services.policies.token_cache import Lookup, TokenCache, TokenCacheSettings

HOUR = 3600.0


def cache(**changes: float) -> TokenCache[str]:
    return TokenCache(TokenCacheSettings.model_validate({"enabled": True} | changes))


def test_the_first_caller_fetches_and_the_others_wait_for_it() -> None:
    tokens = cache()
    assert [tokens.lookup("id", 0.0) for _ in range(3)] == [Lookup.MISS, Lookup.WAIT, Lookup.WAIT]
    assert tokens.lookup("other", 0.0) is Lookup.MISS
    tokens.store("id", "t1", 1.0, lifetime_s=HOUR)
    assert tokens.lookup("id", 1.0) is Lookup.HIT
    assert tokens.token("id") == "t1"


def test_a_token_counts_as_expired_five_minutes_early() -> None:
    tokens = cache()
    tokens.lookup("id", 0.0)
    tokens.store("id", "t1", 0.0, lifetime_s=HOUR)
    assert tokens.lookup("id", 3299.9) is Lookup.HIT
    assert tokens.lookup("id", 3300.0) is Lookup.MISS
    assert tokens.lookup("id", 3300.0) is Lookup.WAIT


def test_a_day_long_token_is_refreshed_by_one_caller_at_half_life() -> None:
    tokens = cache()
    tokens.lookup("id", 0.0)
    tokens.store("id", "t1", 0.0, lifetime_s=24 * HOUR)
    assert tokens.lookup("id", 12 * HOUR - 0.1) is Lookup.HIT
    assert [tokens.lookup("id", 12 * HOUR) for _ in range(3)] == [Lookup.REFRESH_EARLY, Lookup.HIT, Lookup.HIT]
    tokens.store("id", "t2", 12 * HOUR, lifetime_s=24 * HOUR)
    assert (tokens.lookup("id", 12 * HOUR), tokens.token("id")) == (Lookup.HIT, "t2")


def test_only_tokens_of_two_hours_or_more_are_refreshed_early() -> None:
    for lifetime_s, expected in ((2 * HOUR, Lookup.REFRESH_EARLY), (2 * HOUR - 1, Lookup.HIT)):
        tokens = cache()
        tokens.lookup("id", 0.0)
        tokens.store("id", "t1", 0.0, lifetime_s=lifetime_s)
        assert tokens.lookup("id", HOUR) is expected


def test_a_failed_early_refresh_keeps_the_old_token_and_tries_again_later() -> None:
    tokens = cache()
    tokens.lookup("id", 0.0)
    tokens.store("id", "t1", 0.0, lifetime_s=24 * HOUR)
    assert tokens.lookup("id", 12 * HOUR) is Lookup.REFRESH_EARLY
    tokens.fail("id", 12 * HOUR)
    assert tokens.lookup("id", 12 * HOUR + 29.9) is Lookup.HIT
    assert tokens.lookup("id", 12 * HOUR + 30.0) is Lookup.REFRESH_EARLY


def test_a_failure_is_remembered_for_five_seconds() -> None:
    tokens = cache()
    tokens.lookup("id", 0.0)
    tokens.fail("id", 1.0)
    assert tokens.lookup("id", 5.9) is Lookup.FAILED
    assert tokens.lookup("id", 6.0) is Lookup.MISS


def test_without_a_negative_cache_the_next_caller_tries_at_once() -> None:
    tokens = cache(negative_s=0.0)
    tokens.lookup("id", 0.0)
    tokens.fail("id", 1.0)
    assert tokens.lookup("id", 1.0) is Lookup.MISS


def test_a_vanished_leader_is_replaced_when_its_lease_ends() -> None:
    tokens = cache()
    assert tokens.lookup("id", 0.0) is Lookup.MISS
    assert tokens.lookup("id", 29.9) is Lookup.WAIT
    assert tokens.lookup("id", 30.0) is Lookup.MISS


def test_a_vanished_early_refresher_is_replaced_too() -> None:
    tokens = cache()
    tokens.lookup("id", 0.0)
    tokens.store("id", "t1", 0.0, lifetime_s=24 * HOUR)
    assert tokens.lookup("id", 12 * HOUR) is Lookup.REFRESH_EARLY
    assert tokens.lookup("id", 12 * HOUR + 30.0) is Lookup.REFRESH_EARLY


def test_the_bench_scale_works_with_the_same_rules() -> None:
    """1 s stands for 1 minute: a 24 h token lives 1440 s, margin 5, early from 120."""
    tokens = cache(margin_s=5.0, early_lifetime_s=120.0, early_retry_s=0.5)
    tokens.lookup("id", 0.0)
    tokens.store("id", "t1", 0.0, lifetime_s=1440.0)
    assert tokens.lookup("id", 719.9) is Lookup.HIT
    assert tokens.lookup("id", 720.0) is Lookup.REFRESH_EARLY
    assert tokens.lookup("id", 1435.0) is Lookup.MISS


def test_a_restart_forgets_everything() -> None:
    tokens = cache()
    tokens.lookup("id", 0.0)
    tokens.store("id", "t1", 0.0, lifetime_s=HOUR)
    tokens.clear()
    assert (tokens.token("id"), tokens.lookup("id", 1.0)) == (None, Lookup.MISS)


def test_off_makes_every_caller_fetch() -> None:
    tokens: TokenCache[str] = TokenCache()
    assert [tokens.lookup("id", 0.0) for _ in range(3)] == [Lookup.MISS] * 3
    tokens.store("id", "t1", 0.0, lifetime_s=HOUR)
    tokens.fail("id", 0.0)
    assert tokens.lookup("id", 0.0) is Lookup.MISS
    assert repr(tokens) == "<TokenCache off>"


def test_repr() -> None:
    tokens = cache()
    tokens.lookup("id", 0.0)
    assert repr(tokens) == "<TokenCache 1 keys>"
