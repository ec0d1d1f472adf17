"""Token bucket, ramp, partition, and the three published shedders, with numbers worked out by hand."""

from math import inf
from random import Random

import pytest

from services.policies.admission import (
    AdmissionRamp,
    Dagor,
    EnvoyAdmission,
    FreshBeforeBacklog,
    PriorityShedding,
    TokenBucket,
)
from services.policies.outcome import AttemptOutcome


def test_a_bucket_gives_its_burst_and_then_its_rate() -> None:
    bucket = TokenBucket(rate_per_s=2.0, burst=3.0)
    assert [bucket.take(0.0) for _ in range(4)] == [True, True, True, False]
    assert bucket.take(0.49) is False
    assert bucket.take(0.5) is True
    assert bucket.level(100.0) == 3.0


def test_a_refused_take_costs_nothing() -> None:
    bucket = TokenBucket(1.0, 2.0)
    assert bucket.take(0.0, 3.0) is False
    assert bucket.level(0.0) == 2.0


def test_a_new_rate_counts_from_now_on() -> None:
    bucket = TokenBucket(1.0, 100.0, level=0.0)
    bucket.set_rate(10.0, 5.0)
    assert bucket.level(5.0) == 5.0
    assert bucket.level(6.0) == 15.0


def test_a_smaller_burst_spills() -> None:
    bucket = TokenBucket(1.0, 10.0)
    bucket.set_rate(1.0, 0.0, burst=4.0)
    assert bucket.level(0.0) == 4.0


def test_a_clock_that_runs_backwards_adds_no_tokens() -> None:
    bucket = TokenBucket(1.0, 10.0, level=0.0, now=5.0)
    assert bucket.level(4.0) == 0.0
    assert bucket.level(6.0) == 1.0


def test_wait_is_an_honest_retry_after() -> None:
    bucket = TokenBucket(2.0, 4.0, level=0.0)
    assert bucket.wait_s(0.0) == 0.5
    assert bucket.wait_s(0.0, 4.0) == 2.0
    assert bucket.wait_s(0.0, 5.0) == inf
    assert bucket.wait_s(1.0, 2.0) == 0.0
    assert TokenBucket(0.0, 1.0, level=0.0).wait_s(0.0) == inf


def test_an_unlimited_bucket_is_off() -> None:
    bucket = TokenBucket(inf, inf)
    assert all(bucket.take(0.0) for _ in range(1000))
    assert (bucket.level(0.0), bucket.wait_s(0.0), repr(bucket)) == (inf, 0.0, "<TokenBucket off>")


def test_an_unlimited_bucket_can_be_limited_only_with_a_burst() -> None:
    bucket = TokenBucket(inf, inf)
    with pytest.raises(ValueError, match="burst"):
        bucket.set_rate(1.0, 0.0)
    bucket.set_rate(1.0, 0.0, burst=2.0)
    assert [bucket.take(0.0) for _ in range(3)] == [True, True, False]


RAMP = AdmissionRamp(start=622.0, nominal_per_s=90.0)


def test_the_ramp_goes_from_ten_to_eighty_five_percent_in_eighty_seconds() -> None:
    """docs/model.md §2; West with 9 nodes of 10 requests per second."""
    assert [RAMP.rate_at(now) for now in (621.9, 622.0, 662.0, 701.999999, 702.0, 721.9)] == pytest.approx(
        [0.0, 9.0, 42.75, 76.5, 76.5, 76.5]
    )
    assert RAMP.rate_at(722.0) == inf
    assert RAMP.open_at == 722.0


def test_backlog_gets_only_what_fresh_traffic_leaves() -> None:
    door = FreshBeforeBacklog(TokenBucket(1.0, 5.0), reserve=3.0)
    assert [door.take(0.0, is_backlog=True) for _ in range(3)] == [True, True, False]
    assert [door.take(0.0, is_backlog=False) for _ in range(4)] == [True, True, True, False]


def test_without_a_reserve_backlog_and_fresh_traffic_are_equal() -> None:
    door = FreshBeforeBacklog(TokenBucket(1.0, 5.0), reserve=0.0)
    assert sum(door.take(0.0, is_backlog=True) for _ in range(9)) == 5


@pytest.mark.parametrize(("overload", "reported"), [(0.35, 95), (0.80, 50), (0.95, 10)])
def test_the_cubic_passes_near_netflixs_three_points(overload: float, reported: float) -> None:
    shedding = PriorityShedding(shed_from=0.0, shed_all=1.0)
    assert shedding.threshold(overload) == pytest.approx(reported, abs=5)


def test_priorities_above_the_threshold_are_refused() -> None:
    shedding = PriorityShedding(shed_from=0.6, shed_all=1.0)
    assert shedding.threshold(0.8) == pytest.approx(87.5)  # x = 0.5, 100 * (1 - 0.125)
    assert shedding.admit(87, 0.8) is True
    assert shedding.admit(88, 0.8) is False
    assert shedding.admit(100, 0.6) is True
    assert shedding.admit(1, 1.0) is False


def test_priority_shedding_off_admits_everything() -> None:
    assert PriorityShedding(enabled=False).admit(100, 9.9) is True


def offer(dagor: Dagor, per_level: int, levels: int, now: float) -> int:
    return sum(dagor.admit(level, now) for _ in range(per_level) for level in range(levels))


def test_dagor_cuts_five_percent_of_the_admitted_when_overloaded() -> None:
    """100 arrivals on 20 levels: the aim is 95, and 19 levels of 5 hold just 95."""
    dagor = Dagor(levels=20)
    assert offer(dagor, 5, 20, 0.5) == 100
    dagor.on_queue_time(0.021)
    assert dagor.admit(0, 1.0) is True
    assert dagor.cutoff == 19
    assert dagor.admit(19, 1.0) is False


def test_dagor_needs_a_mean_above_twenty_milliseconds() -> None:
    dagor = Dagor(levels=20)
    offer(dagor, 5, 20, 0.5)
    dagor.on_queue_time(0.030)
    dagor.on_queue_time(0.010)
    assert dagor.overloaded() is False
    dagor.admit(0, 1.0)
    assert dagor.cutoff == 20


def test_dagor_opens_by_one_percent_of_arrivals_when_calm() -> None:
    """Cut to 10 of 20 levels; 100 arrive on each level, 1000 are admitted, the aim is 1020: still 10 levels."""
    dagor = Dagor(levels=20)
    dagor.cutoff = 10
    assert offer(dagor, 100, 20, 0.5) == 1000
    dagor.admit(0, 1.0)
    assert dagor.cutoff == 10


def test_dagor_reopens_every_level_that_fits_the_aim() -> None:
    """1000 admitted of 1004 arrivals: the aim is 1010, and all 1004 fit."""
    dagor = Dagor(levels=20)
    dagor.cutoff = 10
    offer(dagor, 100, 10, 0.5)
    for _ in range(4):
        dagor.admit(10, 0.5)
    dagor.admit(0, 1.0)
    assert dagor.cutoff == 20


def test_dagor_reopens_from_nothing() -> None:
    dagor = Dagor(levels=20)
    dagor.cutoff = 0
    assert offer(dagor, 1, 20, 0.5) == 0
    dagor.admit(0, 1.0)
    assert dagor.cutoff == 0  # aim 0.2 of a request
    dagor = Dagor(levels=200)
    dagor.cutoff = 0
    offer(dagor, 1, 200, 0.5)
    dagor.admit(0, 1.0)
    assert dagor.cutoff == 2


def test_dagor_ends_a_window_after_two_thousand_requests_too() -> None:
    dagor = Dagor(levels=20)
    offer(dagor, 100, 20, 0.1)
    dagor.on_queue_time(0.5)
    dagor.admit(0, 0.1)
    assert dagor.cutoff == 19


def test_dagor_off_admits_everything() -> None:
    dagor = Dagor(levels=2, enabled=False)
    dagor.cutoff = 0
    assert dagor.admit(1, 5.0) is True
    assert repr(dagor) == "<Dagor off>"


def feed(admission: EnvoyAdmission, good: int, bad: int, now: float) -> None:
    for _ in range(good):
        admission.on_outcome(AttemptOutcome.SUCCESS, now)
    for _ in range(bad):
        admission.on_outcome(AttemptOutcome.DROPPED, now)


def test_envoy_rejects_by_its_formula() -> None:
    admission = EnvoyAdmission()
    feed(admission, 57, 43, 1.0)
    assert admission.probability(1.0) == pytest.approx((100 - 57 / 0.95) / 101)  # 40/101
    feed(admission, 38, 0, 1.0)
    assert admission.probability(1.0) == pytest.approx((138 - 95 / 0.95) / 139)


def test_envoy_has_no_floor_of_traffic_by_default() -> None:
    admission = EnvoyAdmission()
    feed(admission, 0, 1, 1.0)
    assert admission.probability(1.0) == 0.5


def test_envoy_rejects_nothing_at_its_threshold() -> None:
    admission = EnvoyAdmission()
    feed(admission, 95, 5, 1.0)
    assert admission.probability(1.0) == 0.0


def test_envoys_aggression_is_a_root() -> None:
    admission = EnvoyAdmission(aggression=2.0)
    feed(admission, 57, 43, 1.0)
    assert admission.probability(1.0) == pytest.approx((40 / 101) ** 0.5)


def test_envoy_never_rejects_more_than_eighty_percent() -> None:
    admission, rng = EnvoyAdmission(), Random(1)
    feed(admission, 0, 1000, 1.0)
    assert admission.probability(1.0) == 0.8
    assert sum(admission.should_reject(1.0, rng) for _ in range(10_000)) == pytest.approx(8000, abs=150)


def test_envoy_leaves_low_traffic_alone() -> None:
    admission = EnvoyAdmission(window_s=30.0, rps_min=5.0)
    feed(admission, 0, 149, 1.0)
    assert admission.probability(1.0) == 0.0
    feed(admission, 0, 1, 1.0)
    assert admission.probability(1.0) == 0.8


def test_envoy_off_rejects_nothing() -> None:
    admission = EnvoyAdmission(enabled=False)
    feed(admission, 0, 1000, 1.0)
    assert admission.should_reject(1.0, Random(1)) is False


def test_reprs() -> None:
    assert repr(TokenBucket(2.0, 3.0)) == "<TokenBucket 3.0/3 tokens, 2/s>"
    assert repr(FreshBeforeBacklog(TokenBucket(2.0, 3.0), 1.0)) == (
        "<FreshBeforeBacklog reserve 1 of <TokenBucket 3.0/3 tokens, 2/s>>"
    )
    assert repr(PriorityShedding()) == "<PriorityShedding from load 0.8 to 1>"
    assert repr(PriorityShedding(enabled=False)) == "<PriorityShedding off>"
    assert repr(Dagor(levels=20)) == "<Dagor admits 20/20 levels>"
    assert repr(EnvoyAdmission(enabled=False)) == "<EnvoyAdmission off>"
