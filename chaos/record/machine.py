"""Detection of machine stalls: a laptop that was suspended, a host busy with other work.

Every process counts the stall time of its event loop (`process_stall_seconds_total`). A stall of a single process may
be a fault that paused it. A stall of the observer, or of half of the other processes, is a stall of the machine.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median

from chaos.record.series import Samples, SeriesTable, increments
from services.chassis.loop_lag import LAG_METRIC, STALL_METRIC

STALLS = f"{STALL_METRIC}_total"
EVENT = "machine_stalled"
WINDOW_S = 5.0
STALL_S = 1.0
"""Threshold of a stall: this much lost within `WINDOW_S`. Equals the timeout of a client attempt."""


@dataclass(frozen=True)
class Stall:
    """The machine lost `stalled_s` in the few seconds before `t`."""

    t: float
    stalled_s: float


def lost_s(grown: Mapping[str, float], observer: str) -> float:
    """Stall time of the machine in seconds, from the increase `grown` of each process's stall counter."""
    others = [seconds for name, seconds in grown.items() if name != observer]
    return max(grown.get(observer, 0.0), median(others) if others else 0.0)


class StallDetector:
    """Sums the lost time over `WINDOW_S`, so that one stall gives one event."""

    def __init__(self) -> None:
        self._lost: deque[tuple[float, float]] = deque()

    def add(self, t: float, lost: float) -> Stall | None:
        """Adds the seconds lost since the last call; returns a stall if the sum reaches the threshold."""
        self._lost.append((t, lost))
        while self._lost[0][0] <= t - WINDOW_S:
            self._lost.popleft()
        total = sum(seconds for _, seconds in self._lost)
        if total < STALL_S:
            return None
        self._lost.clear()
        return Stall(t, total)


class StallWatch:
    """Detects a stall of the machine from the latest samples. `observer` is the sampling process."""

    def __init__(self, samples: Samples, observer: str, t: float) -> None:
        self._samples = samples
        self._observer = observer
        self._detector = StallDetector()
        self._last_t = t

    def look(self, t: float) -> Stall | None:
        """Checks the samples since the last call; call it after each one."""
        grown = self._samples.increase(STALLS, {}, self._last_t, t, by=("instance",))
        self._last_t = t
        return self._detector.add(t, lost_s({name: seconds for (name,), seconds in grown.items()}, self._observer))


def stalls_in(series: SeriesTable, observer: str) -> list[Stall]:
    """The machine stalls in a record, by the same rule as during the run."""
    return list(_detect(_lost_by_sample(series, observer)))


def _lost_by_sample(series: SeriesTable, observer: str) -> Iterable[tuple[float, float]]:
    labels, values = series.matrix(STALLS, {})
    names = [row.get("instance", "") for row in labels]
    known = values == values
    for t, grown, here in zip(series.times, increments(values), known, strict=True):
        yield float(t), lost_s({name: grown[i] for i, name in enumerate(names) if here[i]}, observer)


def _detect(lost: Iterable[tuple[float, float]]) -> Iterator[Stall]:
    detector = StallDetector()
    for t, seconds in lost:
        stall = detector.add(t, seconds)
        if stall is not None:
            yield stall


def worst_lag_s(series: SeriesTable) -> float:
    """The largest event-loop lag in a record, in seconds; 0 without samples."""
    _, values = series.matrix(LAG_METRIC, {})
    known = values[values == values]
    return float(known.max()) if known.size else 0.0
