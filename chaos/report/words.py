"""Formatting of numbers and times, and the headline of a run."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

from chaos.scenarios.times import INCIDENT_S_PER_BENCH_S
from chaos.verdict import STATUSES, Verdict
from chaos.verdict.claim_set import claim_set
from chaos.verdict.words import listed

LABELS = {
    "peak_amplification": "Peak amplification",
    "peak_attempts_per_s": "Peak attempts per second",
    "collapse_depth": "Worst 10 s of attempts, first region",
    "time_east_collapse_t": "East US collapses",
    "time_west_collapse_t": "West US collapses",
    "recovered_t": "Recovered",
    "failed_operations": "Failed identity operations",
    "failed_journeys": "Failed user journeys",
    "wasted_ratio": "Wasted work",
    "backlog_peak": "Largest backlog",
    "crashes": "Node crashes",
    "storage_impact_s": "Storage impact",
    "identity_impact_s": "Identity impact",
    "peak_nodes": "Most identity nodes",
}
COLLAPSES = "time_*_collapse_t"
"""Stands for the collapse of each region that the figures show one by one."""
RATIOS = {"collapse_depth", "wasted_ratio"}


class IncidentCalendar:
    """Formats τ: as incident time, or as bench seconds in a scenario with another pace than the incident's."""

    def __init__(self, plan: dict[str, Any]) -> None:
        self._start = datetime.fromisoformat(plan["starts_at"])
        self.incident = float(plan.get("detection_pace", 1.0)) == 1.0

    def moment(self, t: float) -> datetime:
        return self._start + timedelta(seconds=t * INCIDENT_S_PER_BENCH_S)

    def hour(self, t: float) -> str:
        """`00:07`, or `75 s`."""
        return f"{self.moment(t):%H:%M}" if self.incident else f"{t + 0.0:.0f} s"

    def when(self, t: float) -> str:
        """`00:07 UTC`, or `75 s`."""
        return f"{self.hour(t)} UTC" if self.incident else self.hour(t)

    def midnight_s(self) -> float:
        """Bench seconds from midnight to τ = 0, so that ticks fall on whole hours."""
        return 60.0 * self._start.hour + self._start.minute if self.incident else 0.0


def figure(name: str, value: Any, clock: IncidentCalendar | None = None) -> str:
    """A figure of the verdict, with its unit."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if name in RATIOS:
        return f"{value:.1%}" if value < 0.995 or value == 1 else f"{value:.2%}"
    if name == "peak_amplification":
        return f"×{value:.1f}"
    if name.endswith("_t"):
        return clock.when(value) if clock else f"τ {value:.0f}"
    if name.endswith("_s") and not name.endswith("_per_s"):
        return span(value) if clock and clock.incident else f"{value:.0f} s"
    return f"{value:,.0f}".replace(",", " ")


def span(seconds: float) -> str:
    """Bench seconds as hours and minutes of incident time."""
    minutes = round(seconds * INCIDENT_S_PER_BENCH_S / 60)
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


def measured(value: Any) -> str:
    """A measured value of a claim, short."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {measured(inner)}" for key, inner in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(measured(inner) for inner in value) or "none"
    return "not measured" if value is None else str(value)


def in_order(statuses: Iterable[str]) -> list[str]:
    """The statuses without duplicates, in display order."""
    present = set(statuses)
    return [status for status in STATUSES if status in present]


def figure_names(wanted: Iterable[str], verdict: Verdict) -> list[str]:
    """The names of the figures to show, with those of this verdict's regions for `COLLAPSES`."""
    collapses = [name for name in verdict.figures if fnmatchcase(name, COLLAPSES)]
    return [name for one in wanted for name in (collapses if one == COLLAPSES else [one])]


def label(name: str) -> str:
    if name not in LABELS and fnmatchcase(name, COLLAPSES):
        before, after = COLLAPSES.split("*")
        return f"{name.removeprefix(before).removesuffix(after)} collapses"
    return LABELS.get(name, name)


def headline(verdict: Verdict) -> str:
    """One sentence on the outcome of the run."""
    if verdict.status == "could_not_judge":
        return f"This run cannot be judged: {verdict.why}."
    statuses = {claim.id: claim.status for claim in verdict.expected}
    told = claim_set(verdict.claim_set).story(statuses) if verdict.claim_set else ""
    if verdict.status == "as_expected":
        return told or " ".join(claim.statement for claim in verdict.expected if claim.status == "reproduced")
    broken = [name for name, status in statuses.items() if status == "contradicted"]
    from_what = "the report" if told else "what is expected"
    return f"The run differs from {from_what}: {listed(broken)} {'does' if len(broken) == 1 else 'do'} not hold."
