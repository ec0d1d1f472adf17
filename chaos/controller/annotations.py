"""Metrics of the controller for annotations and the run clock on dashboards.

The value of `controller_event_timestamp_seconds` is the time of an action, fault or alert, so that annotations are
placed correctly independent of the scrape time. Only the newest events are kept, which bounds the number of series.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from chaos.experiment.alerts import nearest_pace
from chaos.faults.registry import CATALOGUE
from chaos.progress.happenings import happening
from services.chassis.metrics import Metrics

EVENTS_MAX = 200
OBSERVING = frozenset({"audit_accounts", "cancel_remediation", "start_scenario", "abort_scenario"})
"""Actions that change nothing in the services: listed, but without a line over the curves."""
CLOSE_S = 10.0
"""Of several actions of the same kind within this time, only the first gets a line: restores come in series."""
KINDS = {
    "action": "action",
    "fault_started": "fault",
    "alert": "alert",
    "machine_stalled": "stall",
    "collapse_began": "collapse",
}
NO_RUN = "no scenario is running"
OTHER_RUN = "run from a command line"
AnnotationRows = list[tuple[tuple[str, ...], float]]


class Annotations:
    """Exports event lines of a run or of the idle testbed as gauges, with the texts of the console."""

    def __init__(self, metrics: Metrics, displays: Mapping[str, str]) -> None:
        self._displays = displays
        self._events: OrderedDict[tuple[str, str, str, str], float] = OrderedDict()
        self._lined: dict[str, float] = {}
        self._number = 0
        metrics.computed_gauge(
            "controller_event_timestamp_seconds",
            "When an action, a fault or an alert happened, as Unix time.",
            lambda: list(self._events.items()),
            ("kind", "id", "title", "line"),
        )

    def take(self, event: Mapping[str, Any]) -> None:
        kind = KINDS.get(str(event.get("kind")))
        if kind is None or event.get("state") == "resolved" or event.get("action") == "note":
            return
        said = happening(event, self._displays)
        if said is None:
            return
        self._number += 1
        line = "yes" if kind != "action" or self._has_line(event) else "no"
        self._events[kind, str(event.get("id") or self._number), said.text, line] = event["at"]
        while len(self._events) > EVENTS_MAX:
            self._events.popitem(last=False)

    def _has_line(self, event: Mapping[str, Any]) -> bool:
        """Whether dashboards draw a line at this action; too many of them hide the curves."""
        action, at = str(event.get("action")), float(event["at"])
        if action in OBSERVING or at - self._lined.get(action, -math.inf) < CLOSE_S:
            return False
        self._lined[action] = at
        return True

    def clear(self) -> None:
        self._events.clear()
        self._lined.clear()


@dataclass(frozen=True)
class RunMoment:
    """Position of a run. `incident` is the incident time; None in a scenario with another pace."""

    t: float
    done_last: str
    detection_pace: float
    incident: datetime | None


def export_run(
    metrics: Metrics, now: Callable[[], RunMoment | None], otherwise: Callable[[], str] = lambda: NO_RUN
) -> None:
    """Exports the clocks of the run and its last action; `now` returns None without a run, and `otherwise` says why."""

    def gauge(name: str, documentation: str, value: Callable[[RunMoment], float | None]) -> None:
        def rows() -> AnnotationRows:
            seen = now()
            found = value(seen) if seen else None
            return [] if found is None else [((), found)]

        metrics.computed_gauge(name, documentation, rows)

    def done_last() -> AnnotationRows:
        seen = now()
        return [((seen.done_last if seen else otherwise(),), 1.0)]

    gauge("controller_run_seconds", "Bench seconds since the scenario started; negative in its warm-up.", lambda m: m.t)
    gauge(
        "controller_incident_timestamp_seconds",
        "Incident time, as Unix time; one bench second is one minute.",
        lambda m: m.incident.timestamp() if m.incident else None,
    )
    metrics.computed_gauge(
        "controller_detection_pace",
        "The active pace of the alert rule files: that of the run, 1 without a run.",
        lambda: [((), nearest_pace(seen.detection_pace) if (seen := now()) else 1.0)],
    )
    metrics.computed_gauge("controller_run_phase", "1 for the last operator action.", done_last, ("phase",))


def export_faults(metrics: Metrics, active: Callable[[], Iterable[tuple[str, int]]]) -> None:
    """Exports active faults by kind, with 0 for kinds without one."""
    metrics.computed_gauge(
        "controller_faults_active",
        "Active faults, by kind.",
        lambda: [((kind,), float(count)) for kind, count in {**dict.fromkeys(CATALOGUE, 0), **dict(active())}.items()],
        ("kind",),
    )
