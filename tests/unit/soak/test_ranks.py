"""Rank statistics are SciPy's, to the last digits: with and without ties, below and above the exact count."""

from random import Random
from typing import Any

import pytest

from chaos.soak.ranks import EXACT_MAX, kendall_rise, theil_sen_slope

pytestmark = pytest.mark.xdist_group("scipy")


def series(count: int, *, levels: int | None, slope: float) -> list[float]:
    """A noisy line; on so few levels that many readings are equal, or on none."""
    rng = Random(count)
    raw = [slope * place / count + rng.random() for place in range(count)]
    return raw if levels is None else [float(round(value * levels)) for value in raw]


@pytest.mark.parametrize("slope", [-1.0, 0.0, 0.3, 1.0, 5.0])
@pytest.mark.parametrize("levels", [None, 4, 40])
@pytest.mark.parametrize("count", [6, 22, EXACT_MAX, EXACT_MAX + 1, 120])
def test_tau_probability_and_slope_are_scipys(scipy_stats: Any, count: int, levels: int | None, slope: float) -> None:
    values = series(count, levels=levels, slope=slope)
    times = [place + 0.25 * (place % 3) for place in range(count)]
    expected = scipy_stats.kendalltau(times, values, alternative="greater")
    tau, p = kendall_rise(values)
    assert tau == pytest.approx(expected.statistic, rel=1e-12)
    assert p == pytest.approx(expected.pvalue, rel=1e-9, abs=1e-15)
    assert theil_sen_slope(times, values) == pytest.approx(scipy_stats.theilslopes(values, times)[0], rel=1e-12)
