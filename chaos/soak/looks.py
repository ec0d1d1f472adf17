"""Readings of the Docker testbed during a soak test: which of them count, and what grows in those.

A reading counts when the testbed has been healthy at full load for the settling time: a collapse and its repair fill
and empty the store, and what was there before takes its lifetime to come back. The longest stretch that counts is
judged.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from chaos.soak.trend import READINGS_MIN, Trend, trend

STRETCH_MIN_S = 300.0
"""The shortest stretch that can be judged, unless the whole watch is shorter."""
FLOOR_MB = 1.0
"""What must come within the stretch, or within each hour of a longer one: a rate from a few minutes is a guess."""
WEEK_H = 168.0
NOT_OURS = frozenset({"prometheus", "alertmanager", "grafana"})
"""Shown but not judged: their memory use has its own pattern (Prometheus: two hours of samples), and a limit."""
REDIS_FLOOR_MB = 3.0
"""The same for Redis, which holds what lives for a quarter of an hour: how many jobs that are is a matter of chance.

The slope of an hour of base load in which nothing grows has a standard deviation of 0.9 MB (tests/unit/soak).
"""
REDIS = "redis"
REDIS_DATA = "redis: used_memory"


@dataclass(frozen=True)
class Look:
    """The testbed at one time. Memory is in MB, of containers without reclaimable page cache.

    `started` tells when each container was started, `age_s` how old the youngest of ours is, `trouble` why the testbed
    was not healthy at full load, and `redis_data_mb` what Redis has allocated: the rest of its container's memory is
    gaps in the allocator's pages.
    """

    at_s: float
    memory_mb: dict[str, float]
    started: dict[str, str] = field(default_factory=dict)
    age_s: float = 0.0
    trouble: str = ""
    redis_data_mb: float | None = None


class MemoryGrowth(NamedTuple):
    """The trend of one series in MB per hour, whether it counts as growth, and a remark."""

    trend: Trend
    counts: bool
    word: str


def healthy_for_s(looks: Sequence[Look]) -> list[float | None]:
    """How long the testbed had been without trouble at each look, as far as it was looked at; None with trouble."""
    found, since_s = [], None
    for look in looks:
        since_s = None if look.trouble else look.at_s if since_s is None else since_s
        found.append(None if since_s is None else look.at_s - since_s)
    return found


def counting(looks: Sequence[Look], settle_s: float) -> list[bool]:
    """Whether each look counts: there was no trouble then and for `settle_s` before."""
    return [healthy is not None and healthy >= settle_s for healthy in healthy_for_s(looks)]


def longest_stretch(counts: Sequence[bool]) -> slice:
    """The longest run of true values; of equal ones, the last."""
    best, start = slice(0, 0), None
    for number, one in enumerate([*counts, False]):
        if one and start is None:
            start = number
        elif not one and start is not None:
            if number - start >= best.stop - best.start:
                best = slice(start, number)
            start = None
    return best


def is_enough(looks: Sequence[Look], watched_s: float) -> bool:
    """Whether a stretch can be judged, in a watch of `watched_s`."""
    return len(looks) >= READINGS_MIN and looks[-1].at_s - looks[0].at_s >= min(STRETCH_MIN_S, watched_s)


def judge(looks: Sequence[Look]) -> list[MemoryGrowth]:
    """The growth of every container that ran the whole time, and of the data in Redis.

    Both series of Redis count. Resident memory is what the container's limit kills; data that fills gaps grows unseen
    in it.
    """
    names = sorted(set.intersection(*(set(look.memory_mb) for look in looks)) - set(restarted(looks)))
    rows = [_growth(name, [(look.at_s, look.memory_mb[name]) for look in looks]) for name in names]
    data = [(look.at_s, look.redis_data_mb) for look in looks if look.redis_data_mb is not None]
    if REDIS in names and len(data) >= READINGS_MIN:
        rows.append(_growth(REDIS_DATA, data))
    return [_with_remark(row, rows) for row in rows]


def _growth(name: str, readings: Sequence[tuple[float, float]]) -> MemoryGrowth:
    start_s = readings[0][0]
    hours = [(at_s - start_s) / 3600.0 for at_s, _ in readings]
    floor_mb = REDIS_FLOOR_MB if name in (REDIS, REDIS_DATA) else FLOOR_MB
    one = trend(name, hours, [value for _, value in readings], floor_mb / min(1.0, hours[-1]) * WEEK_H)
    if name in NOT_OURS:
        return MemoryGrowth(one, False, "not judged")
    return MemoryGrowth(one, one.grows, "grows" if one.grows else "")


def _with_remark(row: MemoryGrowth, rows: Sequence[MemoryGrowth]) -> MemoryGrowth:
    data = next((other for other in rows if other.trend.name == REDIS_DATA), None)
    if row.trend.name != REDIS or not row.counts or data is None:
        return row
    return row._replace(word="grows: data" if data.counts else "grows: gaps in the allocator's pages, not data")


def restarted(looks: Sequence[Look]) -> list[str]:
    """The containers that were started again or ended during the watch: their growth was lost with the process.

    One that came later, e.g. an added node, is not among them.
    """
    first = looks[0].started
    return sorted(
        name
        for name, start in first.items()
        if name not in NOT_OURS and any(look.started.get(name) != start for look in looks)
    )
