"""Means and confidence intervals, by SciPy."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scipy import stats

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """The mean over seeds with its confidence interval; without one where a single seed was measured.

    `never` counts the seeds in which what is waited for never came. Then there is no mean.
    """

    mean: float | None
    low: float | None
    high: float | None
    measured: int
    never: int = 0


def estimate(values: Iterable[float | None]) -> Estimate:
    """Student's t interval of the mean, cut at zero where no value lies below it.

    What could not be measured is left out, and is missing in `measured`.
    """
    known = [value for value in values if value is not None]
    never = sum(math.isinf(value) for value in known)
    if not known or never:
        return Estimate(None, None, None, len(known), never)
    mean = float(stats.tmean(known))
    if len(known) < 2:
        return Estimate(mean, None, None, len(known))
    if min(known) == max(known):
        return Estimate(mean, mean, mean, len(known))
    low, high = stats.t.interval(CONFIDENCE, len(known) - 1, loc=mean, scale=stats.sem(known))
    return Estimate(mean, float(low) if min(known) < 0 else max(0.0, float(low)), float(high), len(known))


@dataclass(frozen=True)
class Share:
    """In how many of the seeds something happened, with the interval of its probability."""

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
    """Wilson's interval."""
    known = [flag for flag in flags if flag is not None]
    if not known:
        return Share(0, 0, None, None)
    interval = stats.binomtest(sum(known), len(known)).proportion_ci(CONFIDENCE, method="wilson")
    return Share(sum(known), len(known), float(interval.low), float(interval.high))
