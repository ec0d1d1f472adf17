"""When a quantity grows: slow lines do, sawteeth, peaks, noise and plateaus do not."""

from random import Random

import pytest

from chaos.soak.trend import READINGS_MIN, trend, trends

HOURS = [float(hour) for hour in range(3, 25)]


def grows(values: list[float], floor: float = 0.0) -> bool:
    return trend("x", HOURS, values, floor).grows


@pytest.mark.parametrize("a_week", [0.15, 1.0, 100.0])
def test_a_straight_line_grows_however_slow(a_week: float) -> None:
    assert grows([1000.0 * (1 + a_week * hour / 168.0) for hour in HOURS])


def test_a_line_under_noise_grows() -> None:
    rng = Random(1)
    assert grows([1000.0 + 20.0 * hour + rng.gauss(0.0, 30.0) for hour in HOURS])


def test_steps_grow() -> None:
    assert grows([1000.0 + 100.0 * (hour // 4) for hour in HOURS])


def test_growth_from_nothing_grows() -> None:
    assert grows([hour - 3.0 for hour in HOURS])


@pytest.mark.parametrize("seed", range(20))
def test_noise_does_not_grow(seed: int) -> None:
    rng = Random(seed)
    assert not grows([1000.0 + rng.gauss(0.0, 50.0) for _ in HOURS])


@pytest.mark.parametrize("period", [2, 3, 5, 7])
def test_a_sawtooth_does_not_grow(period: int) -> None:
    assert not grows([1000.0 + 200.0 * (hour % period) for hour in HOURS])


def test_one_peak_or_a_shrinking_level_does_not_grow() -> None:
    assert not grows([1000.0] * 10 + [9000.0] + [1000.0] * (len(HOURS) - 11))
    assert not grows([1000.0 - 10.0 * hour for hour in HOURS])
    assert not grows([7.0] * len(HOURS))


def test_a_level_reached_early_does_not_grow() -> None:
    assert not grows([500.0, 800.0, *[1000.0] * (len(HOURS) - 2)])


@pytest.mark.parametrize("times", [HOURS, [hour / 4 for hour in range(88)]])
def test_a_level_reached_by_half_time_has_ended_and_one_that_still_rises_has_not(times: list[float]) -> None:
    """The high-water mark of a process rises with each larger peak, and ever more rarely."""
    middle = times[len(times) // 2]
    levels_off = [1000.0 + 20.0 * min(time, middle) for time in times]
    slower = [1000.0 + 20.0 * min(time, middle) + 5.0 * max(0.0, time - middle) for time in times]
    assert [trend("x", times, values, 0.0).grows for values in (levels_off, slower)] == [False, True]


def test_a_line_below_the_floor_does_not_matter() -> None:
    line = [1.0 * hour for hour in HOURS]
    assert grows(line, floor=167.0)
    assert not grows(line, floor=169.0)


def test_too_few_readings_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 6"):
        trend("x", HOURS[: READINGS_MIN - 1], [1.0] * (READINGS_MIN - 1), 0.0)


def test_what_appears_late_is_zero_before_and_the_settling_time_does_not_count() -> None:
    readings = [(hour, {"filling": min(hour, 2.0) * 100.0}) for hour in (0.5, 1.0, 1.5, 2.0)]
    readings += [(hour, {"filling": 200.0, "late": max(0.0, hour - 10.0)}) for hour in HOURS]
    found = {one.name: one.grows for one in trends(readings, from_h=2.0, stretch_h=1.0, floors={})}
    assert found == {"filling": False, "late": True}


def test_each_hour_counts_with_its_median() -> None:
    """A cache that is cleared once in a while jumps within the hour; its median does not."""
    readings = [(hour + part / 4, {"x": 100.0 if part else 0.0}) for hour in range(2, 20) for part in range(4)]
    (one,) = trends(readings, from_h=1.9, stretch_h=1.0, floors={})
    assert (one.level, one.grows) == (100.0, False)


def test_no_readings_at_all_are_refused() -> None:
    with pytest.raises(ValueError, match="after hour 2"):
        trends([(1.0, {"x": 1.0})], from_h=2.0, stretch_h=1.0, floors={})
