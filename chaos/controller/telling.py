"""What the testbed and its runs tell whoever watches: event lines with words to them, and a moment every second."""

from collections import deque
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from chaos.controller.annotations import Annotations
from chaos.controller.feed import Feed
from chaos.progress.happenings import happening
from services.chassis.clock import Clock

TICKS_KEPT = 900
"""The longest scenario takes 752 s."""
SOURCE = "controller"


class Telling:
    """Onto the event stream, and as marks into Grafana. `ticks` are the moments of the last quarter of an hour."""

    def __init__(self, feed: Feed, annotations: Annotations, displays: Mapping[str, str], clock: Clock) -> None:
        self.ticks: deque[dict[str, Any]] = deque(maxlen=TICKS_KEPT)
        self._feed = feed
        self._annotations = annotations
        self._displays = displays
        self._clock = clock

    def event(self, event: Mapping[str, Any]) -> None:
        """An event line of the controller itself."""
        self._annotations.take(event)
        self._feed.publish(self._worded(event))

    def run_event(self, event: Mapping[str, Any]) -> None:
        """An event line of a run: every instance's come by, and only what has words is for people."""
        self._annotations.take(event)
        worded = self._worded(event)
        if "said" in worded:
            self._feed.publish(worded)

    def state(self, kind: str, **fields: Any) -> None:
        """What became of the run."""
        self._feed.publish(self._worded({"at": self._clock.epoch(), "source": SOURCE, "kind": kind, **fields}))

    def tick(self, moment: Mapping[str, Any]) -> None:
        """The moment of one second; kept apart from the events, which it would push out."""
        tick = {"at": self._clock.epoch(), "source": SOURCE, "kind": "tick", **moment}
        self.ticks.append(tick)
        self._feed.publish(tick, keep=False)

    def new_run(self) -> None:
        """Marks and curves begin again."""
        self._annotations.clear()
        self.ticks.clear()

    def _worded(self, event: Mapping[str, Any]) -> dict[str, Any]:
        said = happening(event, self._displays)
        return {**event, "said": asdict(said)} if said is not None else dict(event)
