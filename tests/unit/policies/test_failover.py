"""Shares follow Envoy's priority load exactly; caps, isolation and the off switch bound them."""

from random import Random

import pytest

from services.policies.failover import Failover, FailoverSettings, RegionHealth, home_share
from services.policies.outcome import AttemptOutcome


def envoy_priority_load(healthy_home: float, healthy_alternate: float) -> float:
    """Envoy priority.rst, in percent and with both healths capped, written independently of ours."""
    health = [min(100.0, 140.0 * healthy) for healthy in (healthy_home, healthy_alternate)]
    normalised_total = min(100.0, sum(health))
    return min(100.0, health[0] * 100.0 / normalised_total)


@pytest.mark.parametrize(
    ("healthy", "percent_home"),
    [(1.0, 100), (0.72, 100), (0.71, 99), (0.50, 70), (0.25, 35), (0.0, 0)],
)
def test_home_keeps_what_envoys_table_gives_it(healthy: float, percent_home: int) -> None:
    assert int(home_share(healthy, 1.0) * 100 + 1e-9) == percent_home


def test_both_half_dead_regions_share_by_health() -> None:
    assert home_share(0.25, 0.25) == 0.5
    assert home_share(0.3, 0.1) == pytest.approx(0.75)


def test_the_formula_is_envoys_over_the_whole_square() -> None:
    for home in range(2, 101):
        for alternate in range(0, 101, 5):
            ours = home_share(home / 100, alternate / 100)
            assert ours * 100 == pytest.approx(envoy_priority_load(home / 100, alternate / 100))


def test_when_all_is_dead_everything_stays_home() -> None:
    assert home_share(0.0, 0.0) == 1.0
    assert home_share(0.0, 0.0142) == 1.0  # 1.4 * 0.0142 = 0.0199
    assert home_share(0.0, 0.015) == 0.0  # 1.4 * 0.015 = 0.021


def observe(failover: Failover, region: str, good: int, bad: int, now: float) -> None:
    for _ in range(good):
        failover.on_outcome(region, AttemptOutcome.SUCCESS, now)
    for _ in range(bad):
        failover.on_outcome(region, AttemptOutcome.DROPPED, now)


def test_health_is_assumed_until_five_samples() -> None:
    health = RegionHealth()
    for _ in range(4):
        health.on_outcome(AttemptOutcome.DROPPED, 1.0)
    assert health.ratio(1.0) == 1.0
    health.on_outcome(AttemptOutcome.DROPPED, 1.0)
    assert health.ratio(1.0) == 0.0


def test_ignored_outcomes_say_nothing_about_health() -> None:
    health = RegionHealth()
    for _ in range(9):
        health.on_outcome(AttemptOutcome.IGNORED, 1.0)
    assert health.samples(1.0) == 0


def test_health_forgets_after_its_window() -> None:
    health = RegionHealth(window_s=10.0)
    for _ in range(5):
        health.on_outcome(AttemptOutcome.DROPPED, 0.0)
    assert health.ratio(9.9) == 0.0
    assert health.ratio(10.0) == 1.0


def test_a_half_healthy_region_sends_three_in_ten_away() -> None:
    failover = Failover("east", "west")
    observe(failover, "east", 50, 50, 1.0)
    rng = Random(7)
    regions = [failover.route(1.0, rng) for _ in range(10_000)]
    assert failover.share_home(1.0) == 0.7
    assert 0.69 < regions.count("east") / 10_000 < 0.71


def test_a_healthy_region_draws_nothing_from_the_stream() -> None:
    failover, rng = Failover("east", "west"), Random(7)
    before = rng.getstate()
    observe(failover, "east", 75, 25, 1.0)
    assert failover.share_home(1.0) == 1.0
    assert failover.route(1.0, rng) == "east"
    assert rng.getstate() == before


def test_a_dead_region_sends_everything_to_its_pair() -> None:
    failover, rng = Failover("east", "west"), Random(7)
    observe(failover, "east", 0, 10, 1.0)
    assert {failover.route(1.0, rng) for _ in range(100)} == {"west"}


def test_the_cap_bounds_what_crosses() -> None:
    failover = Failover("east", "west", FailoverSettings(alternate_share_max=0.2))
    observe(failover, "east", 0, 10, 1.0)
    assert failover.share_home(1.0) == 0.8


def test_isolation_keeps_retries_home_and_lets_first_attempts_cross() -> None:
    failover, rng = Failover("east", "west", FailoverSettings(retries_stay_home=True)), Random(7)
    observe(failover, "east", 0, 10, 1.0)
    assert failover.route(1.0, rng, is_retry=True) == "east"
    assert failover.route(1.0, rng) == "west"


def test_without_isolation_retries_cross_too() -> None:
    failover, rng = Failover("east", "west"), Random(7)
    observe(failover, "east", 0, 10, 1.0)
    assert failover.route(1.0, rng, is_retry=True) == "west"


def test_off_keeps_everything_home() -> None:
    failover, rng = Failover("east", "west", FailoverSettings(enabled=False)), Random(7)
    observe(failover, "east", 0, 10, 1.0)
    assert {failover.route(1.0, rng) for _ in range(100)} == {"east"}
    assert failover.share_home(1.0) == 1.0


def test_reprs() -> None:
    failover = Failover("east", "west")
    observe(failover, "east", 3, 1, 1.0)
    assert repr(failover) == (
        "<Failover east <RegionHealth <SlidingCounts 3 good of 4 in 10s>>,"
        " west <RegionHealth <SlidingCounts 0 good of 0 in 10s>>>"
    )
    assert repr(Failover("east", "west", FailoverSettings(enabled=False))) == "<Failover off, all to east>"
