"""Mitigations of the policy job, the provisioner and the operators, in a small incident of the whole testbed.

Two regions, the canary and East US. The policy job starts at 0 with the incident's defects, is stopped at 14, and the
accounts are restored at 24.
"""

from functools import cache
from typing import Any

from chaos.experiment.plan import make_plan
from chaos.experiment.runs import carry_out
from chaos.record.metric_names import TRIES
from chaos.record.record import RunRecord
from chaos.scenarios.loader import loads

CANARY, EAST = "centraluseuap", "eastus"
END = 34.0
RESTORED = 24.0
"""The end of runs in which it matters only what is switched off and whether it blocks jobs."""
SCENARIO = """
name: small-incident
title: The policy job goes wrong in two regions
starts_at: 2026-02-02T18:03:00Z
warmup_s: 14
duration_s: 34
regions:
  - {name: centraluseuap, display: Central US EUAP, role: canary, identity_nodes: 1}
  - {name: eastus, display: East US, role: east, identity_nodes: 3}
load:
  centraluseuap: {token_rate_per_s: 0.5, job_rate_per_s: 0.8}
  eastus: {token_rate_per_s: 1, job_rate_per_s: 2.4}
settings:
  provisioner: {slots: 60, requeue_delay_s: 4}
remediation:
  period_s: 60
  inventory: {defect: missing_exemptions, silent_s: 120, retention_s: 60, validate_targets: false}
  gate: {variant: no_data_is_healthy, settle_s: 2, bake_s: 8}
timeline:
  - {id: T01, at_s: 0, do: start_remediation}
  - {id: T07, at_s: 14, do: cancel_remediation}
  - {id: T09, at_s: 24, do: restore_accounts, regions: [eastus], accounts: ["vmextmi*"]}
  - {id: T12, at_s: 26, do: restore_accounts, regions: [centraluseuap, eastus]}
"""
SWITCHED = """  - {id: M1, at_s: 6, do: mitigate, on: [X6]}
  - {id: M2, at_s: 12, do: mitigate, on: [R4], off: [X6]}
  - {id: M3, at_s: 13, do: mitigate, on: [R3]}
"""


@cache
def _run(*mitigations: str, extra: str = "", until: float = END) -> RunRecord:
    scenario = loads(SCENARIO + extra)
    kept = tuple(entry for entry in scenario.timeline if entry.t < until)
    scenario = scenario.model_copy(update={"duration_s": until, "timeline": kept})
    finished = carry_out(make_plan(scenario, 1, mitigations=mitigations), transport="direct")
    assert not finished.problem
    assert finished.recorder is not None
    return RunRecord.from_memory(finished.plan, finished.recorder)


def _switched_off(record: RunRecord, **match: Any) -> set[str]:
    return {event["account"] for event in record.events_of("account_changed", public=False, **match)}


def _blocked(record: RunRecord, start: float = 0.0, end: float = RESTORED) -> float:
    found = record.delta(TRIES, start, end, region=EAST, result="blocked")
    assert found is not None, "the record is too short"
    return found


def test_without_any_exempt_accounts_are_switched_off_everywhere_and_jobs_are_blocked() -> None:
    record = _run()
    assert {event["region"] for event in record.events_of("account_changed", public=False, exempt=True)} == {
        CANARY,
        EAST,
    }
    assert _blocked(record) > 50


def test_with_a_fresh_inventory_only_what_the_policy_is_for_is_switched_off() -> None:
    record = _run("R2", until=RESTORED)
    assert _switched_off(record, exempt=True) == set()
    assert _switched_off(record, exempt=False) == _switched_off(_run(), exempt=False) != set()
    assert _blocked(record) == 0


def test_with_a_working_gate_the_policy_job_stops_at_the_canary() -> None:
    record = _run("R5", until=RESTORED)
    assert {event["region"] for event in record.events_of("account_changed", public=False)} == {CANARY}
    assert record.events_of("gate_decision", decision="stop", reason="unhealthy")
    assert not _run().events_of("gate_decision", decision="stop")
    assert _blocked(record) == 0


def test_a_faster_rollback_shortens_the_outage() -> None:
    last = [record.events_of("account_changed", public=True, exempt=True)[-1]["t"] for record in (_run(), _run("R3"))]
    assert last[0] >= 26.0
    assert 17.0 <= last[1] < 18.0
    assert _blocked(_run("R3"), 20.0, END) == 0 < _blocked(_run(), 20.0, END)


def test_with_a_mirror_accounts_are_disabled_but_no_job_is_blocked() -> None:
    record = _run("X6", until=RESTORED)
    assert _switched_off(record) == _switched_off(_run())
    assert _blocked(record) == 0


def _tries_peak(record: RunRecord) -> float:
    """The most tries that ended within a second, around the restore."""
    times, rate = record.rate_curve(TRIES, 1.0, region=EAST)
    return float(rate[(times > 16.0) & (times < 32.0)].max())


def test_paced_jobs_resume_one_by_one() -> None:
    # Fresh jobs are 2.4 a second; those that were blocked may add 4.
    assert _tries_peak(_run("X1")) < 13.0 < _tries_peak(_run())


def test_a_mitigation_is_switched_on_and_off_by_the_timeline() -> None:
    record = _run(extra=SWITCHED, until=RESTORED)
    assert _blocked(record, 0.0, 6.0) > 0
    assert _blocked(record, 8.0, 12.0) == 0
    assert _blocked(record, 13.0, 24.0) > 0
    assert [(event["on"], event["left_out"]) for event in record.events_of("mitigated")] == [
        (["X6"], []),
        (["R4"], ["R4: its additional nodes"]),
    ]
    failed = record.events_of("action_failed")
    assert [event["id"] for event in failed] == ["M3"]
    assert "cannot be switched while services run" in failed[0]["error"]
