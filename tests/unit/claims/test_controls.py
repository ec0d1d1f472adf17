"""Each negative control is recognised when it went as it must, and not when the run was the incident itself."""

from collections.abc import Callable

import pytest

from chaos.record.record import RunRecord
from chaos.scenarios.loader import load
from chaos.verdict.claim_sets.fnj8_vqz import CHECKS, CONTROLS, claims, judge_control
from tests.unit.record.incident_record import NAMES, D, E, IncidentRecord, R, calm_day, fresh_incident

END = 760.0
ATTEMPTS, ENDED = "identity_client_attempts_total", "identity_client_operations_total"
OFF = ("T13", "T14", "T16", "T17")


def collapsed_again(made: IncidentRecord, start: float) -> None:
    pair = ("eastus", "westus")
    made.rate(ENDED, 0.0, start, END, region=pair, result="success")
    made.rate(ENDED, 10.0, start, END, region=pair, result="failed")
    made.rate(ATTEMPTS, 0.0, start, END, region=pair, layer="sdk", outcome="ok")
    made.rate(ATTEMPTS, 100.0, start, END, region=pair, layer="sdk", outcome="timeout")


def no_operator() -> IncidentRecord:
    made = fresh_incident().without_entries(*OFF)
    collapsed_again(made, R)
    return made


def never_collapses(made: IncidentRecord, regions: tuple[str, ...]) -> IncidentRecord:
    for (name, labels), rate in made.rates:
        if name == ATTEMPTS and labels["region"] in regions and labels["layer"] == "sdk":
            rate[:] = 6.0 if labels["outcome"] == "ok" else 0.0
        if name == "identity_client_operations_started_total" and labels["region"] in regions:
            rate[:] = 6.0
        if name == ENDED and labels["region"] in regions:
            rate[:] = 6.0 if labels["result"] == "success" else 0.0
    return made


def no_restore() -> IncidentRecord:
    made = fresh_incident().without_entries("T06", "T08", "T09", "T12")
    made.level("blobstore_accounts", 3.0, 90, END, public="false", exempt="true")
    return never_collapses(made, ("eastus", "westus"))


def failover_off() -> IncidentRecord:
    return never_collapses(fresh_incident(), ("westus",))


def abrupt_reopen() -> IncidentRecord:
    made = fresh_incident()
    collapsed_again(made, R + 5)
    return made


def no_cancel() -> IncidentRecord:
    made = fresh_incident().without_entries("T07").without_events("remediation_canceled")
    for region in NAMES:
        made.event(
            420.0,
            "account_changed",
            account=f"vmextmi{region}",
            region=region,
            public=False,
            exempt=True,
            actor="run-3",
        )
    return made


def repaired_inventory() -> IncidentRecord:
    return fresh_incident().without_events("account_changed", lambda e: bool(e["exempt"]))


def repaired_gate() -> IncidentRecord:
    made = fresh_incident().without_events("account_changed", lambda e: e["region"] != "centraluseuap")
    made.event(20.0, "gate_decision", run="run-0", region="centraluseuap", decision="stop", reason="unhealthy")
    return made


def careful_tenants() -> IncidentRecord:
    made = fresh_incident()
    made.rate(ATTEMPTS, 1.0, E, R, service="loadgen", region=("eastus", "westus"), layer="sdk", outcome="timeout")
    return made


def drill_alone() -> IncidentRecord:
    """From the restore in East on the incident itself shows it: nobody had added nodes, and it does not come back."""
    return abrupt_reopen()


RUNS: dict[str, Callable[[], IncidentRecord]] = {
    "no-operator": no_operator,
    "no-restore": no_restore,
    "failover-off": failover_off,
    "abrupt-reopen": abrupt_reopen,
    "no-cancel": no_cancel,
    "repaired-inventory": repaired_inventory,
    "repaired-gate": repaired_gate,
    "careful-tenants": careful_tenants,
    "drill-alone": drill_alone,
    "calm-day": calm_day,
}


def test_every_control_is_proven() -> None:
    assert set(RUNS) == set(CONTROLS)


@pytest.fixture(scope="module")
def incident() -> RunRecord:
    return fresh_incident().build()


@pytest.mark.parametrize("name", sorted(RUNS))
def test_a_control_that_went_as_it_must_is_recognised(name: str) -> None:
    finding = judge_control(name, RUNS[name]().build())
    assert finding.status == "reproduced", finding.note


@pytest.mark.parametrize("name", sorted(RUNS))
def test_the_incident_itself_is_no_control(name: str, incident: RunRecord) -> None:
    assert judge_control(name, incident).status == "contradicted"


@pytest.mark.parametrize("name", sorted(RUNS))
def test_a_run_that_recorded_nothing_proves_nothing(name: str) -> None:
    made = RUNS[name]()
    made.rates, made.levels, made.events = [], [], []
    assert judge_control(name, made.build()).status != "reproduced"


def test_an_unknown_control_is_refused_with_the_known_ones() -> None:
    with pytest.raises(KeyError, match=r"unknown control 'x'; known: abrupt-reopen, calm-day"):
        judge_control("x", fresh_incident().build())


def test_controls_and_claims_name_each_other() -> None:
    known = {claim.id for claim in claims()} | {fact.id for fact in load("azure-fnj8-vqz").expect}
    assert all(set(control.proves) <= known for control in CONTROLS.values())
    assert all(check.control in CONTROLS for check in CHECKS.values() if check.control)


@pytest.mark.parametrize(
    "disturb",
    [
        lambda m: m.rate(ENDED, 1.0, 100, 200, region="eastus", result="failed"),
        lambda m: m.rate(ATTEMPTS, 3.0, 100, 140, region="eastus", layer="sdk", outcome="timeout"),
        lambda m: m.rate(ATTEMPTS, 0.0, 100, 110, region="westus", layer="sdk", outcome="ok").rate(
            ATTEMPTS, 6.0, 100, 110, region="westus", layer="sdk", outcome="timeout"
        ),
    ],
    ids=["operations fail", "calls are retried", "West is down for ten seconds"],
)
def test_a_disturbed_calm_day_is_contradicted(disturb: Callable[[IncidentRecord], object]) -> None:
    made = calm_day()
    disturb(made)
    assert judge_control("calm-day", made.build()).status == "contradicted"


def test_the_drain_is_not_counted_against_a_healthy_west() -> None:
    """With failover off West is drained with East all the same; only the time before counts."""
    made = failover_off()
    made.rate(ATTEMPTS, 0.0, D + 1, R, region="westus", layer="sdk", outcome="ok")
    made.rate(ATTEMPTS, 30.0, D + 1, R, region="westus", layer="sdk", outcome="timeout")
    assert judge_control("failover-off", made.build()).status == "reproduced"


def test_no_operator_needs_the_collapse_in_the_first_place() -> None:
    made = never_collapses(no_operator(), ("eastus", "westus"))
    made.rate(ATTEMPTS, 6.0, E - 20, END, region="eastus", layer="sdk", outcome="ok")
    assert judge_control("no-operator", made.build()).status == "contradicted"


def test_a_drain_that_was_not_needed_is_no_second_wave() -> None:
    made = no_restore()
    made.rate(ATTEMPTS, 0.0, D + 1, R, region=("eastus", "westus"), layer="sdk", outcome="ok")
    made.rate(ATTEMPTS, 30.0, D + 1, R, region=("eastus", "westus"), layer="sdk", outcome="timeout")
    assert judge_control("no-restore", made.build()).status == "reproduced"
