"""Numbers over seeds are the same as SciPy's."""

import math
from typing import Any

import pytest

from chaos.studies.statistics import Estimate, estimate, share, student_quantile

pytestmark = pytest.mark.xdist_group("scipy")


def test_the_interval_is_students(scipy_stats: Any) -> None:
    values = [412.0, 398.5, 430.25, 401.0, 407.75]
    expected = scipy_stats.ttest_1samp(values, 0).confidence_interval(0.95)
    found = estimate(values)
    assert found.mean == pytest.approx(409.9)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.measured == 5


@pytest.mark.parametrize("degrees", [*range(1, 31), 99, 9_999])
def test_students_quantile_is_scipys(scipy_stats: Any, degrees: int) -> None:
    for probability in (0.6, 0.95, 0.975, 0.9995):
        expected = scipy_stats.t.ppf(probability, degrees)
        assert student_quantile(probability, degrees) == pytest.approx(expected, rel=1e-9)


def test_an_interval_of_what_is_never_negative_ends_at_zero() -> None:
    assert estimate([0.0, 0.0, 11.0]).low == 0.0
    found = estimate([-1.0, 0.0, 11.0])
    assert found.low is not None
    assert found.low < -1.0


def test_equal_seeds_have_an_interval_without_width() -> None:
    assert estimate([3.0, 3.0, 3.0]) == Estimate(3.0, 3.0, 3.0, 3)


def test_a_single_seed_has_no_interval() -> None:
    assert estimate([3.0]) == Estimate(3.0, None, None, 1)


def test_what_could_not_be_measured_is_left_out_and_counted() -> None:
    assert estimate([2.0, None, 2.0]) == Estimate(2.0, 2.0, 2.0, 2)
    assert estimate([None, None]) == Estimate(None, None, None, 0)


def test_what_never_came_has_no_mean() -> None:
    assert estimate([2.0, math.inf, 4.0]) == Estimate(None, None, None, 3, never=1)


def test_a_share_has_wilsons_interval(scipy_stats: Any) -> None:
    found = share([True, False, False, True, None])
    assert (found.count, found.measured) == (2, 4)
    assert not found.never
    assert not found.always
    for measured in (1, 2, 5, 20, 200):
        for count in range(measured + 1):
            found = share([True] * count + [False] * (measured - count))
            expected = scipy_stats.binomtest(count, measured).proportion_ci(0.95, method="wilson")
            assert (found.low, found.high) == pytest.approx((expected.low, expected.high), rel=1e-12)


def test_a_share_of_zero_runs_is_undefined() -> None:
    found = share([None])
    assert not found.never
    assert not found.always
