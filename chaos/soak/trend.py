"""The growth criterion of `make soak` and `make soak-docker`.

    rises    readings correlate with time (Kendall's tau ≥ 0.6, p < 0.005), and
             the rate (Theil–Sen slope) adds more than a tenth of the level and more than `floor` per week
    grows    all readings rise, and, if there are enough, the later half alone does: what levels off has ended

Both statistics are based on order and medians: a sawtooth, a single peak or noise is not growth, a slow straight line
is, even with small steps. The median reading of each stretch of time is used, which removes the sawtooth of a cache
that is cleared periodically.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import NamedTuple

from chaos.soak.ranks import kendall_rise, theil_sen_slope

TAU_MIN = 0.6
P_MAX = 0.005
WEEK_H = 168.0
SHARE_A_WEEK = 0.1
READINGS_MIN = 6
HALVED_FROM = 20
"""From this many readings on the later half must rise too; of fewer, noise would hide a rise."""


@dataclass(frozen=True)
class Trend:
    """The trend of a series: `level` is its median, `per_hour` its slope."""

    name: str
    level: float
    per_hour: float
    grows: bool


def trend(name: str, hours: Sequence[float], values: Sequence[float], floor: float) -> Trend:
    """The trend of `values` at the increasing times `hours`; showing growth takes at least `READINGS_MIN` readings.

    Raises:
        ValueError: too few readings.
    """
    if len(values) < READINGS_MIN:
        raise ValueError(f"{name}: {len(values)} readings after the settling time; at least {READINGS_MIN} are needed")
    level = median(values)
    slopes = [_slope(hours, values)]
    if len(values) >= HALVED_FROM:
        half = len(values) // 2
        slopes.append(_slope(hours[half:], values[half:]))
    added = [slope.per_hour * WEEK_H for slope in slopes]
    grows = all(slope.rises for slope in slopes) and min(added) > max(SHARE_A_WEEK * level, floor)
    return Trend(name, level, slopes[0].per_hour, grows)


class _Slope(NamedTuple):
    per_hour: float
    rises: bool


def _slope(hours: Sequence[float], values: Sequence[float]) -> _Slope:
    if min(values) == max(values):
        return _Slope(0.0, False)
    tau, p = kendall_rise(values)
    return _Slope(theil_sen_slope(hours, values), tau >= TAU_MIN and p < P_MAX)


def medians(readings: Sequence[tuple[float, float]], stretch_h: float) -> tuple[list[float], list[float]]:
    """Median times and median values per stretch of `stretch_h` hours, from readings (hour, value)."""
    stretches: dict[int, list[tuple[float, float]]] = {}
    for hour, value in readings:
        stretches.setdefault(int(hour / stretch_h + 1e-9), []).append((hour, value))
    times = [median(hour for hour, _ in part) for part in stretches.values()]
    return times, [median(value for _, value in part) for part in stretches.values()]


def trends(
    readings: Sequence[tuple[float, Mapping[str, float]]],
    *,
    from_h: float,
    stretch_h: float,
    floors: Mapping[str, float],
) -> list[Trend]:
    """One trend per name in the readings after `from_h`; a name missing in a reading counts as 0.

    `floors` gives the growth per week to ignore, by the first word of the name.

    Raises:
        ValueError: too few readings after `from_h`.
    """
    late = [(hour, values) for hour, values in readings if hour > from_h]
    names = sorted({name for _, values in late for name in values})
    if not names:
        raise ValueError(f"no readings after hour {from_h:g}")
    found = []
    for name in names:
        times, levels = medians([(hour, values.get(name, 0.0)) for hour, values in late], stretch_h)
        found.append(trend(name, times, levels, floors.get(name.split(" ", 1)[0], 0.0)))
    return found
