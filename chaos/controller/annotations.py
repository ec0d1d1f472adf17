"""What the dashboards annotate and show of the controller itself, as metrics.

`controller_event_timestamp_seconds` carries the moment of each action, fault and alert as its value, so a scrape that
comes later still draws the line at the right place; the labels are bounded by keeping only the newest ones.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from services.chassis.metrics import Metrics

EVENTS_MAX = 200
KINDS = {
    "action": "action",
    "fault_started": "fault",
    "alert": "alert",
    "machine_stalled": "stall",
    "collapse_began": "collapse",
}
TITLE_FIELDS = ("action", "fault", "name")
Rows = list[tuple[tuple[str, ...], float]]


class Annotations:
    """Takes the event lines of a run or of the idle testbed; exports them as gauges."""

    def __init__(self, metrics: Metrics) -> None:
        self._events: OrderedDict[tuple[str, str, str], float] = OrderedDict()
        self._number = 0
        metrics.computed_gauge(
            "controller_event_timestamp_seconds",
            "When an action, a fault or an alert happened, as Unix time.",
            lambda: list(self._events.items()),
            ("kind", "id", "title"),
        )

    def take(self, event: Mapping[str, Any]) -> None:
        kind = KINDS.get(str(event.get("kind")))
        if kind is None or event.get("state") == "resolved" or event.get("action") == "note":
            return
        self._number += 1
        title = next((str(event[field]) for field in TITLE_FIELDS if event.get(field)), kind)
        title = f"the machine stalled for {event['stalled_s']:.1f} s" if kind == "stall" else title
        region = f" {event['region']}" if event.get("region") else ""
        self._events[kind, str(event.get("id") or self._number), title.replace("_", " ") + region] = event["at"]
        while len(self._events) > EVENTS_MAX:
            self._events.popitem(last=False)

    def clear(self) -> None:
        self._events.clear()


def export_run(metrics: Metrics, now: Callable[[], tuple[datetime, float, str] | None]) -> None:
    """The incident's clock and the phase of the run; `now` gives (start of the incident, τ, phase) while one is on."""

    def clock() -> Rows:
        seen = now()
        return [] if seen is None else [((), (seen[0] + timedelta(minutes=seen[1])).timestamp())]

    def phase() -> Rows:
        seen = now()
        return [] if seen is None else [((seen[2],), 1.0)]

    metrics.computed_gauge(
        "controller_incident_timestamp_seconds",
        "The incident's clock, as Unix time; one bench second is a minute.",
        clock,
    )
    metrics.computed_gauge("controller_run_phase", "1 for the last thing an operator did.", phase, ("phase",))


def export_faults(metrics: Metrics, active: Callable[[], Iterable[tuple[str, int]]]) -> None:
    """Faults under way by kind."""
    metrics.computed_gauge(
        "controller_faults_active",
        "Faults under way, by kind.",
        lambda: [((kind,), float(count)) for kind, count in active()],
        ("kind",),
    )
