"""Structured event lines: what happened, when, where. Verdict and report are computed from them and the metrics."""

from collections.abc import Callable
from typing import Any

from services.chassis.clock import Clock

Sink = Callable[[dict[str, Any]], None]


class Events:
    """Writes `{"at": epoch seconds, "source": instance, "kind": …, …}` dictionaries to a sink, in order."""

    __slots__ = ("_clock", "_sink", "_source")

    def __init__(self, sink: Sink, clock: Clock, source: str) -> None:
        self._sink = sink
        self._clock = clock
        self._source = source

    def emit(self, kind: str, **fields: Any) -> None:
        self._sink({"at": round(self._clock.epoch(), 6), "source": self._source, "kind": kind, **fields})
