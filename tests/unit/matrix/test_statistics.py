"""Numbers over seeds are SciPy's."""

import math

import pytest
from scipy import stats

from chaos.studies.statistics import Estimate, estimate, share


def test_the_interval_is_students() -> None:
    values = [412.0, 398.5, 430.25, 401.0, 407.75]
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    found = estimate(values)
    assert found.mean == pytest.approx(409.9)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.measured == 5


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


def test_a_share_has_wilsons_interval() -> None:
    found = share([True, False, False, True, None])
    expected = stats.binomtest(2, 4).proportion_ci(0.95, method="wilson")
    assert (found.count, found.measured, found.low, found.high) == (2, 4, expected.low, expected.high)
    assert not found.never
    assert not found.always


def test_a_share_of_nothing_is_neither_never_nor_always() -> None:
    found = share([None])
    assert not found.never
    assert not found.always
