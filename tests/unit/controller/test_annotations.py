"""What the dashboards show of the controller itself: events in words, the run's clocks, faults of every kind."""

from datetime import UTC, datetime
from typing import Any

from chaos.controller.annotations import (
    EVENTS_MAX,
    NO_RUN,
    OTHER_RUN,
    Annotations,
    RunMoment,
    export_faults,
    export_run,
)
from chaos.faults.registry import CATALOGUE
from services.chassis.metrics import Metrics

DISPLAYS = {"eastus": "East US", "westus": "West US"}
NOON = datetime(2026, 2, 2, 12, tzinfo=UTC)


def values(metrics: Metrics) -> dict[tuple[str, ...], float]:
    """Numbers by metric and label values."""
    return {(name, *(value for _, value in labels)): number for name, labels, number in metrics.samples()}


def taken(*events: dict[str, Any]) -> dict[tuple[str, ...], float]:
    metrics = Metrics()
    annotations = Annotations(metrics, DISPLAYS)
    for event in events:
        annotations.take({"source": "controller", **event})
    return values(metrics)


def test_an_event_is_there_in_words_and_at_its_own_moment() -> None:
    drain = {"at": 100.0, "kind": "action", "id": "T16", "action": "drain", "parameters": {"regions": ["eastus"]}}
    alert = {"at": 101.0, "kind": "alert", "name": "RetryStorm", "region": "westus", "state": "firing"}
    stall = {"at": 102.0, "kind": "machine_stalled", "stalled_s": 2.5}

    assert taken(drain, alert, stall) == {
        ("controller_event_timestamp_seconds", "action", "T16", "drain East US", "yes"): 100.0,
        ("controller_event_timestamp_seconds", "alert", "2", "RetryStorm firing: West US", "yes"): 101.0,
        ("controller_event_timestamp_seconds", "stall", "3", "the machine stalled for 2.5 s", "yes"): 102.0,
    }


def test_notes_ends_and_what_comes_by_the_hundred_are_left_out() -> None:
    note = {"at": 1.0, "kind": "action", "id": "T02", "action": "note", "parameters": {"observe": "x"}}
    over = {"at": 2.0, "kind": "alert", "name": "RetryStorm", "region": "westus", "state": "resolved"}

    assert taken(note, over, {"at": 3.0, "kind": "job_accepted"}) == {}


def test_lines_are_drawn_at_actions_that_change_the_services_and_not_at_each_of_a_series() -> None:
    restores = [(57.0, "northeurope"), (59.0, "southeastasia"), (66.9, "westus"), (67.0, "eastus")]
    actions = [
        {"at": at, "kind": "action", "id": f"T{at}", "action": "restore_accounts", "parameters": {"regions": [region]}}
        for at, region in restores
    ]
    drain = {"at": 60.0, "kind": "action", "id": "T16", "action": "drain", "parameters": {"regions": ["eastus"]}}
    audit = {"at": 90.0, "kind": "action", "id": "T15", "action": "audit_accounts", "parameters": {}}

    found = taken(*actions[:2], drain, *actions[2:], audit)
    assert {at: line for (*_, line), at in found.items()} == {
        57.0: "yes",
        59.0: "no",
        60.0: "yes",
        66.9: "no",
        67.0: "yes",
        90.0: "no",
    }


def test_only_the_newest_events_are_kept() -> None:
    alerts = [{"at": float(n), "kind": "alert", "name": "A", "state": "firing"} for n in range(EVENTS_MAX + 5)]

    assert sorted(taken(*alerts).values()) == [float(n) for n in range(5, EVENTS_MAX + 5)]


def test_the_run_shows_its_clocks_what_was_done_last_and_the_pace_of_its_alerts() -> None:
    metrics = Metrics()
    moments: list[RunMoment | None] = [None]
    absent = [OTHER_RUN, NO_RUN]
    export_run(metrics, lambda: moments[0], lambda: absent[-1])
    assert values(metrics) == {("controller_run_phase", NO_RUN): 1.0, ("controller_detection_pace",): 1.0}
    absent.pop()
    assert ("controller_run_phase", OTHER_RUN) in values(metrics)

    moments[0] = RunMoment(45.0, "cancel the policy job", 1.0, NOON)
    assert values(metrics) == {
        ("controller_run_seconds",): 45.0,
        ("controller_incident_timestamp_seconds",): NOON.timestamp(),
        ("controller_run_phase", "cancel the policy job"): 1.0,
        ("controller_detection_pace",): 1.0,
    }
    moments[0] = RunMoment(45.0, "cancel the policy job", 0.2, None)
    assert ("controller_incident_timestamp_seconds",) not in values(metrics)
    assert values(metrics)["controller_detection_pace",] == 0.2


def test_faults_of_every_kind_are_counted_so_that_none_is_zero() -> None:
    metrics = Metrics()
    export_faults(metrics, lambda: {"latency": 2}.items())

    found = {kind: number for (_, kind), number in values(metrics).items()}
    assert found == {**dict.fromkeys(CATALOGUE, 0.0), "latency": 2.0}
