"""The record of a run, read from disk or still in memory, and its queries.

None means not recorded, which differs from zero. A counter whose family was recorded but whose labels never occurred is
zero; a query over a window that the samples do not cover returns None.
"""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np

from chaos.record.event_shape import why_no_event
from chaos.record.files import EVENTS_FILE, METRICS_FILE, PLAN_FILE, read_json, verify
from chaos.record.recorder import Recorder, read_metrics
from chaos.record.retention import used
from chaos.record.series import Array, SeriesTable, increments
from chaos.record.shape import check_plan

COVER_S = 2.0  # gap allowed between the ends of a window and the first and last sample in it
How = Literal["mean", "max", "min", "last"]
Filter = str | Collection[str]
Event = dict[str, Any]


class RecordError(ValueError):
    """A record cannot be read; the message names the file and the cause."""


@dataclass(frozen=True)
class Of:
    """Selects series: `Of("identity_requests_total", code="200")`; a label's filter is a value or a set of values."""

    name: str
    where: Mapping[str, Filter]

    def __init__(self, name: str, /, **where: Filter) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "where", where)

    def __str__(self) -> str:
        filters = ",".join(f"{k}={v if isinstance(v, str) else '|'.join(sorted(v))}" for k, v in self.where.items())
        return f"{self.name}{{{filters}}}" if filters else self.name


@dataclass
class RunRecord:
    """Plan, events and series of one run."""

    plan: dict[str, Any]
    events: list[Event]
    series: SeriesTable
    folder: Path | None = None
    _totals: dict[Any, Array | None] = field(default_factory=dict, repr=False)
    _by_kind: dict[str, list[Event]] = field(default_factory=dict, repr=False)

    @classmethod
    def load(cls, folder: str | Path) -> "RunRecord":
        """Reads a run's folder.

        Raises:
            RecordError: it is not a run, was never closed, or is damaged; the message names file and line.
        """
        folder = Path(folder)
        try:
            verify(folder)
            plan = check_plan(read_json(folder / PLAN_FILE), folder / PLAN_FILE)
            used(folder)
            return cls(plan, list(_read_events(folder / EVENTS_FILE)), read_metrics(folder / METRICS_FILE), folder)
        except ValueError as error:
            raise error if isinstance(error, RecordError) else RecordError(str(error)) from error

    @classmethod
    def from_memory(cls, plan: dict[str, Any], recorder: Recorder) -> "RunRecord":
        return cls(plan, recorder.events, recorder.series, recorder.folder)

    def until(self, t: float) -> "RunRecord":
        """The events before `t` and the samples up to `t`, with the complete plan."""
        rows, series = self.series.index(t) + 1, self.series
        keys = list(zip(series.names, series.labels, strict=True))
        cut = SeriesTable.of(series.times[:rows], keys, series.values[:rows].T)
        return RunRecord(self.plan, [event for event in self.events if event["t"] < t], cut, self.folder)

    def __repr__(self) -> str:
        return f"<RunRecord {self.plan.get('scenario')} seed {self.plan.get('seed')}, {self.series!r}>"

    # Time

    @property
    def start(self) -> float:
        """τ of the first sample in seconds; 0 without samples."""
        return float(self.series.times[0]) if len(self.series.times) else 0.0

    @property
    def end(self) -> float:
        """τ of the last sample in seconds; 0 without samples."""
        return float(self.series.times[-1]) if len(self.series.times) else 0.0

    @property
    def zero_epoch_s(self) -> float:
        """Unix time of τ = 0 as incident time, which the clock of a virtual run shows."""
        return datetime.fromisoformat(self.plan["starts_at"]).timestamp()

    def covers(self, start: float, end: float) -> bool:
        """Whether samples cover this window, with a gap of at most `COVER_S` at either end."""
        times = self.series.times
        return bool(len(times)) and end >= start and times[0] <= start + COVER_S and times[-1] >= end - COVER_S

    def _rows(self, start: float, end: float) -> slice:
        return slice(max(self.series.index(start - 1e-5) + 1, 0), self.series.index(end) + 1)

    # Counters

    def delta(self, name: str, start: float, end: float, /, **where: Filter) -> float | None:
        """Increase of the matching counters over the window, with counter resets handled."""
        if not self.covers(start, end) or not self.series.knows(name):
            return None
        total = self._total(name, where)
        if total is None:
            return 0.0
        return float(total[self.series.index(end)] - total[max(self.series.index(start), 0)])

    def rate(self, name: str, start: float, end: float, /, **where: Filter) -> float | None:
        """`delta` per second."""
        delta = self.delta(name, start, end, **where)
        return None if delta is None or end <= start else delta / (end - start)

    def ratio(self, part: Of, whole: Of, start: float, end: float) -> float | None:
        """Increase of `part` divided by increase of `whole`; None if the latter is 0."""
        above = self.delta(part.name, start, end, **part.where)
        below = self.delta(whole.name, start, end, **whole.where)
        return None if above is None or not below else above / below

    def _total(self, name: str, where: Mapping[str, Filter]) -> Array | None:
        key = (name, *((k, v if isinstance(v, str) else tuple(sorted(v))) for k, v in sorted(where.items())))
        if key not in self._totals:
            columns = self.series.select(name, where)
            steps = increments(self.series.values[:, columns]) if columns else None
            self._totals[key] = None if steps is None else steps.sum(axis=1).cumsum()
        return self._totals[key]

    def total_curve(self, name: str, /, **where: Filter) -> tuple[Array, Array]:
        """Increase of the matching counters since the first sample, at every sample."""
        total = self._total(name, where)
        return self.series.times, np.zeros(len(self.series.times)) if total is None else total

    def rate_curve(self, name: str, /, window_s: float = 5.0, **where: Filter) -> tuple[Array, Array]:
        """Increase per second over the `window_s` before each sample (shorter at the start)."""
        times, total = self.total_curve(name, **where)
        return times, trailing(times, total, window_s)

    def ratio_curve(self, part: Of, whole: Of, window_s: float = 5.0) -> tuple[Array, Array]:
        """`ratio` over the `window_s` before each sample; NaN where the increase of `whole` is 0."""
        times, above = self.rate_curve(part.name, window_s, **part.where)
        _, below = self.rate_curve(whole.name, window_s, **whole.where)
        return times, np.divide(above, below, out=np.full(len(times), np.nan), where=below > 0)

    # Gauges

    def curve(self, name: str, /, **where: Filter) -> tuple[Array, Array]:
        """Sum of the matching series at each sample; NaN where none exists."""
        _, values = self.series.matrix(name, where)
        known = np.isfinite(values)
        return self.series.times, np.where(known.any(axis=1), np.where(known, values, 0.0).sum(axis=1), np.nan)

    def gauge(self, name: str, start: float, end: float, /, how: How = "mean", **where: Filter) -> float | None:
        """Mean, maximum, minimum or last value of the summed gauge over a window."""
        return None if not self.covers(start, end) else self._reduce(self.curve(name, **where)[1], start, end, how)

    def _reduce(self, values: Array, start: float, end: float, how: How) -> float | None:
        window = values[self._rows(start, end)]
        window = window[np.isfinite(window)]
        if not len(window):
            return None
        reduce: dict[How, Callable[[Array], Any]] = {
            "mean": np.mean,
            "max": np.max,
            "min": np.min,
            "last": lambda w: w[-1],
        }
        return float(reduce[how](window))

    def reduce(self, curve: tuple[Array, Array], start: float, end: float, how: How = "mean") -> float | None:
        """Mean, maximum, minimum or last value of a curve of this record over a window."""
        return self._reduce(curve[1], start, end, how) if self.covers(start, end) else None

    def label_values(self, name: str, label: str, /, **where: Filter) -> list[str]:
        """The values of a label among the matching series, sorted."""
        labels, _ = self.series.matrix(name, where)
        return sorted({one[label] for one in labels if label in one})

    # Events

    def events_of(
        self, kind: str, /, start: float = float("-inf"), end: float = float("inf"), **match: Any
    ) -> list[Event]:
        """Events of a kind whose fields match (a value, or one of a set of values), in order."""
        if not self._by_kind:
            for event in self.events:
                self._by_kind.setdefault(event["kind"], []).append(event)
        return [e for e in self._by_kind.get(kind, ()) if start <= e["t"] <= end and _matches(e, match)]

    def first_event(
        self, kind: str, /, start: float = float("-inf"), end: float = float("inf"), **match: Any
    ) -> Event | None:
        return next(iter(self.events_of(kind, start, end, **match)), None)


def trailing(times: Array, total: Array, window_s: float) -> Array:
    """The slope of a running total over the `window_s` before each time."""
    if not len(times):
        return np.zeros(0)
    before = np.maximum(np.searchsorted(times, times - window_s + 1e-6, side="right") - 1, 0)
    elapsed = times - times[before]
    return np.divide(total - total[before], elapsed, out=np.zeros(len(times)), where=elapsed > 0)


def _matches(event: Event, match: Mapping[str, Any]) -> bool:
    for name, wanted in match.items():
        value = event.get(name)
        if isinstance(wanted, set | frozenset | tuple | list):
            if not any(value == one for one in wanted):  # a list or a mapping cannot be looked up in a set
                return False
        elif value != wanted:
            return False
    return True


def _read_events(path: Path) -> Iterator[Event]:
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n")[:-1], 1):
        try:
            event = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise RecordError(f"{path}:{number}: not JSON: {error}") from error
        wrong = why_no_event(event)
        if wrong:
            raise RecordError(f"{path}:{number}: not an event: {wrong}")
        yield event
