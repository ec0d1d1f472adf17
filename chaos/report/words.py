"""Formatting of numbers and times, and the headline of a run."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from chaos.scenarios.times import INCIDENT_S_PER_BENCH_S
from chaos.verdict import STATUSES, Verdict

NEVER = "never"
LABELS = {
    "peak_amplification": "Peak amplification",
    "peak_attempts_per_s": "Peak attempts per second",
    "collapse_depth": "Worst 10 s of attempts, East US",
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


def headline(verdict: Verdict) -> str:
    """One sentence on the outcome of the run."""
    if verdict.status == "could_not_judge":
        return f"This run cannot be judged: {verdict.why}."
    if verdict.scenario == "calm-day":
        return (
            "A calm day: no retries, no collapse."
            if verdict.status == "as_expected"
            else f"The calm day failed: {verdict.why}."
        )
    if verdict.status == "as_expected":
        return _story(verdict)
    broken = [claim.id for claim in verdict.claims if claim.id.startswith("F") and claim.status == "contradicted"]
    return f"The run differs from the report: {_listed(broken)} {'does' if len(broken) == 1 else 'do'} not hold."


def _story(verdict: Verdict) -> str:
    status = {claim.id: claim.status for claim in verdict.claims}
    parts = []
    if status.get("F1") == "reproduced":
        parts.append("East US was overloaded by the work its restore released")
    if status.get("F2") == "reproduced":
        parts.append("West US followed")
    if status.get("F3") == "reproduced":
        parts.append("two scale-outs had no effect")
    if status.get("F4") == "reproduced":
        parts.append("only removing all traffic and ramping it up again restored the service")
    return f"Incident reproduced: {_listed(parts)}." if parts else "The service worked throughout."


def _listed(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
