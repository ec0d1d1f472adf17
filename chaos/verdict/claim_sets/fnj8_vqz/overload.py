"""Sustained overload and recovery (M28–M36)."""

from dataclasses import replace

import numpy as np

from chaos.record.metric_names import ATTEMPTS, JOBS, ROUTED
from chaos.verdict.claim_sets.fnj8_vqz.consumers import journeys, token_users
from chaos.verdict.claim_sets.fnj8_vqz.recovery import recovered
from chaos.verdict.claim_sets.fnj8_vqz.table import check
from chaos.verdict.claim_sets.fnj8_vqz.view import EAST, PAIR, IncidentView
from chaos.verdict.model import ClaimFinding, Conditions, per
from chaos.verdict.times import Window
from chaos.verdict.view import slope_ratio

GOODPUT_LOST = 0.30
LIMIT = "router_admission_limit"
BASE_TOLERANCE = 0.2
SERVICE_TIMES_MIN = 50.0
DELIVERED = 0.8
"""Minimum size of a drill for it to count, relative to the initial capacity (docs/model.md §6)."""
BACKLOG_LEFT = 1 / 30
"""Share of the backlog's peak that counts as drained: about 20 of 600 jobs in the full scenario."""
NO_DRILL = "recovered, but this scenario is too short for a drill that replays the trigger; the full scenario has one"
SMALL_DRILL = "recovered, but the drill was too small to cause a collapse"


def _scale_out(view: IncidentView, at: float, window: Window, conditions: Conditions) -> Conditions:
    """More nodes, no goodput, and a backlog that does not decrease."""
    before, after = view.nodes(at - 5, at - 1), view.nodes(at + 3, at + 8)
    times, backlog = view.backlog_curve(PAIR)
    return (
        conditions.above("nodes_added_ratio", per(after, before), 1.0)
        .below("op_success", view.op_success(*window), GOODPUT_LOST)
        .at_least("backlog_end_per_begin", slope_ratio(times, backlog, *window), 0.9)
        .show("amplification", view.amplification(*window))
    )


@check(
    "M28",
    "after the first scale-out: more nodes than before, operation success < 0.30, and no decrease of the backlog",
    needs=("scale_1", "after_scale_1"),
)
def first_scale_out_fails(view: IncidentView, at: float, window: Window) -> ClaimFinding:
    return _scale_out(view, at, window, Conditions(window)).finding()


@check(
    "M29",
    "after the second scale-out, which adds more nodes than the first: as M28",
    needs=("scale_1", "scale_2", "after_scale_2"),
)
def second_scale_out_fails(view: IncidentView, first: float, second: float, window: Window) -> ClaimFinding:
    base, middle = view.nodes(first - 4, first - 1), view.nodes(second - 4, second - 1)
    top = view.nodes(second + 3, second + 8)
    if base is None or middle is None or top is None:
        ratio = None
    else:
        ratio = (top - middle) / (middle - base) if middle > base else 0.0
    return _scale_out(view, second, window, Conditions(window).above("second_per_first", ratio, 1.0)).finding()


@check(
    "M30",
    "long after the trigger (from the second scale-out to the drain): external load equals that before the policy "
    "reached the pair (± 20 %), but less than half of attempts succeed, attempts per operation ≥ 2, for at least 50 "
    "service times",
    control="no-operator",
    needs=("after_scale_2", "before"),
)
def sustained_by_retries(view: IncidentView, window: Window, before: Window) -> ClaimFinding:
    untouched = min((event["t"] for event in view.flips(False, region=PAIR)), default=view.at.trigger)
    base = view.record.rate("loadgen_operations_started_total", view.at.start + 5, untouched, region=PAIR)
    now = view.record.rate("loadgen_operations_started_total", *window, region=PAIR)
    load = per(now, base)
    service_s = view.service_s(EAST)
    return (
        Conditions(window)
        .above("external_load_per_base", load, 1 - BASE_TOLERANCE)
        .below("external_load_per_base", load, 1 + BASE_TOLERANCE)
        .below("attempt_success", view.attempt_success(*window), 0.5)
        .at_least("amplification", view.amplification(*window), 2.0)
        .at_least("service_times", (window[1] - window[0]) / service_s, SERVICE_TIMES_MIN)
        .show("wasted_work", view.wasted(*window))
        .finding()
    )


@check(
    "M31",
    "under overload the throughput of a busy worker is below 0.7 of the baseline, and nodes crash; after the start of "
    "the ramp no node crashes and the throughput is above 0.8",
    needs=("overload", "ramp"),
)
def nodes_degrade(view: IncidentView, window: Window, ramp: float) -> ClaimFinding:
    base = view.work_per_busy_worker(view.at.start + 5, view.at.restore_east or view.at.trigger)
    worn = view.work_per_busy_worker(*window)
    healed = view.work_per_busy_worker(*view.final)
    crashes = view.record.events_of("node_crashed", *window, region=PAIR)
    later = view.record.events_of("node_crashed", ramp + 5, view.at.end, region=PAIR)
    return (
        Conditions(window)
        .below("speed_under_overload_per_base", per(worn, base), 0.7)
        .above("crashes_under_overload", len(crashes) if base is not None else None, 0)
        .at_most("crashes_after_ramp", len(later) if base is not None else None, 0)
        .above("speed_at_end_per_base", per(healed, base), 0.8)
        .finding()
    )


@check(
    "M32",
    "the pair is down from the first scale-out until the drain (waiting and capacity did not help); then requests are "
    "shed, and at the end the service has recovered",
    control="no-operator",
    needs=("after_scale_1", "after_scale_2", "drain"),
)
def shedding_was_required(view: IncidentView, first: Window, second: Window, drain: float) -> ClaimFinding:
    conditions = (
        Conditions((first[0], view.at.end))
        .below("op_success_after_scale_outs", view.op_success(first[0], second[1]), GOODPUT_LOST)
        .above("shed", view.record.delta("router_shed_total", drain, view.at.end, region=PAIR), 0)
    )
    return recovered(view, conditions, view.final).finding()


@check(
    "M33",
    "between drain and ramp the routers admit less than 1 % of attempts, and all nodes of the pair are up at its end, "
    "which was not the case before",
    needs=("drain", "ramp"),
)
def no_load_lets_nodes_recover(view: IncidentView, drain: float, ramp: float) -> ClaimFinding:
    window = (drain + 2.0, ramp)
    attempts = view.record.delta(ATTEMPTS, *window, layer="sdk", region=PAIR)
    admitted = view.record.delta(ROUTED, *window, region=PAIR)
    before = _share_up(view, drain - 60, drain)
    return (
        Conditions(window)
        .below("admitted_share", per(admitted, attempts), 0.01)
        .above("nodes_up_share", _share_up(view, ramp - 2, ramp), 0.99)
        .below("nodes_up_share_before", before, 1.0)
        .finding()
    )


def _share_up(view: IncidentView, start: float, end: float) -> float | None:
    up, nodes = view.nodes_up(start, end), view.nodes(start, end)
    return per(up, nodes)


@check(
    "M34",
    "the ramp admits a growing rate; admitted requests succeed (> 0.9), no node crashes, and at the end the pair has "
    "recovered",
    control="abrupt-reopen",
    needs=("ramp",),
)
def ramp_succeeds(view: IncidentView, ramp: float) -> ClaimFinding:
    half = (view.at.end - ramp) / 4
    window = (ramp + 2.0, ramp + 2 * half)
    crashes = view.record.events_of("node_crashed", ramp + 2, view.at.end, region=PAIR)
    conditions = (
        Conditions((ramp, view.at.end))
        .above("admitted_success", _admitted_success(view, *window), 0.9)
        .at_most("crashes", len(crashes) if view.record.covers(ramp, view.at.end) else None, 0)
        .above("limit_grows", _limit_growth(view, ramp), 1.0)
    )
    return recovered(view, conditions, view.final).finding()


def _admitted_success(view: IncidentView, start: float, end: float) -> float | None:
    """Success ratio of the requests admitted by the routers."""
    routed = view.record.delta(ROUTED, start, end, region=PAIR)
    bad = view.record.delta(ROUTED, start, end, region=PAIR, code=("429", "500", "502", "503", "504"))
    return 1 - bad / routed if routed and bad is not None else None


def _limit_growth(view: IncidentView, ramp: float) -> float | None:
    """The admission limit of the router of East 20 s into the ramp, divided by that at its start."""
    early = view.record.gauge(LIMIT, ramp + 1, ramp + 5, region=EAST)
    late = view.record.gauge(LIMIT, ramp + 20, ramp + 25, region=EAST)
    return per(late, early)


@check(
    "M35",
    "while the backlog decreases from half of its peak to a thirtieth in the ramp, new identity operations of users "
    "succeed (> 0.9)",
    needs=("ramp",),
)
def fresh_requests_succeed_meanwhile(view: IncidentView, ramp: float) -> ClaimFinding:
    times, backlog = view.backlog_curve(PAIR)
    after = times >= ramp
    peak = backlog[after].max() if after.any() else float("nan")
    falling = times[after & (backlog <= peak / 2)]
    empty = times[after & (backlog < peak * BACKLOG_LEFT)]
    if not len(falling) or not len(empty):
        return (
            Conditions((ramp, view.at.end))
            .true("backlog_drained", False if np.isfinite(backlog[after]).any() else None)
            .finding()
        )
    window = (float(falling[0]), max(float(empty[0]), float(falling[0]) + 10.0))
    fresh = [event for event in journeys(view, token_users(), window) if event["region"] in PAIR]
    won = sum(event["result"] == "success" for event in fresh)
    return Conditions(window).above("fresh_success", won / len(fresh) if fresh else None, 0.9).finding()


@check(
    "M36",
    "at the end operations succeed, amplification is below 1.1, the backlog is gone and no node is down; the same is "
    "true again soon after a drill that replays the trigger, large enough to make the initial fleet collapse",
    control="drill-alone",
    needs=("ramp",),
)
def full_recovery(view: IncidentView, _ramp: float) -> ClaimFinding:
    conditions = recovered(view, Conditions(view.final), view.final)
    conditions.at_least("nodes_up_share", _share_up(view, *view.final), 1.0)
    restored = view.at.drill_restore
    if view.at.drill is None or restored is None:
        found = conditions.finding()
        return replace(found, status="not_judged", note=NO_DRILL) if found.holds else found
    released = view.drilled.record.gauge(JOBS, restored - 2, restored, region=EAST, state="blocked")
    capacity = view.capacity_as_it_was(EAST)
    size = per(released, capacity)
    found = _after_drill(view.drilled, conditions.show("drill_per_fleet_as_it_was", size), restored).finding()
    if found.holds and (size is None or size < DELIVERED):
        return replace(found, status="not_judged", note=SMALL_DRILL)
    return found


def _after_drill(view: IncidentView, conditions: Conditions, restored: float) -> Conditions:
    """The same values in the second half of the time after the restore of the drill."""
    window = ((restored + view.at.drill_end) / 2, view.at.drill_end)
    east = view.at.restore_east
    if east is not None:
        first = view.record.gauge(JOBS, east - 2, east, region=EAST, state="blocked")
        again = view.record.gauge(JOBS, restored - 2, restored, region=EAST, state="blocked")
        conditions.show("drill_per_first_release", per(again, first))
    return (
        conditions.above("op_success_after_drill", view.op_success(*window), 0.99)
        .below("amplification_after_drill", view.amplification(*window), 1.1)
        .below("backlog_after_drill", view.backlog(*window), view.backlog_gone)
        .at_least("nodes_up_share_after_drill", _share_up(view, *window), 1.0)
    )
