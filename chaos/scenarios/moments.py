"""Moments of a run in `expect`: `T09+2s`, `start+10s`, `end-16s`, or a number of bench seconds.

`start` is the start of the warm-up, `end` the end of the run, or of the incident if a drill follows it. A row (`T08`)
means its first action.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

START, END = "start", "end"
DRILL_ROW = "DRILL"
FORM = "ENTRY, start or end, with an offset such as +2s or -16s; or a number of bench seconds"
_MOMENT = re.compile(
    r"(?P<anchor>start|end|[A-Z][A-Z0-9]*(?:\.[a-z0-9-]+)?)(?P<offset>[+-][0-9]{1,6}(?:\.[0-9]{1,3})?s)?"
)

MomentText = str | float


@dataclass(frozen=True)
class TimelineEntry:
    """What moments need to know of an entry of the timeline."""

    id: str
    t: float
    acts: bool

    @property
    def row(self) -> str:
        return self.id.partition(".")[0]


@dataclass(frozen=True)
class Moments:
    """The moments of one plan."""

    start: float
    end: float
    last: float
    """The end of the run, including a drill."""
    entries: tuple[TimelineEntry, ...]

    @classmethod
    def of(cls, warmup_s: float, duration_s: float, entries: Iterable[TimelineEntry]) -> "Moments":
        listed = tuple(entries)
        drill = min((entry.t for entry in listed if entry.row == DRILL_ROW), default=duration_s)
        return cls(-warmup_s, min(drill, duration_s), duration_s, listed)

    @classmethod
    def of_plan(cls, plan: Mapping[str, Any]) -> "Moments":
        """The moments of the document of a plan."""
        entries = (
            TimelineEntry(str(entry["id"]), float(entry["t"]), entry.get("action") not in ("note", None))
            for entry in plan.get("timeline", ())
        )
        return cls.of(float(plan.get("warmup_s", 0.0)), float(plan.get("duration_s", 0.0)), entries)

    def at(self, moment: MomentText) -> float | None:
        """τ of the moment; None if the plan has no such entry."""
        if isinstance(moment, int | float):
            return float(moment)
        name, offset_s = parts(moment)
        base = {START: self.start, END: self.end}.get(name, self._first(name))
        return None if base is None else base + offset_s

    def first_of(self, moments: Iterable[MomentText]) -> float | None:
        """τ of the first moment that the plan has; None if it has none of them."""
        return next((t for moment in moments if (t := self.at(moment)) is not None), None)

    def knows(self, name: str) -> bool:
        return name in (START, END) or self._first(name) is not None

    def _first(self, name: str) -> float | None:
        meant = [entry for entry in self.entries if name in (entry.id, entry.row)]
        acting = [entry for entry in meant if entry.acts]
        return min((entry.t for entry in acting or meant), default=None)


def parts(moment: str) -> tuple[str, float]:
    """The anchor and the offset in seconds.

    Raises:
        ValueError: the text is not a moment.
    """
    found = _MOMENT.fullmatch(moment)
    if found is None:
        raise ValueError(f"should be {FORM}")
    return found["anchor"], float((found["offset"] or "+0s")[:-1])
