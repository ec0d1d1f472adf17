"""The report of a run as a self-contained page: no network access, no script; light, dark and print styles."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaos.record.record import RunRecord
from chaos.report import words
from chaos.report.charts import charts
from chaos.report.moments import moments
from chaos.report.templates import fill
from chaos.report.waterfall import waterfalls
from chaos.verdict import STATUSES, Verdict
from chaos.verdict.claim_set import claim_set, view_of
from chaos.verdict.verdict import Judged
from chaos.verdict.words import sized

TEMPLATES = Path(__file__).parent / "templates"
STATUS_WORDS = {status: status.replace("_", " ") for status in STATUSES}
EXPECTED_TITLE = "What the scenario expects"
TILES = (
    "peak_amplification",
    "peak_attempts_per_s",
    words.COLLAPSES,
    "recovered_t",
    "identity_impact_s",
    "storage_impact_s",
    "failed_operations",
    "wasted_ratio",
    "backlog_peak",
    "crashes",
    "collapse_depth",
)


@dataclass(frozen=True)
class ClaimGroup:
    """Expectations, or claims of one kind, in the order of their table."""

    key: str
    title: str
    claims: list[Judged]

    @property
    def counts(self) -> list[tuple[str, int]]:
        rows = [claim.status for claim in self.claims]
        return [(status, rows.count(status)) for status in STATUSES if status in rows]


def render(record: RunRecord, verdict: Verdict) -> str:
    """The page as one HTML document."""
    clock = words.IncidentCalendar(record.plan)
    drawn = charts(view_of(record), clock)
    seen = moments(record, verdict, [chart.key for chart in drawn])
    values = {
        "plan": _plan(record.plan),
        "verdict": verdict,
        "sized": sized(verdict.size),
        "outcome": verdict.status.replace("_", " "),
        "headline": words.headline(verdict),
        "tiles": _tiles(verdict, clock),
        "expected": verdict.expected,
        "charts": drawn,
        "moments": seen,
        "linked": {moment.claim.id for claims in seen.values() for moment in claims},
        "waterfalls": waterfalls(record),
        "groups": _groups(verdict),
        "statuses": list(STATUS_WORDS.items()),
        "status_words": STATUS_WORDS,
        "counts": verdict.counts(),
        "clock": clock,
        "css": (TEMPLATES / "report.css").read_text(encoding="utf-8"),
        "samples": len(record.series.times),
        "series": len(record.series),
        "events": len(record.events),
    }
    return fill(TEMPLATES / "report.html.j2", values, {"measured": words.measured})


def _plan(plan: dict[str, Any]) -> dict[str, Any]:
    """The plan, with defaults for fields that older records lack."""
    blank = {"title": plan["scenario"], "source": "", "command": "", "commit": "", "transport": "", "mitigations": []}
    return {**blank, **plan}


def _tiles(verdict: Verdict, clock: words.IncidentCalendar) -> list[tuple[str, str]]:
    names = words.figure_names(TILES, verdict)
    return [(words.label(name), words.figure(name, verdict.figures.get(name), clock)) for name in names]


def _groups(verdict: Verdict) -> list[ClaimGroup]:
    found = [ClaimGroup("E", EXPECTED_TITLE, list(verdict.expected))]
    for heading in claim_set(verdict.claim_set).groups if verdict.claim_set else ():
        rows = [claim for claim in verdict.evidence if claim.id.startswith(heading.letter)]
        found.append(ClaimGroup(heading.letter, heading.title, rows))
    return [group for group in found if group.claims]
