"""How the signals of `expect` are measured on a record. chaos/scenarios/signals.py has their names and meanings.

A signal has a value over a window, and a curve with a sample a second. None means not recorded.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from chaos.record.formulas import COUNTERS, GAUGES, SAMPLES_MIN, SHARES
from chaos.record.metric_names import NODE_UP
from chaos.record.record import Event, Of
from chaos.record.series import Array
from chaos.verdict.times import NEVER, Window
from chaos.verdict.view import View, first_time

LabelFilter = Mapping[str, Any]
SampleCurve = tuple[Array, Array]


class SignalMeasure(Protocol):
    """A signal that has samples."""

    def mean(self, view: View, window: Window, where: LabelFilter) -> float | None:
        """The value over the whole window."""

    def curve(self, view: View, over_s: float, where: LabelFilter) -> SampleCurve | None:
        """The value over the `over_s` before each sample; None if it was not recorded."""


@dataclass(frozen=True)
class ShareMeasure:
    """Increase of one set of counters divided by that of another."""

    part: Of
    whole: Of

    def mean(self, view: View, window: Window, where: LabelFilter) -> float | None:
        return view.record.ratio(_of(self.part, where), _of(self.whole, where), *window)

    def curve(self, view: View, over_s: float, where: LabelFilter) -> SampleCurve | None:
        if not view.record.series.knows(self.whole.name):
            return None
        part, whole = _of(self.part, where), _of(self.whole, where)
        times, above = view.record.rate_curve(part.name, over_s, **part.where)
        _, below = view.record.rate_curve(whole.name, over_s, **whole.where)
        enough = below * over_s >= SAMPLES_MIN
        return times, np.divide(above, below, out=np.full(len(times), np.nan), where=enough)


@dataclass(frozen=True)
class CounterMeasure:
    """Increase of counters: per second, or in all."""

    of: Of

    def mean(self, view: View, window: Window, where: LabelFilter) -> float | None:
        one = _of(self.of, where)
        return view.record.rate(one.name, *window, **one.where)

    def count(self, view: View, window: Window, where: LabelFilter) -> float | None:
        one = _of(self.of, where)
        return view.record.delta(one.name, *window, **one.where)

    def curve(self, view: View, over_s: float, where: LabelFilter) -> SampleCurve | None:
        one = _of(self.of, where)
        return view.record.rate_curve(one.name, over_s, **one.where) if view.record.series.knows(one.name) else None


@dataclass(frozen=True)
class LevelMeasure:
    """A gauge, or a quantity computed from gauges, at each sample."""

    name: str
    read: Callable[[View, LabelFilter], SampleCurve]

    def mean(self, view: View, window: Window, where: LabelFilter) -> float | None:
        return view.record.reduce(self.read(view, where), *window) if view.record.series.knows(self.name) else None

    def curve(self, view: View, over_s: float, where: LabelFilter) -> SampleCurve | None:
        if not view.record.series.knows(self.name):
            return None
        times, values = self.read(view, where)
        return (times, values) if over_s == 0.0 else (times, _smooth(times, values, over_s))


@dataclass(frozen=True)
class QuantileMeasure:
    """A quantile of the duration of the journeys that ended."""

    share: float

    def mean(self, view: View, window: Window, where: LabelFilter) -> float | None:
        if not view.record.covers(*window):
            return None
        events = view.record.events_of("operation", window[0], window[1], **where)
        return self._of([event["duration_s"] for event in events])

    def curve(self, view: View, over_s: float, where: LabelFilter) -> SampleCurve | None:
        events = view.record.events_of("operation", -NEVER, NEVER, **where)
        if not events:
            return None
        ends, lasted = (np.array([event[name] for event in events], dtype=float) for name in ("t", "duration_s"))
        times = view.record.series.times
        first = np.searchsorted(ends, times - over_s, side="right")
        last = np.searchsorted(ends, times, side="right")
        values = [self._of(lasted[begin:end]) for begin, end in zip(first, last, strict=True)]
        return times, np.array([np.nan if value is None else value for value in values], dtype=float)

    def _of(self, lasted: Any) -> float | None:
        return float(np.quantile(lasted, self.share)) if len(lasted) >= SAMPLES_MIN else None


@dataclass(frozen=True)
class Happenings:
    """Events of one kind."""

    kind: str
    match: Mapping[str, Any]
    renamed: Mapping[str, str]
    """Fields of the event that are called otherwise than the label."""

    def count(self, view: View, window: Window, where: LabelFilter) -> float | None:
        return float(len(self._events(view, window, where))) if view.record.covers(*window) else None

    def first_t(self, view: View, window: Window, where: LabelFilter) -> float | None:
        """When the first one happened; `NEVER` if none did, None if the window was not recorded."""
        found = self._events(view, window, where)
        return float(found[0]["t"]) if found else _unseen(view, window)

    def _events(self, view: View, window: Window, where: LabelFilter) -> list[Event]:
        wanted = {**self.match, **{self.renamed.get(label, label): value for label, value in where.items()}}
        return view.record.events_of(self.kind, window[0], window[1], **wanted)


def first_t(view: View, curve: SampleCurve, window: Window, holds: Callable[[Array], Any]) -> float | None:
    """When a curve first met a condition in a window; `NEVER` if it did not, None if the window has no samples."""
    times, values = curve
    inside = (times >= window[0]) & (times <= window[1]) & np.isfinite(values)
    if not inside.any():
        return None
    t = first_time(times, inside & holds(values))
    return _unseen(view, window) if t == NEVER else t


def _unseen(view: View, window: Window) -> float | None:
    return NEVER if view.record.covers(*window) else None


def _of(one: Of, where: LabelFilter) -> Of:
    return Of(one.name, **{**one.where, **where})


def _smooth(times: Array, values: Array, over_s: float) -> Array:
    """The mean of the known values of the `over_s` before each sample, its own included."""
    known = np.isfinite(values)
    total, count = np.where(known, values, 0.0).cumsum(), known.cumsum()
    first = np.searchsorted(times, times - over_s + 1e-6, side="right") - 1
    before = np.where(first >= 0, total[first], 0.0), np.where(first >= 0, count[first], 0)
    here = count - before[1]
    smooth: Array = np.divide(total - before[0], here, out=np.full(len(times), np.nan), where=here > 0)
    return smooth


def _nodes(view: View, where: LabelFilter) -> SampleCurve:
    """Nodes that exist; unknown, not 0, if the record has none of them at any time."""
    _, values = view.record.series.matrix(NODE_UP, where)
    counts = np.isfinite(values).sum(axis=1).astype(float)
    return view.record.series.times, counts if values.shape[1] else np.full(len(counts), np.nan)


def _busy(view: View, where: LabelFilter) -> SampleCurve:
    return view.busy_curve(where.get("region", view.regions))


def _gauge(gauge: Of) -> LevelMeasure:
    return LevelMeasure(gauge.name, lambda view, where: view.record.curve(gauge.name, **{**gauge.where, **where}))


MEASURES: dict[str, SignalMeasure] = {
    **{name: ShareMeasure(part, whole) for name, (part, whole) in SHARES.items()},
    **{name: CounterMeasure(of) for name, of in COUNTERS.items()},
    **{name: _gauge(of) for name, of in GAUGES.items()},
    "saturation": LevelMeasure("identity_workers_busy", _busy),
    "nodes": LevelMeasure(NODE_UP, _nodes),
    "latency_p50": QuantileMeasure(0.50),
    "latency_p95": QuantileMeasure(0.95),
    "latency_p99": QuantileMeasure(0.99),
}
HAPPENINGS: dict[str, Happenings] = {
    "alerts": Happenings("alert", {"state": "firing"}, {"alert": "name"}),
    "crashes": Happenings("node_crashed", {}, {}),
}
