"""All series that Prometheus would have if it had scraped the run, on a time axis that ends at a given moment.

Besides the series of the record: the controller's own metrics, with which the dashboards show clock, actions and
faults, and Prometheus' series of firing alerts. Every series has the label `run`, which the testbed's own series lack.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from chaos.controller.annotations import Annotations, RunMoment, export_faults, export_run
from chaos.progress.happenings import action_words
from chaos.progress.progress import CALM, WARM_UP
from chaos.record.record import RunRecord
from chaos.record.series import Array, SeriesTable
from chaos.scenarios.times import incident_time
from services.chassis.metrics import Metrics

RUN, JOB = "run", "watch"
CONTROLLER = {"instance": "controller", "service": "controller"}
ALERT_LABELS = {"name": "alertname", "severity": "severity", "region": "region", "service": "service"}

Named = tuple[str, dict[str, str], Array]


@dataclass(frozen=True)
class PlacedRun:
    """A record whose τ = 0 is at a Unix time of now, not of the incident."""

    name: str
    record: RunRecord
    zero_epoch_s: float

    @classmethod
    def ending(cls, record: RunRecord, end_epoch_s: float) -> "PlacedRun":
        """The run placed so that its last sample is at `end_epoch_s`. Its name is unique to the second."""
        folder = record.folder.resolve().name if record.folder else str(record.plan["scenario"])
        name = f"{folder} at {datetime.fromtimestamp(end_epoch_s, UTC):%H:%M:%S}"
        return cls(name, record, end_epoch_s - record.end)

    def epoch_ms(self, t: float) -> int:
        return round((self.zero_epoch_s + t) * 1000)

    def table(self) -> SeriesTable:
        """All series, those of the record first."""
        table = self.record.series
        more = [*_controller(self), *_alerts(self.record)]
        named = [*table.series(), *((name, labels) for name, labels, _values in more)]
        keys = [(name, self._labels(labels)) for name, labels in named]
        return SeriesTable.of(table.times, keys, np.vstack([table.values.T, *(values for *_, values in more)]))

    def _labels(self, labels: Mapping[str, str]) -> dict[str, str]:
        """The labels as Prometheus keeps them: none without a value."""
        return {label: value for label, value in {"job": JOB, RUN: self.name, **labels}.items() if value}


def _controller(placed: PlacedRun) -> Iterator[Named]:
    """The controller's metrics, from the classes that export them in the testbed."""
    replay, table = _Replay(placed), SeriesTable()
    columns: dict[Any, int] = {}
    for t in placed.record.series.times.tolist():
        replay.advance(t)
        numbers = {(name, labels): number for name, labels, number in replay.metrics.samples()}
        for name, labels in numbers:
            if (name, labels) not in columns:
                columns[name, labels] = table.column(name, {**CONTROLLER, **dict(labels)})
        table.append(t, np.array([numbers.get(key, np.nan) for key in columns]))
    values = table.values
    yield from ((name, labels, values[:, column]) for column, (name, labels) in enumerate(table.series()))


class _Replay:
    """A controller without a testbed: takes the events of a record up to a time, and exports its metrics."""

    def __init__(self, placed: PlacedRun) -> None:
        plan = placed.record.plan
        self.metrics = Metrics()
        self._placed = placed
        self._displays = {region["name"]: region["display"] for region in plan.get("regions", ())}
        self._starts_at = datetime.fromisoformat(plan["starts_at"])
        self._pace = float(plan.get("detection_pace", 1.0))
        self._events = iter([*placed.record.events, {"t": float("inf"), "kind": ""}])
        self._next = next(self._events)
        self._done = ""
        self._faults: dict[str, str] = {}
        self._t = 0.0
        self._annotations = Annotations(self.metrics, self._displays)
        export_run(self.metrics, self._moment)
        export_faults(self.metrics, lambda: Counter(self._faults.values()).items())

    def advance(self, t: float) -> None:
        self._t = t
        while self._next["t"] <= t:
            self._take(self._next)
            self._next = next(self._events)

    def _take(self, event: Mapping[str, Any]) -> None:
        self._annotations.take({**event, "at": self._placed.zero_epoch_s + event["t"]})
        if event["kind"] == "action" and event["action"] != "note":
            self._done = action_words(event["action"], event.get("parameters", {}), self._displays)
        elif event["kind"] == "fault_started":
            self._faults[event["id"]] = event["fault"]
        elif event["kind"] == "fault_ended":
            self._faults.pop(event["id"], None)

    def _moment(self) -> RunMoment:
        done = self._done or (CALM if self._t >= 0 else WARM_UP)
        there = incident_time(self._t, self._starts_at) if self._pace == 1.0 else None
        return RunMoment(self._t, done, self._pace, there)


def _alerts(record: RunRecord) -> Iterator[Named]:
    """`ALERTS`, as Prometheus keeps it while an alert fires."""
    times = record.series.times
    found: dict[tuple[str, ...], Array] = {}
    for event in record.events_of("alert"):
        key = tuple(str(event.get(field, "")) for field in ALERT_LABELS)
        values = found.setdefault(key, np.full(len(times), np.nan))
        values[times >= event["t"]] = 1.0 if event["state"] == "firing" else np.nan
    for key, values in found.items():
        yield "ALERTS", {"alertstate": "firing", **dict(zip(ALERT_LABELS.values(), key, strict=True))}, values
