"""Limits move as their sources' code does, step by step, computed by hand."""

import sys
from math import ceil
from random import Random

import pytest

from services.policies.adaptive_limit import (
    AimdLimit,
    ConcurrencyLimit,
    EnvoyGradientLimit,
    Gradient2Limit,
    LimitSettings,
    VegasLimit,
    Windowed,
)


def test_aimd_adds_one_while_the_limit_is_in_use() -> None:
    limit = AimdLimit()
    limit.on_sample(0.1, 10, False, 0.0)
    assert limit.limit == 21
    limit.on_sample(0.1, 10, False, 0.0)  # 2 * 10 < 21
    assert limit.limit == 21


def test_aimd_loses_a_tenth_on_a_drop_or_a_timeout_but_never_its_least() -> None:
    limit = AimdLimit(start=101)
    limit.on_sample(0.1, 1, True, 0.0)
    assert limit.limit == 90
    limit.on_sample(5.001, 1, False, 0.0)
    assert limit.limit == 81
    for _ in range(50):
        limit.on_sample(0.1, 1, True, 0.0)
    assert limit.limit == 20


def test_aimd_never_passes_its_most() -> None:
    limit = AimdLimit(start=200)
    limit.on_sample(0.1, 200, False, 0.0)
    assert limit.limit == 200


def vegas(start: int = 20) -> VegasLimit:
    limit = VegasLimit(Random(1), start=start)
    limit.on_sample(0.100, start, False, 0.0)
    assert (limit.rtt_noload_s, limit.limit) == (0.100, start)
    return limit


@pytest.mark.parametrize(
    ("rtt_s", "expected"),
    [
        (0.100, 26),  # no queue: + 6 log10 = + 6
        (0.105, 26),  # queue ceil(20 * (1 - 1/1.05)) = 1, not above log10 = 1
        (0.110, 21),  # queue 2 is below 3: + 1
        (0.115, 20),  # queue 3 is not below 3
        (0.141, 20),  # queue 6 is not above 6
        (0.150, 19),  # queue 7 is
        (0.120, 20),  # queue ceil(3.33) = 4: within 3..6
        (0.160, 19),  # queue ceil(7.5) = 8 is above 6: - 1
    ],
)
def test_vegas_follows_its_estimated_queue(rtt_s: float, expected: int) -> None:
    limit = vegas()
    limit.on_sample(rtt_s, 20, False, 0.0)
    assert limit.limit == expected


def test_vegas_steps_grow_with_the_logarithm() -> None:
    limit = vegas(start=100)
    limit.on_sample(0.200, 100, False, 0.0)  # queue 50 is above 6 * 2
    assert limit.limit == 98


def test_vegas_bounds_grow_with_the_logarithm_too() -> None:
    limit = vegas(start=100)
    limit.on_sample(0.108, 100, False, 0.0)  # queue 8 lies within 3 * 2 and 6 * 2
    assert limit.limit == 100


def test_vegas_falls_on_a_drop_and_ignores_an_unused_limit() -> None:
    limit = vegas()
    limit.on_sample(0.100, 1, True, 0.0)
    assert limit.limit == 19
    limit.on_sample(0.100, 1, False, 0.0)
    assert limit.limit == 19


def test_vegas_never_falls_below_one() -> None:
    limit = vegas(start=2)
    for _ in range(5):
        limit.on_sample(0.100, 1, True, 0.0)
    assert limit.limit == 1


def test_vegas_probes_for_a_new_unloaded_time_after_half_to_all_of_thirty_limits() -> None:
    rng, limit = Random(1), VegasLimit(Random(1))
    for _ in range(2):
        samples = ceil(rng.uniform(0.5, 1.0) * 30 * 20)
        limit.rtt_noload_s = 0.100
        for _ in range(samples - 1):
            limit.on_sample(0.120, 20, False, 0.0)  # queue 4: the limit stays 20
        assert limit.rtt_noload_s == 0.100
        limit.on_sample(0.120, 20, False, 0.0)
        assert limit.rtt_noload_s == 0.120


def test_gradient2_grows_by_its_smoothed_queue() -> None:
    """Short = long: gradient 1; 0.8 * 20 + 0.2 * (20 + 4) = 20.8, then 21.6."""
    limit = Gradient2Limit()
    limit.on_sample(0.2, 20, False, 0.0)
    assert limit._estimate == pytest.approx(20.8)
    limit.on_sample(0.2, 20, False, 0.0)
    assert limit._estimate == pytest.approx(21.6)
    assert limit.limit == 21


def test_gradient2_shrinks_by_the_clamped_gradient() -> None:
    """100 at 0.2 s, then 2.0 s: long = (0.2 + 2.0)/2 = 1.1, 1.5 * 1.1/2.0 = 0.825; 80 + 0.2 * (82.5 + 4) = 97.3."""
    limit = Gradient2Limit(start=100)
    limit.on_sample(0.2, 1, False, 0.0)
    assert limit.limit == 100
    limit.on_sample(2.0, 100, False, 0.0)
    assert limit._estimate == pytest.approx(97.3)


def test_gradient2_never_more_than_halves_its_target() -> None:
    """After the 10 samples of warm-up long moves by 2/601; 1.5 * long/short is far below 0.5."""
    limit = Gradient2Limit(start=100)
    for _ in range(10):
        limit.on_sample(0.1, 1, False, 0.0)
    limit.on_sample(10.0, 100, False, 0.0)
    assert limit.long_rtt_s == pytest.approx(0.1 + 9.9 * 2 / 601)
    assert limit._estimate == pytest.approx(80 + 0.2 * (50 + 4))


def test_gradient2_forgets_a_bad_time_by_five_percent_a_step() -> None:
    limit = Gradient2Limit()
    for _ in range(10):
        limit.on_sample(1.0, 1, False, 0.0)
    limit.on_sample(0.1, 1, False, 0.0)
    assert limit.long_rtt_s == pytest.approx((1.0 - 0.9 * 2 / 601) * 0.95)


def test_gradient2_tolerates_half_as_slow_again() -> None:
    limit = Gradient2Limit(start=100)
    for _ in range(10):
        limit.on_sample(0.2, 1, False, 0.0)
    limit.on_sample(0.29, 100, False, 0.0)
    assert limit._estimate == pytest.approx(100.8)


def envoy() -> EnvoyGradientLimit:
    limit = EnvoyGradientLimit(Random(1))
    for _ in range(50):
        limit.on_sample(0.1, 3, False, 0.0)
    return limit


def test_envoy_starts_at_three_and_measures_fifty_requests() -> None:
    limit = EnvoyGradientLimit(Random(1))
    for _ in range(49):
        limit.on_sample(0.1, 3, False, 0.0)
    assert (limit.limit, limit.measuring) == (3, True)
    limit.on_sample(0.1, 3, False, 0.0)
    assert (limit.measuring, limit.min_rtt_s) == (False, 0.1)


def test_envoy_updates_by_gradient_and_root_every_tenth_of_a_second() -> None:
    """At the minimum: g = 1.25, 3 * 1.25 = 3.75, + sqrt = 5.686 -> 5; then 6.25 + 2.5 -> 8."""
    limit = envoy()
    limit.on_sample(0.1, 3, False, 0.05)
    assert limit.limit == 3
    limit.on_sample(0.1, 3, False, 0.1)
    assert limit.limit == 5
    limit.on_sample(0.1, 3, False, 0.2)
    assert limit.limit == 8


def test_envoy_uses_the_median_and_a_gradient_of_at_least_one_half() -> None:
    limit = envoy()
    limit.limit = 100
    for rtt_s in (0.1, 5.0):
        limit.on_sample(rtt_s, 3, False, 0.05)
    limit.on_sample(9.0, 3, False, 0.1)  # median 5 s: g = 0.5; 50 + 7.07 = 57
    assert limit.limit == 57


def test_envoy_ignores_drops() -> None:
    limit = envoy()
    limit.on_sample(9.0, 3, True, 0.1)
    assert limit.limit == 3
    assert limit.measuring is False


def test_envoy_measures_again_after_a_minute_and_keeps_its_limit_meanwhile() -> None:
    limit = envoy()
    limit.on_sample(0.1, 3, False, 1.0)
    assert limit.limit == 5
    due = 60.0 * (1.0 + 0.15 * Random(1).random())
    limit.on_sample(0.2, 3, False, due - 0.001)
    assert limit.measuring is False
    limit.limit = 5
    limit.on_sample(0.2, 3, False, due)
    assert (limit.limit, limit.measuring) == (3, True)
    for _ in range(50):
        limit.on_sample(0.2, 3, False, due + 1.0)
    assert (limit.limit, limit.min_rtt_s) == (5, 0.2)


def test_envoy_measures_again_when_it_sits_at_its_least() -> None:
    limit = envoy()
    for step in range(1, 6):
        limit.on_sample(9.0, 3, False, step * 0.1)
        assert (limit.limit, limit.measuring) == (3, False)
    limit.on_sample(9.0, 3, False, 0.6)
    assert limit.measuring is True


def test_envoy_counts_only_unbroken_rows_at_its_least() -> None:
    limit, now = envoy(), 0.0
    for rtt_s in (9.0, 9.0, 9.0, 9.0, 0.1, 9.0, 9.0, 9.0, 9.0, 9.0):
        now += 0.11
        limit.on_sample(rtt_s, 3, False, now)
        assert limit.measuring is False


class Recorder:
    limit = 7

    def __init__(self) -> None:
        self.samples: list[tuple[float, int, bool, float]] = []

    def on_sample(self, rtt_s: float, inflight: int, dropped: bool, now: float) -> None:
        self.samples.append((rtt_s, inflight, dropped, now))


def test_a_window_gives_one_averaged_sample_per_second() -> None:
    inner = Recorder()
    limit: ConcurrencyLimit = Windowed(inner)
    limit.on_sample(9.0, 99, False, 0.5)  # ends the first window, too small to count
    for number in range(11):
        limit.on_sample(0.25 + 0.5 * (number % 2), number, number == 4, 1.0 + number * 0.05)
    limit.on_sample(0.25, 3, False, 1.51)
    assert inner.samples == [(5.5 / 12, 10, True, 1.51)]
    assert limit.limit == 7
    for _ in range(9):
        limit.on_sample(0.5, 2, False, 2.0)
    limit.on_sample(0.5, 2, False, 2.75)
    assert inner.samples[1:] == [(0.5, 2, False, 2.75)]


def test_a_window_of_nine_requests_is_thrown_away() -> None:
    inner = Recorder()
    limit = Windowed(inner)
    for number in range(9):
        limit.on_sample(0.2, number, False, 0.5 + number)
    assert inner.samples == []


def test_off_has_no_limit() -> None:
    limit = LimitSettings().build(Random(1))
    limit.on_sample(99.0, 1, True, 0.0)
    assert limit.limit == sys.maxsize
    assert repr(limit) == "<NoLimit off>"


@pytest.mark.parametrize(
    ("kind", "line"),
    [
        ("aimd", "<Windowed <AimdLimit 4>, 0 samples>"),
        ("vegas", "<Windowed <VegasLimit 4, unloaded 0.000s>, 0 samples>"),
        ("gradient2", "<Windowed <Gradient2Limit 4, long 0.000s>, 0 samples>"),
        ("envoy", "<EnvoyGradientLimit 2, least 0.000s, measuring>"),
    ],
)
def test_settings_build_every_kind_at_a_nodes_size(kind: str, line: str) -> None:
    settings = LimitSettings.model_validate({"kind": kind, "start": 4, "least": 2, "most": 8})
    assert repr(settings.build(Random(1))) == line


def test_envoys_minimum_takes_only_requests_that_began_after_its_measurement() -> None:
    """200 requests that waited 2 s under the old limit end while the minimum is measured; 50 fast ones follow."""
    policy = EnvoyGradientLimit(Random(1))
    for number in range(50):
        policy.on_sample(0.2, 3, False, 1.0 + number * 0.01)
    assert policy.min_rtt_s == 0.2
    again = 1.5 + 60.0 * 1.15 + 1.0
    for number in range(200):
        policy.on_sample(2.0, 40, False, again + number * 0.001)
    measuring = [policy.measuring]
    for number in range(51):
        policy.on_sample(0.2, 3, False, again + 1.0 + number * 0.01)
    measuring.append(policy.measuring)
    assert measuring == [True, False]
    assert policy.min_rtt_s == 0.2


@pytest.mark.parametrize("kind", ["aimd", "vegas", "gradient2", "envoy"])
def test_a_latency_of_nothing_divides_by_nothing(kind: str) -> None:
    policy = LimitSettings.model_validate({"kind": kind}).build(Random(1))
    for number in range(300):
        policy.on_sample(0.0, 30, number % 7 == 0, number * 0.1)
    assert policy.limit >= 1
