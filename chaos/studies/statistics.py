"""Means, shares and their confidence intervals over seeds.

The formulas are implemented here, because SciPy is larger than all run-time dependencies together. The tests compare
each with SciPy.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """The mean over seeds with its confidence interval; no interval with a single measured seed.

    `never` counts the seeds in which the awaited event never occurred; then there is no mean.
    """

    mean: float | None
    low: float | None
    high: float | None
    measured: int
    never: int = 0


def estimate(
    values: Iterable[float | None], confidence: float = CONFIDENCE, least: float = 0.0, most: float | None = None
) -> Estimate:
    """Student's t interval of the mean, cut at what the quantity can be: `least` and `most`.

    A value outside these bounds shows that they are wrong for it; then the interval is not cut on that side. Values
    that could not be measured are omitted and not counted in `measured`.
    """
    known = [value for value in values if value is not None]
    never = sum(math.isinf(value) for value in known)
    if not known or never:
        return Estimate(None, None, None, len(known), never)
    mean = fmean(known)
    if len(known) < 2:
        return Estimate(mean, None, None, len(known))
    if min(known) == max(known):
        return Estimate(mean, mean, mean, len(known))
    half = student_quantile((1 + confidence) / 2, len(known) - 1) * stdev(known) / math.sqrt(len(known))
    low = mean - half if min(known) < least else max(least, mean - half)
    high = mean + half if most is None or max(known) > most else min(most, mean + half)
    return Estimate(mean, low, high, len(known))


def student_quantile(probability: float, degrees: int) -> float:
    """The quantile of Student's t distribution for a probability of 0.5 to 1.

    Bisection over the angle atan(t / sqrt(degrees)), in which the distribution function is a finite sum.
    """
    below, above = 0.0, math.pi / 2
    while (middle := (below + above) / 2) not in (below, above):
        if (1 + _student_within(middle, degrees)) / 2 < probability:
            below = middle
        else:
            above = middle
    return math.sqrt(degrees) * math.tan(middle)


def _student_within(angle: float, degrees: int) -> float:
    """The probability of -t to t, t = sqrt(degrees) * tan(angle): Abramowitz and Stegun, 26.7.3 and 26.7.4."""
    odd = degrees % 2
    term = math.cos(angle) if odd else 1.0
    total = 0.0
    for power in range(2 + odd, degrees + 1, 2):
        total += term
        term *= math.cos(angle) ** 2 * (power - 1) / power
    total *= math.sin(angle)
    return (angle + total) * 2 / math.pi if odd else total


@dataclass(frozen=True)
class Share:
    """Number of seeds with an event, and the confidence interval of its probability."""

    count: int
    measured: int
    low: float | None
    high: float | None

    @property
    def never(self) -> bool:
        return self.measured > 0 and self.count == 0

    @property
    def always(self) -> bool:
        return self.measured > 0 and self.count == self.measured


def share(flags: Sequence[bool | None]) -> Share:
    """The share of true flags, with Wilson's interval without continuity correction; no interval without flags."""
    known = [flag for flag in flags if flag is not None]
    if not known:
        return Share(0, 0, None, None)
    count, measured = sum(known), len(known)
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    middle = (2 * count + z * z) / (2 * (measured + z * z))
    half = z * math.sqrt(z * z + 4 * count * (measured - count) / measured) / (2 * (measured + z * z))
    return Share(count, measured, 0.0 if count == 0 else middle - half, 1.0 if count == measured else middle + half)


@dataclass(frozen=True)
class MeanTime:
    """The mean time until a random event, from a number of events in a total time watched.

    Without an event there is no mean and no upper limit.
    """

    count: int
    watched: float
    mean: float | None
    low: float | None
    high: float | None


def mean_time(count: int, watched: float, confidence: float = CONFIDENCE) -> MeanTime:
    """The interval of an exponential time, from Garwood's exact interval of a Poisson count."""
    if watched <= 0:
        return MeanTime(count, watched, None, None, None)
    tail = (1 - confidence) / 2
    least = _poisson_mean(count - 1, 1 - tail) if count else 0.0
    most = _poisson_mean(count, tail)
    return MeanTime(
        count, watched, watched / count if count else None, watched / most, watched / least if count else None
    )


def _poisson_mean(count: int, probability: float) -> float:
    """The mean of the Poisson distribution that has this probability of at most `count`."""
    below_, above = 0.0, 10.0 + 10.0 * count
    while (middle := (below_ + above) / 2) not in (below_, above):
        term = total = math.exp(-middle)
        for number in range(1, count + 1):
            term *= middle / number
            total += term
        below_, above = (middle, above) if total > probability else (below_, middle)
    return middle


Bounded = Estimate | Share | MeanTime


def apart(one: Bounded, other: Bounded) -> bool:
    """Whether both have intervals and these do not overlap. Only then may a text say that they differ."""
    return below(one, other) or below(other, one)


def below(one: Bounded, other: Bounded) -> bool:
    """Whether the interval of `one` lies below that of `other`."""
    return one.high is not None and other.low is not None and one.high < other.low


def never_share(one: Estimate) -> Share:
    """The share of seeds in which the awaited event never occurred."""
    return share([True] * one.never + [False] * (one.measured - one.never))
