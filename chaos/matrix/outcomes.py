"""What one run came to, from its record: the columns of the matrix.

Operators of the incident drained the pair (T16) because it did not work. The timeline drains it in every run, but
nobody would drain a service that works: where the pair works when the drain comes, a run counts up to the drain only.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from chaos.claims.figures import BACKLOG_DONE, BLOCKED_SHARE, PEAK_WINDOW_S, SUSTAINED_WINDOW_S, WORKING
from chaos.claims.model import NEVER
from chaos.claims.view import ATTEMPTS, EAST, ENDED, JOBS, PAIR, TRIES, WEST, WORK, View
from chaos.record import Of
from chaos.scenarios.times import INCIDENT_S_PER_BENCH_S
from loadgen.series import Array

MINUTES_PER_S = INCIDENT_S_PER_BENCH_S / 60.0
SATURATED = 0.95
COLLAPSED = 0.5
Better = Literal["less", "more"]
Curve = tuple[Array, Array]


@dataclass(frozen=True)
class Column:
    """An outcome: how people call it, its unit, what it means, and which way is better."""

    name: str
    label: str
    unit: str
    meaning: str
    better: Better = "less"


COLUMNS = (
    Column("impact_a_min", "Impact A", "min", "Incident minutes in which storage blocked over 5 % of provisioning."),
    Column("impact_b_min", "Impact B", "min", "Incident minutes in which under 95 % of the pair's attempts succeeded."),
    Column("failed_operations", "Failed operations", "", "Identity operations that failed for good."),
    Column("peak_amplification", "Peak amplification", "×", "Most attempts for each operation begun, over 10 s."),
    Column("peak_attempts_per_s", "Peak attempts", "/s", "Most attempts a second, over 5 s."),
    Column("wasted_ratio", "Wasted work", "%", "Share of the nodes' work that was finished after its caller had left."),
    Column("east_saturated_min", "East saturated", "min", "Incident minutes with over 95 % of East US's workers busy."),
    Column("west_saturated_min", "West saturated", "min", "Incident minutes with over 95 % of West US's workers busy."),
    Column("backlog_peak", "Backlog peak", "", "Most provisioning jobs queued or blocked."),
    Column("backlog_drain_min", "Backlog drain", "min", "From that peak until fewer than 20 wait, for good."),
    Column(
        "recovery_min",
        "Recovery",
        "min",
        "From the start of the policy job until all is well, for good; 0: always was.",
    ),
    Column("worst_success", "Worst 10 s", "%", "Attempt success in the worse region of the pair after T09.", "more"),
)
NOT_MEASURED = {
    "survives_replay": "Survives a replay of the trigger: not measured; a run has its trigger once.",
}


@dataclass(frozen=True)
class Outcome:
    """One run. A value is None where it could not be measured, infinite where what it waits for never came."""

    values: dict[str, float | None] = field(default_factory=dict)
    first_wave: bool | None = None
    second_wave: bool | None = None
    counted_until_t: float | None = None
    problem: str = ""


def outcome(view: View) -> Outcome:
    """The outcome of a record.

    First wave: storage blocked more than 5 % of provisioning tries over some 10 s. Second wave: from T09 on, in East
    US or in West US, fewer than half of attempts succeeded over some 10 s, before anybody drained.
    """
    until = counted_until(view)
    impact_a = _blocked(view)
    worst = _worst_success(view, until)
    values = {
        "impact_a_min": _minutes(view, impact_a, until),
        "impact_b_min": _minutes(view, _failing(view), until),
        **_load(view, until),
        **{
            f"{name}_saturated_min": _minutes(view, _saturated(view, region), until)
            for name, region in (("east", EAST), ("west", WEST))
        },
        **_backlog(view, until),
        "recovery_min": _recovery(view, until),
        "worst_success": worst,
    }
    first = None if impact_a is None else bool(impact_a.any())
    second = None if worst is None else worst < COLLAPSED
    return Outcome({column.name: values[column.name] for column in COLUMNS}, first, second, until)


def counted_until(view: View) -> float:
    """The drain, where the pair works when it comes; else the end of the record."""
    drain = view.at.drain
    if drain is None or drain > view.record.end:
        return view.record.end
    success = view.attempt_success(max(drain - SUSTAINED_WINDOW_S, view.record.start), drain)
    return drain if success is not None and success >= WORKING else view.record.end


def _load(view: View, until: float) -> dict[str, float | None]:
    record = view.record
    whole = (record.start, until)
    knows = record.series.knows(ATTEMPTS)
    return {
        "failed_operations": record.delta(ENDED, *whole, result="failed"),
        "peak_amplification": _peak(view.amplification_curve(SUSTAINED_WINDOW_S), until) if knows else None,
        "peak_attempts_per_s": _peak(record.rate_curve(ATTEMPTS, PEAK_WINDOW_S, layer="sdk"), until) if knows else None,
        "wasted_ratio": record.ratio(Of(WORK, outcome="wasted"), Of(WORK), *whole),
    }


def _backlog(view: View, until: float) -> dict[str, float | None]:
    if not view.record.series.knows(JOBS):
        return {"backlog_peak": None, "backlog_drain_min": None}
    times, backlog = _up_to(view.backlog_curve(), until)
    peak = _peak((times, backlog), until)
    if peak is None:
        return {"backlog_peak": None, "backlog_drain_min": None}
    top = float(times[int(np.nanargmax(backlog))])
    end = _well_from(times, backlog >= BACKLOG_DONE)
    return {"backlog_peak": peak, "backlog_drain_min": max(end - top, 0.0) * MINUTES_PER_S}


def _recovery(view: View, until: float) -> float | None:
    """From the trigger to the moment after which the pair works, the backlog is small and storage blocks nobody."""
    blocked, failing = _blocked(view), _failing(view)
    if blocked is None or failing is None or not view.record.series.knows(JOBS):
        return None
    times, backlog = view.backlog_curve()
    ill = (blocked | failing | (backlog >= BACKLOG_DONE)) & (times >= view.at.trigger)
    kept = times <= until
    return max(_well_from(times[kept], ill[kept]) - view.at.trigger, 0.0) * MINUTES_PER_S


def _well_from(times: Array, ill: Any) -> float:
    """The first sample after the last ill one; `NEVER` when that is the last, minus infinity when none was ill."""
    bad = np.flatnonzero(ill)
    if not len(bad):
        return -NEVER
    last = int(bad[-1])
    return float(times[last + 1]) if last + 1 < len(times) else NEVER


def _blocked(view: View) -> Any:
    if not view.record.series.knows(TRIES):
        return None
    _, share = view.record.ratio_curve(Of(TRIES, result="blocked"), Of(TRIES), SUSTAINED_WINDOW_S)
    return share > BLOCKED_SHARE


def _failing(view: View) -> Any:
    if not view.record.series.knows(ATTEMPTS):
        return None
    return view.success_curve(PAIR, SUSTAINED_WINDOW_S)[1] < WORKING


def _saturated(view: View, region: str) -> Any:
    if not view.record.label_values("identity_workers", "region", region=region):
        return None
    return view.busy_curve(region)[1] > SATURATED


def _worst_success(view: View, until: float) -> float | None:
    start = view.at.restore_east
    if start is None or not view.record.series.knows(ATTEMPTS):
        return None
    end = until if view.at.drain is None else min(until, view.at.drain)
    worst = [view.record.reduce(view.success_curve(region), start, end, "min") for region in PAIR]
    known = [value for value in worst if value is not None]
    return min(known) if known and view.record.covers(start, end) else None


def _minutes(view: View, holds: Any, until: float) -> float | None:
    if holds is None:
        return None
    times = view.record.series.times
    steps = np.diff(times, append=times[-1:])
    return float(steps[holds & (times < until)].sum()) * MINUTES_PER_S


def _peak(curve: Curve, until: float) -> float | None:
    _, values = _up_to(curve, until)
    known = values[np.isfinite(values)]
    return float(known.max()) if len(known) else None


def _up_to(curve: Curve, until: float) -> Curve:
    kept = curve[0] <= until
    return curve[0][kept], curve[1][kept]
