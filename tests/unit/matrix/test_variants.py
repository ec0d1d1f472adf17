"""The second trigger after a run, and the run without operator actions."""

from dataclasses import replace

import pytest

from chaos.scenarios.actions import Drain, Open, Ramp, ScaleIdentity
from chaos.scenarios.drill import without_drill
from chaos.scenarios.loader import load, loads
from chaos.studies.matrix.job import MatrixRun
from chaos.studies.matrix.variants import AFTER_S, survived, unattended, with_replay
from chaos.verdict.claim_sets.fnj8_vqz.view import IncidentView
from tests.unit.record.incident_record import IncidentRecord, fresh_incident

FULL = without_drill(load("azure-fnj8-vqz"))
END = 760.0 - AFTER_S  # the made-up record is as long as the scenario: the trigger comes again within it
LONELY = """
name: lonely
title: One region
starts_at: 2026-02-02T18:03:00Z
duration_s: 10
regions: [{name: eastus, display: East US}]
load: {eastus: {token_rate_per_s: 1, job_rate_per_s: 1}}
"""


def shortened(made: IncidentRecord) -> IncidentView:
    """The made-up record as if its scenario had ended 75 s before its drill."""
    made.plan = {**made.plan, "duration_s": END}
    return IncidentView(made.build())


def working(made: IncidentRecord, start: float, end: float) -> IncidentRecord:
    for name in ("identity_client_attempts_total", "identity_client_operations_total"):
        good = {"outcome": "ok"} if name.endswith("attempts_total") else {"result": "success"}
        for region in ("eastus", "westus"):
            made.rate(name, 0.0, start, end, region=region)
            made.rate(name, 12.0, start, end, region=region, **good)
    return made


def test_users_of_the_pair_come_five_times_as_often_for_ten_seconds_after_the_end() -> None:
    longer = with_replay(FULL)
    assert longer.duration_s == 760.0 + 5.0 + 10.0 + 60.0
    assert [(entry.id, entry.t, entry.action.parameters()) for entry in longer.timeline[len(FULL.timeline) :]] == [
        ("REPLAY.eastus", 765.0, {"region": "eastus", "factor": 5.0, "for_s": 10.0}),
        ("REPLAY.westus", 765.0, {"region": "westus", "factor": 5.0, "for_s": 10.0}),
    ]
    assert longer.timeline[: len(FULL.timeline)] == FULL.timeline


def test_a_world_without_the_pair_has_no_second_trigger() -> None:
    assert with_replay(loads(LONELY)) == loads(LONELY)


def test_what_works_before_and_a_minute_after_has_survived() -> None:
    assert survived(shortened(working(fresh_incident(), END - 30, 760.0))) is True


def test_what_has_not_recovered_has_not_survived() -> None:
    made = working(fresh_incident(), END, 760.0)
    made.rate("identity_client_attempts_total", 0.0, END - 30, END, outcome="ok")
    assert survived(shortened(made)) is False


@pytest.mark.parametrize("name", ["identity_client_attempts_total", "identity_client_operations_total"])
def test_a_region_that_collapses_at_the_second_trigger_has_not_survived(name: str) -> None:
    made = working(fresh_incident(), END - 30, 760.0)
    made.rate(name, 30.0, 740.0, 760.0, **({"outcome": "timeout"} if "attempts" in name else {"result": "failed"}))
    assert survived(shortened(made)) is False


def test_a_record_that_ends_before_the_second_trigger_cannot_say() -> None:
    assert survived(IncidentView(fresh_incident().cut(760.0).build())) is None


def test_without_operator_actions_the_run_ends_two_minutes_after_the_restore() -> None:
    alone = unattended(FULL)
    assert alone.duration_s == 364.0 + 116.0
    assert not any(isinstance(entry.action, ScaleIdentity | Drain | Ramp | Open) for entry in alone.timeline)
    assert [entry.id for entry in alone.timeline][-2:] == ["T12", "T12.effect"]


def test_the_end_of_the_incident_is_not_the_end_of_the_run() -> None:
    job = MatrixRun("azure-fnj8-vqz", 1)
    assert (job.ends_t(), job.plan().duration_s) == (760.0, 835.0)
    left_alone = replace(job, unattended=True)
    assert left_alone.ends_t() == left_alone.plan().duration_s == 480.0
