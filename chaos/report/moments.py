"""Where in the curves a claim can be seen: its time span, and the chart that shows what was measured."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from chaos.record.record import RunRecord
from chaos.report.canvas import LEFT, RIGHT
from chaos.verdict.verdict import Judged, Verdict

TIMELINE = "timeline"
SHOWN_IN = (
    ("amplification", "amplification"),
    ("success|east_west", "success"),
    ("backlog|running", "backlog"),
    ("busy|speed|limit", "busy"),
    ("crash|nodes|admitted", "nodes"),
    ("wasted|useful", "work"),
    ("per_s|attempts|operations|surge", "rates"),
    ("hurt|tries|blocked|denied|reads|regions|switched", "heat-storage"),
    ("failed_|duration", "heat-identity"),
)
"""The chart by words in the names of the measured numbers; the first number with one of them decides."""


@dataclass(frozen=True)
class ClaimMoment:
    """The span of a claim. `left` and `right` are its ends in percent of the width of a chart."""

    claim: Judged
    start: float
    end: float
    left: float
    right: float


def moments(record: RunRecord, verdict: Verdict, charts: Collection[str]) -> dict[str, list[ClaimMoment]]:
    """The claims of each chart, by its key. A claim that is not about a time of this run is in none."""
    found: dict[str, list[ClaimMoment]] = {key: [] for key in charts}
    for claim in verdict.claims if charts else ():
        span = _span(claim, record)
        if span is not None:
            key = _chart(claim)
            found[key if key in found else next(iter(found))].append(_moment(claim, span, record))
    return found


def _span(claim: Judged, record: RunRecord) -> tuple[float, float] | None:
    """The window of a claim; without one the moment of its row in the timeline, or the whole run if it was judged."""
    if claim.window is not None:
        start, end = max(claim.window[0], record.start), min(claim.window[1], record.end)
        return (start, end) if start <= end else None
    row = _row(claim.id, record.plan)
    if row is not None and row <= record.end:
        return row, row
    return None if claim.status in ("narrative", "not_judged") else (record.start, record.end)


def _row(claim_id: str, plan: Mapping[str, object]) -> float | None:
    entries = plan.get("timeline")
    times = [float(one["t"]) for one in entries if one["id"] == claim_id] if isinstance(entries, list) else []
    return min(times, default=None)


def _chart(claim: Judged) -> str:
    if claim.id.startswith("T"):
        return TIMELINE
    for name in claim.measured:
        for words, key in SHOWN_IN:
            if re.search(words, name):
                return key
    return TIMELINE


def _moment(claim: Judged, span: tuple[float, float], record: RunRecord) -> ClaimMoment:
    length = (record.end - record.start) or 1.0
    left, right = (100.0 * (LEFT + (RIGHT - LEFT) * (t - record.start) / length) for t in span)
    return ClaimMoment(claim, span[0], span[1], round(left, 2), round(right, 2))
