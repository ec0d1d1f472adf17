"""Negative controls: runs that differ from the incident in one respect, and the difference in outcome they must show.

They test the counterfactual part of claims: a collapse that also occurs without its cause would be scripted.
"""

from chaos.record.metric_names import ACCOUNTS, ATTEMPTS, ENDED, STARTED
from chaos.record.record import Of, RunRecord
from chaos.record.series import Array
from chaos.scenarios.loader import load
from chaos.verdict.claim_sets.fnj8_vqz.recovery import recovered
from chaos.verdict.claim_sets.fnj8_vqz.view import EAST, PAIR, WEST, IncidentView
from chaos.verdict.expectations import judge_all
from chaos.verdict.model import ClaimFinding, Conditions, ControlExperiment
from chaos.verdict.times import Window
from chaos.verdict.view import COLLAPSE_SUCCESS

CALM_DAY = "calm-day"
THROUGHOUT_S = 30.0
LATE_S = 100.0
WEST_HEALTHY = 0.95
NO_WAVE = 0.9


def _late(view: IncidentView) -> Window:
    """The last `LATE_S` seconds of a run without a repair."""
    return max(view.at.end - LATE_S, view.at.trigger), view.at.end


def _worst(view: IncidentView, curve: tuple[Array, Array], window: Window, *, highest: bool = False) -> float | None:
    """The lowest (or highest) value of a curve over a window."""
    return view.record.reduce(curve, window[0], window[1], "max" if highest else "min")


def _no_operator(view: IncidentView) -> ClaimFinding:
    window = _late(view)
    return (
        Conditions(window)
        .order("east_collapsed", view.at.restore_east, view.collapse_t(EAST, view.at.restore_east))
        .below("op_success", view.op_success(*window), 0.30)
        .at_least("amplification", view.amplification(*window), 2.0)
        .finding()
    )


def _no_restore(view: IncidentView) -> ClaimFinding:
    """Judged until the drain: the plan's drain also happens here, although the service does not need it."""
    window = (view.at.trigger, view.at.drain if view.at.drain is not None else view.at.end)
    late = (max(window[1] - LATE_S, window[0]), window[1])
    off = view.record.gauge(ACCOUNTS, *late, "last", region=EAST, exempt="true", public="false")
    return (
        Conditions(window)
        .above("exempt_accounts_off_in_east", off, 0)
        .above("attempt_success", view.attempt_success(*window), 0.99)
        .above("worst_success_east", _worst(view, view.success_curve(EAST), window), NO_WAVE)
        .above("worst_success_west", _worst(view, view.success_curve(WEST), window), NO_WAVE)
        .at_most("amplification", _worst(view, view.amplification_curve(THROUGHOUT_S), window, highest=True), 1.2)
        .finding()
    )


def _failover_off(view: IncidentView) -> ClaimFinding:
    east = view.at.restore_east
    if east is None:
        return Conditions().true("restore_in_east", False).finding()
    window = (east, view.at.drain if view.at.drain is not None else view.at.end)
    # Operations, as in docs/model.md §4: in a healthy region single attempts fail occasionally and are retried.
    west = view.record.ratio_curve(Of(ENDED, result="success", region=WEST), Of(ENDED, region=WEST), 10.0)
    return (
        Conditions(window)
        .below("attempt_success_east", view.attempt_success(east + 12, window[1], EAST), 0.30)
        .above("worst_op_success_west", _worst(view, west, (east + 10, window[1])), WEST_HEALTHY)
        .finding()
    )


def _abrupt_reopen(view: IncidentView) -> ClaimFinding:
    reopened = view.at.ramp
    if reopened is None:
        return Conditions().true("reopened", False).finding()
    window = (reopened + 20.0, view.at.end)
    return (
        Conditions(window)
        .below("op_success", view.op_success(*window), 0.30)
        .at_least("amplification", view.amplification(*window), 2.0)
        .finding()
    )


def _no_cancel(view: IncidentView) -> ClaimFinding:
    restored = {(event["account"], event["t"]) for event in view.flips(True, exempt=True)}
    again = [
        event
        for event in view.flips(False, exempt=True)
        if any(account == event["account"] and t < event["t"] for account, t in restored)
    ]
    runs = {run["run"] for run in view.record.events_of("remediation_started")}
    return (
        Conditions()
        .above("restored_then_switched_off_again", len(again), 0)
        .true("by_the_workflow", {event["actor"] for event in again} <= runs)
        .finding()
    )


def _repaired_inventory(view: IncidentView) -> ClaimFinding:
    return (
        Conditions()
        .at_least("runs", len(view.record.events_of("remediation_started")), 1)
        .at_most("exempt_switched_off", len(view.flips(False, exempt=True)), 0)
        .above("others_switched_off", len(view.flips(False, exempt=False)), 0)
        .finding()
    )


def _repaired_gate(view: IncidentView) -> ClaimFinding:
    stops = view.record.events_of("gate_decision", decision="stop")
    return (
        Conditions()
        .at_least("stops", len(stops), 1)
        .at_least("regions_hit", len(view.affected), 1)
        .at_most("regions_hit", len(view.affected), 1)
        .finding()
    )


def _careful_tenants(view: IncidentView) -> ClaimFinding:
    """Whether the second wave occurs and ends as in the incident; `pairs` compares the durations."""
    east, first, second = view.at.restore_east, view.after_scale_1, view.after_scale_2
    if east is None or first is None or second is None:
        return Conditions().true("restored_and_scaled", False).finding()
    where = {"region": PAIR, "service": "loadgen", "layer": "sdk"}
    asked = {"region": PAIR, "service": "loadgen"}
    conditions = (
        Conditions((east, view.at.end))
        .at_most("tenants_amplification", view.record.ratio(Of(ATTEMPTS, **where), Of(STARTED, **asked), *first), 2.0)
        .order("restore_east_west", east, view.collapse_t(EAST, east), view.collapse_t(WEST, east))
        .below("op_success_after_scale_outs", view.op_success(first[0], second[1]), COLLAPSE_SUCCESS)
    )
    return recovered(view, conditions, view.final).finding()


def _drill_alone(view: IncidentView) -> ClaimFinding:
    restored = view.first_on.get(EAST)
    if restored is None:
        return Conditions().true("restored", False).finding()
    window = (max(restored, view.at.end - 20.0), view.at.end)
    return (
        Conditions(window)
        .order("restore_east", restored, view.collapse_t(EAST, restored))
        .below("attempt_success", view.attempt_success(*window), 0.30)
        .at_least("amplification", view.amplification(*window), 2.0)
        .finding()
    )


def _calm(view: IncidentView) -> ClaimFinding:
    """What the calm day expects of itself."""
    return judge_all(load(CALM_DAY).expect, view)


CONTROLS: dict[str, ControlExperiment] = {
    control.name: control
    for control in (
        ControlExperiment(
            "no-operator",
            "accounts are restored, then no operator scales, drains or ramps",
            "the pair is still down in the last 100 s: operation success < 0.30, amplification ≥ 2",
            ("F3", "F4", "M30", "M32"),
            _no_operator,
        ),
        ControlExperiment(
            "no-restore",
            "accounts stay private",
            "no second wave: attempts in the pair succeed (> 0.99, worst 10 s > 0.9), amplification ≤ 1.2",
            ("F1", "F2", "M39"),
            _no_restore,
        ),
        ControlExperiment(
            "failover-off",
            "routers send nothing to the paired region",
            "East collapses, West stays healthy (worst 10 s of operations > 0.95)",
            ("F2", "M26", "S33"),
            _failover_off,
        ),
        ControlExperiment(
            "abrupt-reopen",
            "traffic is admitted at once instead of ramped",
            "the pair collapses again: operation success < 0.30, amplification ≥ 2",
            ("F4", "M34", "T17"),
            _abrupt_reopen,
        ),
        ControlExperiment(
            "no-cancel",
            "the workflow is never disabled",
            "the next run makes restored accounts private again",
            ("M17", "T07"),
            _no_cancel,
        ),
        ControlExperiment(
            "repaired-inventory",
            "the exemption records are complete",
            "no exempt account is made private, other accounts are",
            ("M02", "M03", "S28"),
            _repaired_inventory,
        ),
        ControlExperiment(
            "repaired-gate",
            "the gate evaluates the region that was changed",
            "the rollout stops in its first region",
            ("M08", "M09", "S30"),
            _repaired_gate,
        ),
        ControlExperiment(
            "careful-tenants",
            "tenants only: three jittered attempts, a retry budget, a circuit breaker and a token cache",
            "tenants add few retries (amplification ≤ 2), but East collapses, then West; both stay down after the "
            "scale-outs (operation success < 0.50) and recover after drain and ramp",
            ("M41", "C1"),
            _careful_tenants,
        ),
        ControlExperiment(
            "drill-alone",
            "no incident before the drill: the fleet has its initial size",
            "the drill makes the pair collapse: attempt success < 0.30 and amplification ≥ 2 in the last 20 s",
            ("M36",),
            _drill_alone,
        ),
        ControlExperiment(
            CALM_DAY, "no fault, no policy job", "operations succeed, no retries, no collapse", ("F0",), _calm
        ),
    )
}


def judge_control(name: str, record: RunRecord) -> ClaimFinding:
    """Judges the run of a control: `reproduced` if the outcome is as expected.

    Raises:
        KeyError: the name is unknown; the message lists the known controls.
    """
    if name not in CONTROLS:
        raise KeyError(f"unknown control {name!r}; known: {', '.join(sorted(CONTROLS))}")
    return CONTROLS[name].judge(IncidentView(record))
