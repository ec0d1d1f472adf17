"""Publishes events of the testbed and its runs with texts, and a tick every second."""

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from chaos.controller.annotations import Annotations
from chaos.controller.feed import Feed
from chaos.progress.happenings import happening
from services.chassis.clock import Clock

TICKS_KEPT = 900
"""Number of ticks kept, one per second."""
SOURCE = "controller"


class Telling:
    """Publishes to the event stream and as Grafana annotations. `ticks` are those of the last 15 minutes."""

    def __init__(self, feed: Feed, annotations: Annotations, displays: Mapping[str, str], clock: Clock) -> None:
        self.ticks: deque[dict[str, Any]] = deque(maxlen=TICKS_KEPT)
        self._feed = feed
        self._annotations = annotations
        self._displays = displays
        self._clock = clock

    def event(self, event: Mapping[str, Any]) -> None:
        """Publishes an event line of the controller."""
        self._annotations.take(event)
        self._feed.publish(self._worded(event))

    def run_event(self, event: Mapping[str, Any]) -> None:
        """Publishes an event line of a run, if its kind has a text; called for the lines of all instances."""
        self._annotations.take(event)
        worded = self._worded(event)
        if "said" in worded:
            self._feed.publish(worded)

    def state(self, kind: str, **fields: Any) -> None:
        """Publishes a change of the run's state."""
        self._feed.publish(self._worded({"at": self._clock.epoch(), "source": SOURCE, "kind": kind, **fields}))

    def tick(self, moment: Mapping[str, Any]) -> None:
        """Publishes the tick of one second; not added to the event history, which ticks would displace."""
        tick = {"at": self._clock.epoch(), "source": SOURCE, "kind": "tick", **moment}
        self.ticks.append(tick)
        self._feed.publish(tick, keep=False)

    def new_run(self) -> None:
        self._annotations.clear()
        self.ticks.clear()

    def _worded(self, event: Mapping[str, Any]) -> dict[str, Any]:
        said = happening(event, self._displays)
        return {**event, "said": asdict(said)} if said is not None else dict(event)
