"""Expectations judged on a made-up record: every reduction, comparison and order, and what cannot be measured."""

from typing import Any

import pytest

from chaos.scenarios.expect import Expectation, parse_expectations
from chaos.scenarios.signals import SIGNALS
from chaos.verdict import judge
from chaos.verdict.expectations import judge_all, judge_expectation
from chaos.verdict.model import NO_ACTION, ClaimFinding
from chaos.verdict.view import View
from tests.unit.record.incident_record import END, D, E, IncidentRecord, R, fresh_incident

ATTEMPTS = "identity_client_attempts_total"
QUIET = {"signal": "attempt_success", "region": "eastus", "from": 100, "to": 200}


@pytest.fixture(scope="module")
def view() -> View:
    return View(fresh_incident().build())


def expectation(name: str = "E1", **fields: Any) -> Expectation:
    (made,) = parse_expectations([{"id": name, "says": "So.", **fields}])
    return made


def found(view: View, **fields: Any) -> ClaimFinding:
    return judge_expectation(expectation(**fields), (), view)


def measured(view: View, **fields: Any) -> Any:
    (value,) = found(view, **fields).measured.values()
    return value


def doctored(rate: float, start: float, end: float) -> View:
    """East US answers everything until the restore, but for some seconds of timeouts."""
    return View(
        fresh_incident().rate(ATTEMPTS, rate, start, end, region="eastus", service="loadgen", outcome="timeout").build()
    )


@pytest.mark.parametrize(
    ("bound", "holds"),
    [
        ({"at_least": 1.0}, True),
        ({"above": 0.99}, True),
        ({"above": 1.0}, False),
        ({"below": 1.0}, False),
        ({"at_most": 0.99}, False),
        ({"at_least": 0.9, "below": 1.0}, False),
    ],
)
def test_a_comparison_is_strict_or_not_as_it_says(view: View, bound: dict[str, float], holds: bool) -> None:
    assert found(view, **QUIET, **bound).status == ("reproduced" if holds else "contradicted")


def test_the_reductions_of_a_share_see_a_dip_differently() -> None:
    """12 attempts/s succeed; from 150 to 155 s 36/s time out: 3 of 4 fail there."""
    view = doctored(36.0, 150, 155)
    mean = measured(view, **QUIET, at_least=0.5)
    assert mean == pytest.approx(1200 / 1380, abs=0.002)
    assert measured(view, **QUIET, how="worst", over_s=2, at_least=0.5) == 0.25
    assert measured(view, **QUIET, how="worst", over_s=2, at_most=0.5) == 1.0
    assert measured(view, **{**QUIET, "to": 153}, how="last", over_s=2, at_least=0.5) == 0.25
    assert measured(view, **QUIET, how="ever", over_s=2, below=0.5) == pytest.approx(151, abs=1)
    assert (
        found(view, **QUIET, how="ever", over_s=2, below=0.2).note
        == "attempt_success_eastus_ever is never, not at some time"
    )


def test_a_sample_counts_only_if_all_its_seconds_are_in_the_window() -> None:
    view = doctored(36.0, 150, 155)
    late = {**QUIET, "from": 153.5, "how": "worst", "at_least": 0.5}
    assert measured(view, **late, over_s=1) == 0.25
    assert measured(view, **{**late, "from": 155}, over_s=10) == 1.0


def test_a_share_of_too_few_events_is_no_sample() -> None:
    """A single attempt that timed out is no collapse."""
    made = fresh_incident().rate(ATTEMPTS, 0.0, 149, 160, region="eastus", layer="sdk")
    made.rate(ATTEMPTS, 1.0, 154, 155, region="eastus", service="loadgen", layer="sdk", outcome="timeout")
    assert found(View(made.build()), **QUIET, how="worst", over_s=1, at_least=0.5).status == "reproduced"


def test_what_happened_before_the_window_is_not_in_it() -> None:
    view = doctored(36.0, 150, 155)
    after = {**QUIET, "from": 155, "how": "ever", "below": 0.9}
    assert found(view, **after, over_s=5).measured == {"attempt_success_eastus_ever": "never"}


def test_counters_and_events_are_counted(view: View) -> None:
    assert (
        measured(view, signal="attempts", region="eastus", **{"from": 100, "to": 200}, how="count", above=1) == 1200.0
    )
    assert measured(view, signal="attempts", region="eastus", **{"from": 100, "to": 200}, above=1) == 12.0
    alerts = {"signal": "alerts", "alert": "ControlPlaneFailures"}
    count = measured(view, **alerts, at_least=1)
    assert count == len(view.record.events_of("alert", state="firing", name="ControlPlaneFailures")) > 0
    first = measured(view, **alerts, how="ever")
    assert first == view.record.events_of("alert", state="firing", name="ControlPlaneFailures")[0]["t"]
    assert found(view, signal="crashes", to=10, at_most=0).status == "reproduced"
    assert found(view, signal="crashes", to=10, how="ever").status == "contradicted"


def test_levels_are_averaged_or_smoothed() -> None:
    made = fresh_incident().level("identity_queue_length", 0.0, 100, 200, region="eastus")
    made.level("identity_queue_length", 10.0, 150, 151, region="eastus")
    view = View(made.build())
    nodes = float(view.record.curve("identity_queue_length", region="eastus")[1].max()) / 10.0
    queue = {"signal": "queue_length", "region": "eastus", "from": 100, "to": 200, "at_most": 1.0}
    raw, smooth = (measured(view, **queue, how="worst", **over) for over in ({}, {"over_s": 10}))
    assert nodes >= 1
    assert raw >= 10.0
    assert smooth < raw / 2


def test_latency_is_of_the_journeys_that_ended(view: View) -> None:
    lasted = sorted(event["duration_s"] for event in view.record.events_of("operation", 0, END))
    middle = measured(view, signal="latency_p50", at_most=1e6)
    assert lasted[0] <= middle <= lasted[-1]
    worst = measured(view, signal="latency_p50", how="worst", over_s=60, at_most=1e6)
    assert worst >= middle
    tenant = view.record.events_of("operation")[0]["tenant"]
    assert measured(view, signal="latency_p99", tenant=tenant, at_most=1e6) is not None


def test_an_order_holds_only_if_both_happened_in_it(view: View) -> None:
    fall = {"signal": "attempt_success", "how": "ever", "over_s": 3, "below": 0.5, "from": "T09-2s", "to": "end"}
    assert found(view, **fall, region="eastus", before={"region": "westus"}).status == "reproduced"
    assert found(view, **fall, region="westus", before={"region": "eastus"}).status == "contradicted"
    assert found(view, **fall, region="eastus", before={"region": "northeurope"}).status == "contradicted"


def test_an_order_can_name_an_expectation(view: View) -> None:
    fall = {"signal": "attempt_success", "how": "ever", "over_s": 3, "below": 0.5, "from": "T09-2s", "to": "end"}
    west = expectation("W1", region="westus", **fall)
    east = expectation("E1", region="eastus", before="W1", **fall)
    finding = judge_expectation(east, (east, west), view)
    assert finding.status == "reproduced"
    assert finding.measured == {"attempt_success_eastus_ever": [E + 2, E + 6]}
    swapped = expectation("W1", region="westus", before="E1", **fall)
    assert (
        judge_expectation(swapped, (expectation("E1", region="eastus", **fall), swapped), view).status == "contradicted"
    )


def test_what_the_plan_lacks_is_not_judged(view: View) -> None:
    assert found(view, signal="backlog", below=1e6, **{"from": "T99"}).note == NO_ACTION
    assert found(view, signal="backlog", below=1e6, **{"from": ["T99", "T16"], "to": "T17"}).window == (D, R)
    assert found(view, signal="backlog", below=1e6, needs=["T99"]).note == NO_ACTION
    assert found(view, signal="backlog", below=1e6, **{"from": "T17", "to": "T16"}).note == NO_ACTION


def test_what_was_not_recorded_is_not_taken_as_true() -> None:
    made = fresh_incident()
    made.rates, made.levels, made.events = [], [], []
    view = View(made.build())
    for name, spec in SIGNALS.items():
        for how in spec.reductions:
            bound = {} if how == "ever" and spec.kind == "events" else {"at_most": 0.5}
            status = found(view, signal=name, how=how, **bound).status
            assert status == "not_judged" or spec.kind == "events", (name, how)


def test_a_region_without_samples_is_not_judged(view: View) -> None:
    """Nothing is known of it, so nothing holds and nothing is broken."""
    levels = [name for name, spec in SIGNALS.items() if spec.kind in ("share", "level", "quantile")]
    for name in levels:
        for how in SIGNALS[name].reductions:
            bounds: dict[str, Any] = {"at_most": 0.5} if SIGNALS[name].most > 0.5 else {"at_least": 0.5}
            assert found(view, signal=name, region="nowhere", how=how, **bounds).status == "not_judged", (name, how)


def test_the_last_sample_is_one_of_the_end() -> None:
    """Requests that ended well before a silence say nothing about the end of the silence."""
    view = View(fresh_incident().rate(ATTEMPTS, 0.0, 150, 200, region="eastus").build())
    last = {**QUIET, "how": "last", "at_least": 0.5, "over_s": 5}
    assert found(view, **last).status == "not_judged"
    assert found(view, **{**last, "to": 151}).status == "reproduced"


def test_an_order_between_tenants_stays_in_the_region() -> None:
    (made,) = expectation(
        signal="journey_success", region="eastus", tenant="a", how="ever", below=0.5, before={"tenant": "b"}
    ).all
    assert not isinstance(made.before, str | None)
    assert made.elsewhere(made.before).where == {"region": "eastus", "tenant": "b"}


def test_an_expectation_with_the_id_of_a_claim_is_still_an_expectation() -> None:
    mine = {**row(at_least=0.5), "id": "M01"}
    verdict = judge(plan_with(fresh_incident(), mine, claims="fnj8-vqz").build())
    assert [claim.kind for claim in verdict.expected] == ["expectation"]
    assert "M01" in [claim.id for claim in verdict.evidence]


def test_a_window_after_the_end_of_the_record_is_not_judged() -> None:
    view = View(fresh_incident().cut(500).build())
    late = {"from": 600, "to": 700}
    for name in ("attempt_success", "backlog", "attempts", "latency_p50"):
        assert found(view, signal=name, at_most=0.5, **late).status == "not_judged", name
    assert found(view, signal="crashes", how="ever", **late).status == "not_judged"
    assert found(view, signal="crashes", at_most=0, **late).status == "not_judged"


def test_all_as_one_finding_names_what_is_broken(view: View) -> None:
    good, bad = expectation("E1", **QUIET, at_least=0.5), expectation("E2", **QUIET, below=0.5)
    assert judge_all([good], view).status == "reproduced"
    both = judge_all([good, bad], view)
    assert (both.status, both.note) == ("contradicted", "E2: attempt_success_eastus is 1.0, not < 0.5")


def plan_with(made: IncidentRecord, *expect: dict[str, Any], claims: str | None = None) -> IncidentRecord:
    made.plan = {**made.plan, "scenario": "mine", "expect": list(expect), "claims": claims}
    return made


def row(**fields: Any) -> dict[str, Any]:
    return {"id": "E1", "says": "East US works.", **QUIET, **fields}


def test_a_scenario_of_ones_own_is_judged_by_its_own_expectations() -> None:
    verdict = judge(plan_with(fresh_incident(), row(at_least=0.5)).build())
    assert (verdict.status, verdict.exit_code, [claim.id for claim in verdict.claims]) == ("as_expected", 0, ["E1"])
    wrong = judge(plan_with(fresh_incident(), row(below=0.5)).build())
    assert (wrong.status, wrong.exit_code) == ("contradicted", 1)
    assert wrong.why == "E1: attempt_success_eastus is 1.0, not < 0.5"


def test_a_scenario_that_expects_nothing_could_not_be_judged() -> None:
    verdict = judge(plan_with(fresh_incident()).build())
    assert (verdict.status, verdict.exit_code) == ("could_not_judge", 2)
    assert verdict.why == "nothing is expected of this run: its scenario has no `expect`"


def test_if_no_expectation_could_be_judged_the_run_could_not() -> None:
    verdict = judge(plan_with(fresh_incident(), row(at_least=0.5, needs=["T99"])).build())
    assert (verdict.status, verdict.claim("E1").note) == ("could_not_judge", NO_ACTION)
    assert verdict.why.startswith("no expectation could be judged")


def test_a_region_that_the_topology_lacks_cannot_be_judged() -> None:
    verdict = judge(plan_with(fresh_incident(), {**row(at_least=0.5), "region": "nowhere"}).build())
    assert (verdict.status, verdict.why) == (
        "could_not_judge",
        "the claims do not apply to this topology: it has no nowhere",
    )
