"""Every predicate is proven: it holds on the incident as reported, and objects when its own subject is doctored."""

from collections.abc import Callable
from typing import Any

import pytest

from chaos.scenarios.loader import load
from chaos.verdict.claim_sets.fnj8_vqz import CHECKS
from chaos.verdict.claim_sets.fnj8_vqz.view import IncidentView
from chaos.verdict.expectations import judge_expectation
from chaos.verdict.model import ClaimFinding
from loadgen.tenants import default_table
from tests.unit.record.incident_record import AGAIN as DRILL_RESTORE
from tests.unit.record.incident_record import NAMES, OTHERS, S1, S2, D, E, IncidentRecord, R, W, fresh_incident

Doctor = Callable[[IncidentRecord], object]
ATTEMPTS, ENDED, STARTED = (
    "identity_client_attempts_total",
    "identity_client_operations_total",
    "identity_client_operations_started_total",
)
TRIES, BLOBS = "provisioner_job_tries_total", "blobstore_requests_total"
END = 760.0


def attempts(m: IncidentRecord, outcome: str, rate: float, start: float, end: float, **where: Any) -> None:
    m.rate(ATTEMPTS, rate, start, end, layer="sdk", outcome=outcome, **where)


def flips(m: IncidentRecord, public: bool, change: Callable[[dict[str, Any]], None], **match: Any) -> None:
    wanted = {"public": public, **match}
    m.change_events(
        "account_changed", lambda e: change(e) if all(e[name] == value for name, value in wanted.items()) else None
    )


def set_(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda event: event.update(fields)


def users_are_well(m: IncidentRecord, *ids: str) -> None:
    well = {tenant.slug for tenant in default_table().tenants if not ids or tenant.id in ids}
    change = set_(result="success", code="", duration_s=0.3)
    m.change_events("operation", lambda e: change(e) if e["tenant"] in well else None)


def users_of(row: str) -> Doctor:
    return lambda m: users_are_well(m, row)


def failures(m: IncidentRecord, tenant_ids: tuple[str, ...], **fields: Any) -> None:
    tenants = {tenant.slug for tenant in default_table().tenants if tenant.id in tenant_ids}
    m.change_events(
        "operation", lambda e: e.update(fields) if e["tenant"] in tenants and e["result"] != "success" else None
    )


def alert(m: IncidentRecord, name: str, t: float) -> None:
    m.change_events("alert", lambda e: e.update(t=t) if e["name"] == name else None)


def everywhere_at_once(m: IncidentRecord) -> None:
    for region in NAMES:
        m.event(24.0, "alert", name="ControlPlaneFailures", state="firing", region=region, value=0.9)


def only_the_canary(m: IncidentRecord) -> None:
    m.without_events(
        "account_changed", lambda e: not e["public"] and bool(e["exempt"]) and e["region"] != "centraluseuap"
    )


def canary_last(m: IncidentRecord) -> None:
    flips(m, True, set_(t=385.0), region="centraluseuap")


def all_exempt_hit(m: IncidentRecord) -> None:
    m.level("blobstore_accounts", 3.0, -31, 0, public="true", exempt="true")


def high_volume_was_other(m: IncidentRecord) -> None:
    flips(m, True, set_(account="vmextlinuxeastus"), account="vmextmieastus")


def west_first(m: IncidentRecord) -> None:
    attempts(m, "ok", 200.0, E, W + 10, region="eastus")


def a_run_starts_late(m: IncidentRecord) -> None:
    m.change_events("remediation_started", lambda e: e.update(t=150.0) if e["period"] == 2 else None)


def one_run(m: IncidentRecord) -> None:
    m.without_events("remediation_started", lambda e: e["period"] > 0)


def more_load(m: IncidentRecord) -> None:
    m.rate("loadgen_operations_started_total", 3.0, S2, D)


def crash_in_the_ramp(m: IncidentRecord) -> None:
    m.event(R + 30, "node_crashed", region="eastus", reason="sustained_overload", queue_length=58)


def flip_after_stop(m: IncidentRecord) -> None:
    m.event(
        250.0, "account_changed", account="vmextmieastus", region="eastus", public=False, exempt=True, actor="run-3"
    )


def second_scale_out_is_smaller(m: IncidentRecord) -> None:
    late = {
        f"identity-{region}-{number}" for region, last in (("eastus", 9), ("westus", 7)) for number in (last, last - 1)
    }
    m.levels = [row for row in m.levels if row[0][1].get("instance") not in late]


def fresh_requests_fail_in_the_ramp(m: IncidentRecord) -> None:
    m.change_events("operation", lambda e: e.update(result="failed") if R < e["t"] < R + 80 else None)


def jobs_fail_to_the_end(m: IncidentRecord) -> None:
    jobs = {tenant.slug for tenant in default_table().tenants if tenant.id == "S05"}
    m.change_events("operation", lambda e: e.update(result="failed") if e["tenant"] in jobs and e["t"] > E else None)


def larger_runners_come_early(m: IncidentRecord) -> None:
    m.level("loadgen_runners", 0.0, 300, END, runner="larger", state="ordered")
    m.rate("loadgen_runner_orders_total", 1.0, 300, END, runner="larger")


def jobs_fail_at_once(m: IncidentRecord) -> None:
    jobs = {tenant.slug for tenant in default_table().tenants if tenant.id == "S05"}
    m.change_events("operation", lambda e: e.update(result="failed") if e["tenant"] in jobs and e["t"] < 3 else None)


def by_itself(m: IncidentRecord) -> None:
    m.rate(ATTEMPTS, 0.0, W + 30, END, region=("eastus", "westus"), layer="sdk", outcome="timeout")
    m.level("provisioner_jobs", 1.0, W + 30, END, state=("blocked", "queued"))


def added_nodes_idle(m: IncidentRecord) -> None:
    added = tuple(f"identity-eastus-{number}" for number in (5, 6))
    m.level("identity_workers_busy", 0.5, S1, S2, instance=added)


DOCTORED: dict[str, Doctor] = {
    "F0": lambda m: m.rate(ENDED, 2.0, 100, 120, region="eastus", result="failed"),
    "F1": lambda m: attempts(m, "ok", 60.0, E + 2, E + 16, region="eastus"),
    "F2": lambda m: attempts(m, "ok", 60.0, E, W, region="westus"),
    "F3": lambda m: m.rate(ENDED, 40.0, S1, S2, region="eastus", result="success"),
    "F4": lambda m: m.level("provisioner_jobs", 50.0, 730, END, state="blocked", region="eastus"),
    "M01": lambda m: flips(m, False, set_(actor="somebody"), region="eastus"),
    "M02": lambda m: m.rate("remediation_accounts_total", 0.0, -31, END),
    "M03": lambda m: m.change_events("remediation_snapshot", set_(exemptions_missing=0)),
    "M04": all_exempt_hit,
    "M05": lambda m: m.rate(BLOBS, 0.0, -31, 0, code="200"),
    "M06": lambda m: m.rate(BLOBS, 0.0, -31, 300, code="409"),
    "M07": lambda m: m.change_events("remediation_wave_started", set_(t=5.0)),
    "M08": lambda m: m.rate(TRIES, 0.0, -31, 120, result="blocked"),
    "M09": only_the_canary,
    "M10": lambda m: users_are_well(m, "S04"),
    "M11": lambda m: failures(m, ("S05",), duration_s=5.0),
    "M12": lambda m: failures(m, ("S08",), code="VMExtensionProvisioningError"),
    "M13": lambda m: users_are_well(m, "S12"),
    "M14": everywhere_at_once,
    "M15": lambda m: alert(m, "MultiRegionControlPlaneFailures", 20.0),
    "M16": canary_last,
    "M17": flip_after_stop,
    "M18": lambda m: flips(m, True, set_(t=300.0)),
    "M19": lambda m: m.rate(TRIES, 12.0, 200, E, result="blocked"),
    "M20": lambda m: m.level("provisioner_jobs", 3.0, E, E + 12, state="running", region="eastus"),
    "M21": lambda m: m.rate(ATTEMPTS, 3.0, E, E + 10, layer="sdk", region="eastus"),
    "M22": high_volume_was_other,
    "M23": lambda m: m.change_events(
        "operation", lambda e: e.update(result="success") if e["operation"] == "identity_delete" else None
    ),
    "M24": lambda m: attempts(m, "timeout", 5.0, E + 12, S1),
    "M25": lambda m: attempts(m, "timeout", 5.0, E + 12, S1, region="eastus"),
    "M26": lambda m: m.rate("router_requests_total", 0.0, -31, END, home="eastus", region="westus"),
    "M27": lambda m: attempts(m, "timeout", 5.0, E, END, region="northeurope"),
    "M28": lambda m: m.rate(ENDED, 40.0, S1, S2, region="eastus", result="success"),
    "M29": second_scale_out_is_smaller,
    "M30": more_load,
    "M31": lambda m: m.without_events("node_crashed"),
    "M32": lambda m: m.rate("router_shed_total", 0.0, -31, END),
    "M33": lambda m: m.rate("router_requests_total", 50.0, D, R),
    "M34": crash_in_the_ramp,
    "M35": fresh_requests_fail_in_the_ramp,
    "M36": lambda m: m.level("identity_node_up", 0.0, 740, END, instance="identity-eastus-2"),
    "M37": lambda m: m.rate(TRIES, 12.0, W, W + 60, result="blocked", region="northeurope"),
    "M38": lambda m: m.rate(TRIES, 0.0, 300, E, result="done"),
    "M39": lambda m: attempts(m, "timeout", 40.0, 200, 300, region="eastus"),
    "M40": lambda m: users_are_well(m),
    "M42": lambda m: m.change_events("operation", set_(duration_s=0.3)),
    "T01": lambda m: m.change_events("remediation_started", set_(t=80.0)),
    "T02": lambda m: alert(m, "ControlPlaneFailures", 1.0),
    "T03": lambda m: alert(m, "MultiRegionControlPlaneFailures", 20.0),
    "T04": lambda m: alert(m, "FailureRateThreshold", 50.0),
    "T06": canary_last,
    "T07": lambda m: m.without_events("remediation_canceled"),
    "T08": lambda m: flips(m, True, set_(t=190.0), region="northeurope"),
    "T09": lambda m: flips(m, True, set_(t=300.0), account="vmextmieastus"),
    "T10": west_first,
    "T11": lambda m: m.without_events("alert", lambda e: e["region"] == "eastus"),
    "T12": lambda m: m.level("blobstore_accounts", 1.0, W, END, public="false", exempt="true", region="eastus"),
    "T13": lambda m: m.rate(ENDED, 40.0, S1, S2, region="eastus", result="success"),
    "T14": lambda m: m.rate(ENDED, 40.0, S2, D, region="eastus", result="success"),
    "T15": lambda m: m.change_events("audit", set_(private_exempt=3)),
    "T16": lambda m: m.level("identity_node_up", 0.0, R - 4, R, instance="identity-westus-1"),
    "T17": lambda m: m.level("router_admission_limit", 9.0, R, END),
    "T18": lambda m: attempts(m, "timeout", 20.0, 730, END, region="eastus"),
    "S23": lambda m: m.without_events("account_changed", lambda e: not e["exempt"]),
    "S24": lambda m: m.rate(BLOBS, 0.0, -31, END, code="409"),
    "S25": lambda m: m.rate(BLOBS, 0.0, 700, END, code="200"),
    "S26": one_run,
    "S27": lambda m: m.level("blobstore_accounts", 1.0, 700, END, public="true", exempt="false", region="westus"),
    "S28": lambda m: m.change_events("remediation_snapshot", set_(age_s=0.0)),
    "S29": lambda m: m.change_events("remediation_wave_started", set_(t=5.0)),
    "S30": lambda m: m.rate(TRIES, 0.0, -31, 120, result="blocked"),
    "S31": lambda m: m.level("provisioner_jobs", 0.0, E - 20, E, state="blocked", region="eastus"),
    "S32": lambda m: attempts(m, "timeout", 30.0, E - 24, E),
    "S33": lambda m: m.rate("router_requests_total", 20.0, E - 24, E, home="eastus", region="westus"),
    "S34": lambda m: m.without_events("node_crashed"),
    "S35": lambda m: m.without_events("alert", lambda e: e["name"] == "ControlPlaneFailures"),
    "S36": lambda m: m.without_events("alert", lambda e: e["region"] == "eastus"),
    "S38": lambda m: m.without_events("audit"),
    "O01": lambda m: m.rate(TRIES, 0.0, -31, 110, result="blocked"),
    "O02": west_first,
    "O03": lambda m: m.rate(ENDED, 9.0, E, E + 1, region="eastus", result="failed"),
    "O04": lambda m: m.rate(ATTEMPTS, 8.0, E, S1, region="eastus", service="provisioner", layer="sdk"),
    "O05": added_nodes_idle,
    "O07": jobs_fail_at_once,
    "O08": jobs_fail_to_the_end,
    "O09": larger_runners_come_early,
    "O10": users_of("O10"),
    "O11": lambda m: flips(m, False, set_(account="vmextwineastus"), account="vmextmieastus"),
    **{f"S{number:02}": users_of(f"S{number:02}") for number in range(1, 23)},
}

AGAIN: dict[str, tuple[str, Doctor]] = {
    "the beat is not kept": ("M01", a_run_starts_late),
    "busy, yet served": ("F1", lambda m: m.level("identity_workers_busy", 0.5, E, E + 20, region="eastus")),
    "amplification stays": ("F4", lambda m: attempts(m, "timeout", 20.0, 730, END, region="eastus")),
    "operations still fail": ("F4", lambda m: m.rate(ENDED, 3.0, 730, END, region="westus", result="failed")),
    "the second scale-out helps": ("F3", lambda m: m.rate(ENDED, 40.0, S2, D, region="westus", result="success")),
    "West was already down": ("F2", lambda m: attempts(m, "timeout", 60.0, E - 1, E + 1, region="westus")),
    "somebody restored the others": ("M04", lambda m: flips(m, False, set_(public=True), exempt=False)),
    "errors at once, not timeouts": ("M11", lambda m: failures(m, ("S05",), code="NoSuchRunner")),
    "runner types spared": ("M11", lambda m: failures(m, ("S05",), runner="standard")),
    "token users hit early": (
        "S15",
        lambda m: m.change_events(
            "operation", lambda e: e.update(result="failed") if e["tenant"] == "ai-video-indexer" else None
        ),
    ),
    "the audit comes too early": ("T15", lambda m: m.change_events("audit", set_(t=380.0))),
    "first tries alone are too many": ("M25", lambda m: m.rate(STARTED, 80.0, S1, S2, region="eastus")),
    "cached tokens are not used": ("M23", lambda m: m.rate("loadgen_cached_token_uses_total", 0.0, -31, END)),
    "the surge comes from users": (
        "M22",
        lambda m: m.rate(STARTED, 60.0, E, E + 4, region="eastus", service="loadgen"),
    ),
    "nodes stay slow": ("M31", lambda m: m.rate("identity_work_completed_total", 0.3, 700, END)),
    "the drill tips it again": ("M36", lambda m: attempts(m, "timeout", 200.0, DRILL_RESTORE, 880, region="eastus")),
    "operations fail after the drill": (
        "M36",
        lambda m: m.rate(ENDED, 20.0, DRILL_RESTORE, 880, region="eastus", result="failed"),
    ),
    "nodes do not come back after the drill": (
        "M36",
        lambda m: m.level("identity_node_up", 0.0, DRILL_RESTORE, 880, instance="identity-eastus-2"),
    ),
    "the backlog stays after the drill": (
        "M36",
        lambda m: m.level("provisioner_jobs", 60.0, DRILL_RESTORE, 880, state="blocked", region="eastus"),
    ),
    "nobody was refused": ("O05", lambda m: m.rate("identity_rejected_total", 0.0, -31, END)),
    "larger runners never recover": (
        "O09",
        lambda m: m.level("loadgen_runners", 50.0, 300, END, runner="larger", state="ordered"),
    ),
    "larger runners only give up": (
        "O09",
        lambda m: m.rate("loadgen_runner_orders_total", 0.0, 0, END, runner="larger"),
    ),
    "codespaces recover before the standard runners": (
        "O10",
        lambda m: m.rate("loadgen_operations_total", 9.0, 300, 305, tenant="codespaces", result="success"),
    ),
    "codespaces recover after the larger runners": (
        "O10",
        lambda m: m.rate("loadgen_operations_total", 0.0, 200, 400, tenant="codespaces", result="success"),
    ),
    "a whole family was spared": ("O11", all_exempt_hit),
    "it recovers before the ramp": ("O02", by_itself),
    "the backlog drains": ("M28", lambda m: m.level("provisioner_jobs", 2.0, S1 + 30, S2, state="blocked")),
}


BY_EVENTS = {
    *("M01", "M03", "M07", "M09", "M10", "M11", "M12", "M13", "M14", "M15", "M17", "M18", "M40", "M42", "O08"),
    *("S26", "S28", "S29", "S35", "S36", "T03", "T04", "T07", "T09"),
    *(f"S{number:02}" for number in range(1, 23)),
}
"""Claims about accounts, alerts and users' operations: events alone carry them. All others need samples."""


FACTS = {fact.id: fact for fact in load("azure-fnj8-vqz").expect}
SUBJECTS = (*FACTS, *CHECKS)


def found(view: IncidentView, name: str) -> ClaimFinding:
    """The finding on a claim, or on an expectation of the incident's own scenario."""
    return judge_expectation(FACTS[name], FACTS.values(), view) if name in FACTS else CHECKS[name].judge(view)


def judged(made: IncidentRecord, claim: str) -> Any:
    return found(IncidentView(made.build()), claim)


def test_every_predicate_has_a_doctored_record() -> None:
    assert set(DOCTORED) == set(SUBJECTS)


@pytest.fixture(scope="module")
def incident_view() -> IncidentView:
    return IncidentView(fresh_incident().build())


def test_every_predicate_holds_on_the_incident(incident_view: IncidentView) -> None:
    findings = {name: found(incident_view, name) for name in SUBJECTS}
    assert {claim: finding.note for claim, finding in findings.items() if finding.status != "reproduced"} == {}


def doctored(claim: str, doctor: Doctor) -> Any:
    made = fresh_incident()
    doctor(made)
    return judged(made, claim)


def test_every_predicate_objects_when_its_subject_is_doctored() -> None:
    findings = {claim: doctored(claim, doctor) for claim, doctor in DOCTORED.items()}
    assert {claim: one.measured for claim, one in findings.items() if one.status != "contradicted"} == {}
    assert [claim for claim, one in findings.items() if not one.note] == []


def test_each_condition_counts() -> None:
    findings = {why: doctored(claim, doctor) for why, (claim, doctor) in AGAIN.items()}
    assert {why: one.status for why, one in findings.items() if one.status != "contradicted"} == {}


def test_without_samples_exactly_the_claims_about_events_are_judged() -> None:
    """Nothing about load, success or queues is reproduced from events alone."""
    made = fresh_incident()
    made.rates, made.levels = [], []
    view = IncidentView(made.build())
    statuses = {name: found(view, name).status for name in SUBJECTS}
    assert statuses == {name: "reproduced" if name in BY_EVENTS else "not_judged" for name in SUBJECTS}


@pytest.mark.parametrize("region", OTHERS)
def test_a_control_region_that_falls_contradicts_the_confinement(region: str) -> None:
    made = fresh_incident()
    attempts(made, "timeout", 5.0, E, END, region=region)
    assert judged(made, "M27").status == "contradicted"
