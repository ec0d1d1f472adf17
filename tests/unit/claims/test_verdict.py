"""The verdict of a run, its figures, and records that cannot be judged."""

import json
import re
from dataclasses import replace

import pytest
from pydantic import TypeAdapter

from chaos.record.record import RunRecord
from chaos.record.series import SeriesTable
from chaos.verdict import EXIT_CODES, STATUSES, Verdict, judge
from chaos.verdict.claim_sets.fnj8_vqz import CHECKS
from chaos.verdict.claim_sets.fnj8_vqz.view import IncidentAnchors
from chaos.verdict.model import NO_ACTION, ClaimFinding, Conditions, plain
from tests.unit.record.incident_record import E, IncidentRecord, R, calm_day, fresh_incident

ATTEMPTS = "identity_client_attempts_total"


@pytest.fixture(scope="module")
def verdict() -> Verdict:
    return judge(fresh_incident().build())


def test_every_row_of_the_conformance_table_is_there(verdict: Verdict) -> None:
    expected = {"C1"} | {f"F{n}" for n in range(5)} | {f"S{n:02}" for n in range(1, 40)}
    expected |= {f"O{n:02}" for n in range(1, 14)}
    expected |= {f"M{n:02}" for n in range(1, 43)} | {f"T{n:02}" for n in range(1, 19)}
    assert {claim.id for claim in verdict.claims} == expected
    assert set(CHECKS) <= expected


def test_the_incident_is_as_expected(verdict: Verdict) -> None:
    assert (verdict.status, verdict.why, verdict.exit_code) == ("as_expected", "", 0)
    assert verdict.counts() == {"narrative": 6, "not_judged": 2, "reproduced": 101, "underspecified": 4}


def test_thresholds_of_our_own_make_a_row_underspecified(verdict: Verdict) -> None:
    rows = {claim.id: claim for claim in verdict.claims if claim.status == "underspecified"}
    assert {name: claim.rests_on for name, claim in rows.items()} == {
        "M15": "A6",
        "T03": "A6",
        "T04": "A6",
        "O01": "A9",
    }


def test_the_figures_of_the_incident(verdict: Verdict) -> None:
    figures = verdict.figures
    assert figures["time_east_collapse_t"] == E + 2
    assert figures["time_west_collapse_t"] == E + 6
    assert R + 40 < figures["recovered_t"] < R + 80
    assert 10.5 < figures["peak_amplification"] < 12
    assert figures["collapse_depth"] == 0
    assert figures["peak_nodes"] == 24
    assert figures["failed_operations"] > 7000


def test_a_broken_fact_contradicts_and_says_which() -> None:
    made = fresh_incident().level("provisioner_jobs", 50.0, 730, 760, state="blocked", region="eastus")
    verdict = judge(made.build())
    assert (verdict.status, verdict.exit_code) == ("contradicted", 1)
    assert re.fullmatch(r"F4: backlog is \d+(\.\d+)?, not < 20", verdict.why)


def test_a_contradicted_claim_alone_does_not_change_the_verdict() -> None:
    verdict = judge(fresh_incident().without_events("audit").build())
    assert verdict.claim("T15").status == "contradicted"
    assert verdict.status == "as_expected"


def test_an_unhealthy_baseline_cannot_be_judged() -> None:
    made = fresh_incident()
    made.change_events("baseline", lambda e: e.update(ok=False, success_ratio=0.71))
    verdict = judge(made.build())
    assert (verdict.status, verdict.exit_code) == ("could_not_judge", 2)
    assert verdict.why == "71.0% of operations succeeded at base"


def test_no_samples_cannot_be_judged() -> None:
    verdict = judge(RunRecord(fresh_incident().plan, [], SeriesTable()))
    assert (verdict.status, verdict.why) == ("could_not_judge", "no samples")
    assert {claim.status for claim in verdict.claims} == {"not_judged", "narrative"}
    assert set(verdict.figures.values()) == {None}


def test_an_interrupted_run_judges_only_what_was_over() -> None:
    verdict = judge(fresh_incident().cut(500).build())
    assert verdict.status == "could_not_judge"
    assert verdict.why == "the record ends at τ = 500, the scenario at 760"
    assert verdict.claim("F1").status == "reproduced"
    assert verdict.claim("M28").status == "reproduced"
    assert {verdict.claim(name).status for name in ("F3", "F4", "M17", "M27", "T18")} == {"not_judged"}


def test_an_attempts_metric_that_was_never_recorded_cannot_be_judged() -> None:
    assert judge(fresh_incident().without(ATTEMPTS).build()).status == "could_not_judge"


def test_a_fact_that_cannot_be_measured_is_not_passed_over() -> None:
    verdict = judge(fresh_incident().without("identity_workers_busy").build())
    assert verdict.claim("F1").status == "not_judged"
    assert verdict.status == "could_not_judge"


def test_facts_whose_actions_the_plan_lacks_are_not_judged() -> None:
    verdict = judge(fresh_incident().without_entries("T13", "T14", "T16", "T17").build())
    assert {verdict.claim(name).note for name in ("F3", "F4")} == {NO_ACTION}
    assert verdict.status == "as_expected"


def test_a_calm_day_is_judged_by_staying_calm() -> None:
    assert judge(calm_day().build()).status == "as_expected"
    disturbed = calm_day().rate(ATTEMPTS, 3.0, 100, 140, region="eastus", layer="sdk", outcome="timeout")
    assert judge(disturbed.build()).status == "contradicted"


def test_windows_follow_the_plan_of_the_short_scenario() -> None:
    made = IncidentRecord("azure-fnj8-vqz-short")
    at = IncidentAnchors.of(made.build())
    entries = {entry["id"]: entry["t"] for entry in made.plan["timeline"]}
    assert at.restore_east == entries["T09"]
    assert (at.scale_1, at.scale_2, at.drain, at.ramp) == tuple(entries[row] for row in ("T13", "T14", "T16", "T17"))
    assert (at.start, at.end) == (-made.plan["warmup_s"], made.plan["duration_s"])


def test_notes_are_no_actions() -> None:
    made = fresh_incident()
    made.plan = {**made.plan, "timeline": [{"id": "T09", "t": 364, "action": "note", "parameters": {}}]}
    assert IncidentAnchors.of(made.build()).restore_east is None


def test_the_document_is_json_and_comes_back(verdict: Verdict) -> None:
    text = json.dumps(verdict.document(), allow_nan=False)
    assert TypeAdapter(Verdict).validate_python(json.loads(text)) == verdict
    entry = json.loads(text)["claims"][1]
    assert {"id", "status", "statement", "predicate", "measured", "window"} <= set(entry)


def test_exit_codes_cover_every_outcome() -> None:
    assert EXIT_CODES == {"as_expected": 0, "contradicted": 1, "could_not_judge": 2}
    assert set(STATUSES) == {"reproduced", "contradicted", "underspecified", "narrative", "not_judged"}


def test_conditions_say_what_failed_before_what_is_missing() -> None:
    both = Conditions((0, 1)).below("a", 2.0, 1.0).above("b", None, 1.0)
    assert both.finding() == ClaimFinding("contradicted", {"a": 2.0, "b": None}, (0, 1), "a is 2.0, not < 1")
    assert Conditions().above("b", None, 1.0).finding().note == "not measured: b"
    assert Conditions().order("t", 1.0, 1.0).finding().status == "contradicted"
    assert Conditions().in_turn("t", 1.0, 1.0).finding().status == "reproduced"
    assert Conditions().order("t", 1.0, float("inf")).finding().status == "contradicted"
    assert Conditions().order("t", None, 1.0).finding().status == "not_judged"


def test_measured_numbers_are_short_and_finite() -> None:
    assert plain({"a": float("inf"), "b": float("nan"), "c": {2, 1}, "d": (1.23456, True)}) == {
        "a": "never",
        "b": None,
        "c": [1, 2],
        "d": [1.2346, True],
    }


def stalled(lost_s: float, at_t: float, scenario: IncidentRecord | None = None) -> IncidentRecord:
    """The incident as recorded on a machine that stalled for so long."""
    made = scenario or fresh_incident()
    for number in range(5):
        made.count("process_stall_seconds_total", 0.0, instance=f"node-{number}")
        made.rate("process_stall_seconds_total", lost_s, at_t - 1, at_t, instance=f"node-{number}")
    return made


def test_a_stalled_machine_cannot_be_judged_and_contradicts_nothing() -> None:
    made = fresh_incident().level("provisioner_jobs", 50.0, 730, 760, state="blocked", region="eastus")
    verdict = judge(stalled(3.0, E - 50, made).build())
    assert (verdict.status, verdict.exit_code) == ("could_not_judge", 2)
    assert verdict.why == f"the machine stalled (3.0 s before τ = {E - 50:.0f})"
    later = [claim for claim in verdict.claims if claim.window is None or claim.window[1] > E - 50]
    assert {claim.status for claim in later} == {"not_judged", "narrative"}
    before = {claim.id for claim in verdict.claims if claim.window is not None and claim.window[1] < E - 60}
    assert before
    assert {verdict.claim(name).status for name in before} == {"reproduced"}, "they were over before"


def test_a_stall_within_the_clients_patience_changes_nothing() -> None:
    assert judge(stalled(0.9, E - 50).build()).status == "as_expected"


def test_a_stall_in_the_warm_up_is_left_to_the_baseline_check() -> None:
    assert judge(stalled(3.0, -10.0).build()).status == "as_expected"


def test_a_calm_day_on_a_stalled_machine_cannot_be_judged() -> None:
    verdict = judge(stalled(3.0, 20.0, calm_day()).build())
    assert (verdict.status, verdict.exit_code) == ("could_not_judge", 2)


@pytest.mark.parametrize("scenario", ["azure-fnj8-vqz", "calm-day"])
def test_a_world_without_the_claims_regions_is_not_judged(scenario: str) -> None:
    """No region fell, because there is none: that contradicts nothing."""
    record = fresh_incident().build()
    plan = {**record.plan, "scenario": scenario, "regions": [{"name": "northeurope"}, {"name": "eastus"}]}
    verdict = judge(replace(record, plan=plan))
    assert (verdict.status, verdict.exit_code) == ("could_not_judge", 2)
    assert verdict.why == "the claims do not apply to this topology: it has no westus"
    assert {claim.status for claim in verdict.evidence} <= {"not_judged", "narrative"}
    assert {claim.status for claim in verdict.expected if "westus" in claim.predicate} <= {"not_judged"}
