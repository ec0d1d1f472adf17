"""The outcome of one run from its record: the columns of the matrix.

Every column counts from a moment that all cells share: the start of the run or of the policy job, or a restore of the
timeline. A measure that starts with what happened in the run, such as the peak of the backlog, starts in each cell at
another moment, and its difference between cells says nothing.

Operators drained the pair in the incident (T16) because it was down. The timeline drains it in every run, but a healthy
service would not be drained: if the pair is healthy at the drain, the run is measured up to the drain only.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from chaos.record.metric_names import ATTEMPTS, ENDED, JOBS, WORK
from chaos.record.record import Of, trailing
from chaos.record.series import Array
from chaos.scenarios.times import INCIDENT_S_PER_BENCH_S
from chaos.studies.cache import Figure
from chaos.studies.matrix.variants import survived
from chaos.verdict.figures import PEAK_WINDOW_S, SUSTAINED_WINDOW_S, WORKING, blocked, failing, peak, seconds, well_from
from chaos.verdict.times import NEVER, Window
from chaos.verdict.view import View

MINUTES_PER_S = INCIDENT_S_PER_BENCH_S / 60.0
SATURATED = 0.95
COLLAPSE = {"east": (0.10, 14.0), "west": (0.20, 11.0)}
"""(attempt success, seconds) by column: the thresholds of facts F1 and F2 with saturated workers (docs/model.md §4)."""
OP_SUCCESS = "op_success"
Better = Literal["less", "more"]
RatioCurve = tuple[Array, Array]
SideNames = dict[str, str]
"""Names of the two regions that are shown one by one, by column."""


@dataclass(frozen=True)
class Column:
    """A column: label, unit, definition, which direction is better, and what the quantity can be.

    `{east}` and `{west}` in label and definition stand for the two regions that are shown one by one.
    """

    name: str
    label: str
    unit: str
    meaning: str
    better: Better = "less"
    least: float = 0.0
    most: float | None = None

    def of(self, sides: "SideNames") -> "Column":
        """The column for these two regions."""
        return replace(self, label=self.label.format(**sides), meaning=self.meaning.format(**sides))


COLUMNS = (
    Column("impact_a_min", "Impact A", "min", "Incident minutes in which storage blocked over 5 % of provisioning."),
    Column("impact_b_min", "Impact B", "min", "Incident minutes in which under 95 % of the pair's attempts succeeded."),
    Column("failed_operations", "Failed operations", "", "Identity operations that failed after all retries."),
    Column(
        "peak_amplification",
        "Peak amplification",
        "×",
        "Maximum of attempts per operation started, over 10 s.",
        least=1.0,
    ),
    Column("peak_attempts_per_s", "Peak attempts", "/s", "Maximum attempts per second, over 5 s."),
    Column(
        "wasted_ratio",
        "Wasted work",
        "%",
        "Share of the nodes' work from the start of the policy job to the drain that was finished after the caller's "
        "timeout.",
        most=1.0,
    ),
    Column(
        "east_saturated_min",
        "{east} saturated",
        "min",
        "Incident minutes with over 95 % of the workers in {east} busy.",
    ),
    Column(
        "west_saturated_min",
        "{west} saturated",
        "min",
        "Incident minutes with over 95 % of the workers in {west} busy.",
    ),
    Column("backlog_peak", "Backlog peak", "", "Maximum of queued and blocked provisioning jobs."),
    Column(
        "backlog_job_min",
        "Backlog minutes",
        "job·min",
        "Sum of the incident minutes that queued and blocked jobs waited, from the start of the policy job.",
    ),
    Column(
        "recovery_min",
        "Recovery",
        "min",
        "From the start of the policy job until the service stays healthy; 0: it always was.",
    ),
    Column(
        "worst_success",
        "Worst 10 s",
        "%",
        "Attempt success in the worse region of the pair after the action from which waves are timed.",
        "more",
        most=1.0,
    ),
)


@dataclass(frozen=True)
class RunOutcome:
    """The outcome of one run."""

    values: dict[str, Figure] = field(default_factory=dict)
    first_wave: bool | None = None
    east_collapses: bool | None = None
    west_collapses: bool | None = None
    survives_replay: bool | None = None
    counted_until_t: float | None = None
    problem: str = ""
    expected: dict[str, str] = field(default_factory=dict)
    """Status of each expectation of the scenario, by id."""

    @property
    def second_wave(self) -> bool | None:
        """At least one region of the pair collapses."""
        if self.east_collapses is None or self.west_collapses is None:
            return None
        return self.east_collapses or self.west_collapses


def outcome(view: View, late: Window | None = None) -> RunOutcome:
    """The outcome of a record; `late` is the window in which an unattended run is judged.

    First wave: storage blocked more than 5 % of the provisioning attempts over some 10 s. A region collapses if the
    condition of fact F1 or F2 is true for it at any time between the restore in East and the drain.
    """
    until = counted_until(view)
    impact_a = blocked(view)
    values = {
        "impact_a_min": _minutes(view, impact_a, until),
        "impact_b_min": _minutes(view, failing(view), until),
        **_load(view, until),
        **{
            f"{name}_saturated_min": _minutes(view, _saturated(view, region), until)
            for name, region in columns(view).items()
        },
        **_backlog(view, until),
        "recovery_min": _recovery(view, until),
        "worst_success": _worst_success(view, until),
    }
    collapses = {name: _collapses(view, name, region, until) for name, region in columns(view).items()}
    kept = {column.name: values[column.name] for column in COLUMNS}
    if late is not None:
        kept[OP_SUCCESS] = view.op_success(*late)
    return RunOutcome(
        kept,
        first_wave=None if impact_a is None else bool(impact_a.any()),
        east_collapses=collapses["east"],
        west_collapses=collapses["west"],
        survives_replay=survived(view),
        counted_until_t=until,
    )


def columns(view: View) -> dict[str, str]:
    """The region of the columns `east` and `west`: the two that the view shows one by one. `""`: there is none."""
    return dict(zip(COLLAPSE, (*view.sides.values(), "", ""), strict=False))


def counted_until(view: View) -> float:
    """The time of the drain if the pair is healthy then; otherwise the end of the scenario."""
    drain, end = view.at.drain, min(view.at.end, view.record.end)
    if drain is None or drain > end:
        return end
    success = view.attempt_success(max(drain - SUSTAINED_WINDOW_S, view.record.start), drain)
    return drain if success is not None and success >= WORKING else end


def _second_wave_window(view: View, until: float) -> Window | None:
    """From the restore in East to the drain; failures while traffic is removed are not a wave."""
    start = view.at.wave
    if start is None or not view.record.series.knows(ATTEMPTS):
        return None
    window = (start, until if view.at.drain is None else min(until, view.at.drain))
    return window if view.record.covers(*window) else None


def _collapses(view: View, column: str, region: str, until: float) -> bool | None:
    """Whether the condition of the fact is true over some window of its length after the restore.

    A scenario with one region has no second one that could collapse.
    """
    if not region:
        return False
    window = _second_wave_window(view, until)
    busy = _busy(view, region)
    if window is None or busy is None:
        return None
    below, length_s = COLLAPSE[column]
    times, success = view.success_curve(region, length_s)
    inside = (times >= window[0] + length_s) & (times <= window[1])
    saturated = trailing(times, busy.cumsum(), length_s) > SATURATED  # samples are a second apart
    return bool((inside & (success < below) & saturated).any())


def _busy(view: View, region: str) -> Array | None:
    """Busy share of the workers that are up; 1 if no node is up."""
    if not view.record.label_values("identity_workers", "region", region=region):
        return None
    busy = view.busy_curve(region)[1]
    return np.where(np.isfinite(busy), busy, 1.0)


def _load(view: View, until: float) -> dict[str, float | None]:
    record = view.record
    whole = (record.start, until)
    knows = record.series.knows(ATTEMPTS)
    return {
        "failed_operations": record.delta(ENDED, *whole, result="failed"),
        "peak_amplification": peak(_up_to(view.amplification_curve(SUSTAINED_WINDOW_S), until)) if knows else None,
        "peak_attempts_per_s": peak(_up_to(record.rate_curve(ATTEMPTS, PEAK_WINDOW_S, layer="sdk"), until))
        if knows
        else None,
        "wasted_ratio": record.ratio(Of(WORK, outcome="wasted"), Of(WORK), *_incident(view)),
    }


def _backlog(view: View, until: float) -> dict[str, float | None]:
    if not view.record.series.knows(JOBS):
        return {"backlog_peak": None, "backlog_job_min": None}
    times, backlog = _up_to(view.backlog_curve(), until)
    steps = np.diff(times, append=times[-1:]) * (times >= view.at.trigger)
    waited = float(np.nansum(backlog * steps)) * MINUTES_PER_S
    return {
        "backlog_peak": peak((times, backlog)),
        "backlog_job_min": None if _is_cut(view, until) and backlog[-1] >= view.backlog_gone else waited,
    }


def _is_cut(view: View, until: float) -> bool:
    """Whether the run is counted to the drain only; the end of anything that has not ended by then is not measured."""
    return until < min(view.at.end, view.record.end)


def _incident(view: View) -> Window:
    """From the start of the policy job to the drain: for a share, whose denominator grows with time, in every cell."""
    end = min(view.at.end, view.record.end)
    return view.at.trigger, end if view.at.drain is None else min(view.at.drain, end)


def _recovery(view: View, until: float) -> float | None:
    """Minutes from the trigger until the pair stays healthy, the backlog small and storage accessible."""
    no_storage, no_tokens = blocked(view), failing(view)
    if no_storage is None or no_tokens is None or not view.record.series.knows(JOBS):
        return None
    times, backlog = view.backlog_curve()
    ill = (no_storage | no_tokens | (backlog >= view.backlog_gone)) & (times >= view.at.trigger)
    kept = times <= until
    well = max(well_from(times[kept], ill[kept]) - view.at.trigger, 0.0) * MINUTES_PER_S
    return None if well == NEVER and _is_cut(view, until) else well


def _saturated(view: View, region: str) -> Any:
    if not view.record.label_values("identity_workers", "region", region=region):
        return None
    return view.busy_curve(region)[1] > SATURATED


def _worst_success(view: View, until: float) -> float | None:
    window = _second_wave_window(view, until)
    if window is None:
        return None
    worst = [view.record.reduce(view.success_curve(region), *window, "min") for region in view.pair]
    known = [value for value in worst if value is not None]
    return min(known) if known else None


def _minutes(view: View, holds: Any, until: float) -> float | None:
    found_s = seconds(view, holds, until)
    return None if found_s is None else found_s * MINUTES_PER_S


def _up_to(curve: RatioCurve, until: float) -> RatioCurve:
    kept = curve[0] <= until
    return curve[0][kept], curve[1][kept]
