"""The drill after an incident: accounts are disabled, jobs wait, accounts are restored and the jobs continue."""

from functools import cache

from chaos.experiment.plan import make_plan
from chaos.experiment.runs import carry_out
from chaos.record.metric_names import TRIES
from chaos.record.record import RunRecord
from chaos.scenarios.loader import loads
from chaos.verdict.claim_sets.fnj8_vqz.view import IncidentView

SCENARIO = """
name: small-drill
title: One region, and a drill
starts_at: 2026-02-02T18:03:00Z
warmup_s: 24
duration_s: 26
regions:
  - {name: eastus, display: East US, role: east, identity_nodes: 2}
load:
  eastus: {token_rate_per_s: 3, job_rate_per_s: 2}
settings:
  provisioner: {slots: 60, requeue_delay_s: 3}
timeline:
  - {id: DRILL, at_s: 2, do: disable_accounts, regions: [eastus], accounts: ["vmextmi*"]}
  - {id: DRILL.restore, at_s: 14, do: restore_accounts, regions: [eastus], accounts: ["vmextmi*"]}
"""


@cache
def view() -> IncidentView:
    finished = carry_out(make_plan(loads(SCENARIO), 1), transport="direct")
    assert not finished.problem
    assert finished.recorder is not None
    return IncidentView(RunRecord.from_memory(finished.plan, finished.recorder))


def test_the_high_volume_account_is_switched_off_and_on_by_the_drill() -> None:
    flips = view().drilled.record.events_of("account_changed")
    assert [(event["account"], event["public"], event["actor"]) for event in flips] == [
        ("vmextmieastus", False, "DRILL"),
        ("vmextmieastus", True, "DRILL.restore"),
    ]
    assert [2 <= flips[0]["t"] < 3, 14 <= flips[1]["t"] < 15] == [True, True]


def test_jobs_wait_meanwhile_and_are_done_after() -> None:
    record = view().drilled.record
    assert record.delta(TRIES, 0, 2, result="blocked") == 0
    assert (record.delta(TRIES, 4, 14, result="blocked") or 0) > 10
    assert record.delta(TRIES, 18, 26, result="blocked") == 0
    assert (record.delta(TRIES, 18, 26, result="done") or 0) > 5


def test_the_incident_ends_where_the_drill_begins() -> None:
    assert (view().at.end, view().at.drill_restore, view().at.drill_end) == (2.0, 14.0, 26.0)
    assert (view().record.end, view().drilled.record.end) == (2.0, 26.0)
    assert view().flips(False) == []
