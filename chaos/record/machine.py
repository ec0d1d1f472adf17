"""When the machine itself stood still: a laptop that slept, a host that was busy with something else.

Every process counts the time its loop lost (`process_stall_seconds_total`). One process that lost time may have been
paused by a fault; when the observer itself did, or half of the others, it was the machine.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median

from chaos.record.series import SeriesTable, increments
from services.chassis.loop_lag import LAG_METRIC, STALL_METRIC

STALLS = f"{STALL_METRIC}_total"
EVENT = "machine_stalled"
WINDOW_S = 5.0
STALL_S = 1.0
"""So much lost within `WINDOW_S` is a stall of the machine: a client's whole timeout."""


@dataclass(frozen=True)
class Stall:
    """The machine lost `stalled_s` in the few seconds before `t`."""

    t: float
    stalled_s: float


def lost_s(grown: Mapping[str, float], observer: str) -> float:
    """What the machine lost while the processes' counters grew by `grown`."""
    others = [seconds for name, seconds in grown.items() if name != observer]
    return max(grown.get(observer, 0.0), median(others) if others else 0.0)


class StallDetector:
    """Adds up what was lost over a few seconds, so that one event stands for a whole stall."""

    def __init__(self) -> None:
        self._lost: deque[tuple[float, float]] = deque()

    def add(self, t: float, lost: float) -> Stall | None:
        """`lost` seconds since the last call; a stall when that makes one."""
        self._lost.append((t, lost))
        while self._lost[0][0] <= t - WINDOW_S:
            self._lost.popleft()
        total = sum(seconds for _, seconds in self._lost)
        if total < STALL_S:
            return None
        self._lost.clear()
        return Stall(t, total)


def stalls_in(series: SeriesTable, observer: str) -> list[Stall]:
    """The machine's stalls in a record, found as they are found while it runs."""
    return list(_detect(_lost_by_sample(series, observer)))


def _lost_by_sample(series: SeriesTable, observer: str) -> Iterable[tuple[float, float]]:
    labels, values = series.matrix(STALLS, {})
    names = [row["instance"] for row in labels]
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
    """The largest lag of any loop in a record; 0 when none was recorded."""
    _, values = series.matrix(LAG_METRIC, {})
    known = values[values == values]
    return float(known.max()) if known.size else 0.0
