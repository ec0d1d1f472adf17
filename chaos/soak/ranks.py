"""Kendall's rank correlation and the Theil–Sen slope, equal to SciPy; reason for no SciPy: chaos.studies.statistics."""

import math
from collections import Counter
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from chaos.record.series import Array

EXACT_MAX = 33
"""The probability is exact up to this many readings without ties; otherwise a normal approximation, as in SciPy."""


def theil_sen_slope(times: Sequence[float], values: Sequence[float]) -> float:
    """The median slope over all pairs of readings; `times` must increase."""
    return float(np.median(_differences(values) / _differences(times)))


def kendall_rise(values: Sequence[float]) -> tuple[float, float]:
    """Kendall's tau-b between the values and their order, and the probability of so large a tau in a random order."""
    pairs = math.comb(len(values), 2)
    ties = Counter(values).values()
    score = int(np.sign(_differences(values)).sum())
    tau = score / math.sqrt(pairs) / math.sqrt(pairs - sum(math.comb(tied, 2) for tied in ties))
    if len(values) <= EXACT_MAX and max(ties) == 1:
        return tau, _exact_probability(len(values), inversions=(pairs - score) // 2)
    variance = (_tie_term(len(values)) - sum(map(_tie_term, ties))) / 18
    return tau, NormalDist().cdf(-score / math.sqrt(variance))


def _tie_term(count: int) -> int:
    return count * (count - 1) * (2 * count + 5)


def _exact_probability(count: int, inversions: int) -> float:
    """The share of all orders of `count` distinct values that have at most so many inversions."""
    orders = [1]  # by the number of inversions
    for length in range(2, count + 1):
        size = len(orders) + length - 1
        orders = [sum(orders[max(0, number - length + 1) : number + 1]) for number in range(size)]
    return sum(orders[: inversions + 1]) / math.factorial(count)


def _differences(values: Sequence[float]) -> Array:
    """Later minus earlier, of all pairs."""
    array = np.asarray(values, dtype=float)
    earlier, later = np.triu_indices(len(array), 1)
    rises: Array = array[later] - array[earlier]
    return rises
