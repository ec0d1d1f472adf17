"""Claims that two runs carry: what must be the same is proven to matter, one condition at a time."""

from typing import Any

import pytest

from chaos.experiment.plan import make_plan
from chaos.scenarios.loader import load
from chaos.verdict.claim_sets.fnj8_vqz import CHECKS, CONTROLS, PAIRS, claims, judge_pair, variant
from loadgen.settings import LoadgenSettings
from services.chassis.settings import resolve
from services.clients.identity.client import IdentityClientSettings

INCIDENT = {
    "storage_impact_s": 400.0,
    "identity_impact_s": 300.0,
    "time_east_collapse_t": 368.0,
    "time_west_collapse_t": 372.0,
    "failed_operations": 7000.0,
    "peak_attempts_per_s": 440.0,
}
UNCHANGED = {**INCIDENT, "identity_impact_s": 270.0, "failed_operations": 6000.0, "peak_attempts_per_s": 240.0}
AVOIDED: dict[str, dict[str, Any]] = {
    "storage was down for less long": {"storage_impact_s": 320.0},
    "storage was down for longer": {"storage_impact_s": 480.0},
    "identities were down for less long": {"identity_impact_s": 240.0},
    "identities were down for longer": {"identity_impact_s": 360.0},
    "West was spared": {"time_west_collapse_t": "never"},
    "East was spared": {"time_east_collapse_t": "never"},
    "West fell first": {"time_west_collapse_t": 366.0},
}


@pytest.mark.parametrize("claim", sorted(PAIRS))
def test_it_holds_when_careful_tenants_change_nothing_but_their_own_load(claim: str) -> None:
    found = judge_pair(claim, INCIDENT, UNCHANGED)
    assert found.status == "reproduced"
    assert found.measured["impact_B_per_incident"] == 0.9
    assert found.measured["peak_attempts_per_incident"] == 0.5455


@pytest.mark.parametrize("claim", sorted(PAIRS))
@pytest.mark.parametrize("why", sorted(AVOIDED))
def test_it_is_contradicted_when_careful_tenants_change_the_outcome(claim: str, why: str) -> None:
    assert judge_pair(claim, INCIDENT, {**UNCHANGED, **AVOIDED[why]}).status == "contradicted"


@pytest.mark.parametrize("figure", ["storage_impact_s", "identity_impact_s", "time_east_collapse_t"])
def test_what_was_not_measured_proves_nothing(figure: str) -> None:
    assert judge_pair("M41", INCIDENT, {**UNCHANGED, figure: None}).status == "not_judged"


def test_every_testable_claim_is_judged_on_a_run_or_on_a_pair() -> None:
    judged = {*CHECKS, *PAIRS}
    assert {claim.id for claim in claims() if claim.testable != "no"} == judged
    assert not set(CHECKS) & set(PAIRS)
    assert {pair.control for pair in PAIRS.values()} <= set(CONTROLS)


def test_a_single_run_says_where_such_a_claim_is_judged() -> None:
    assert {claim.id for claim in claims() if "careful-tenants" in claim.note} == set(PAIRS)


def test_careful_tenants_are_tenants_alone() -> None:
    changed = variant("careful-tenants", load("azure-fnj8-vqz"))
    plan = make_plan(changed.scenario, 1, overlays=[changed.overlay])

    def client(instance: str) -> IdentityClientSettings:
        return resolve(IdentityClientSettings, plan.settings, "identity_client", "eastus", instance)

    assert client("provisioner-eastus") == IdentityClientSettings()
    tenants = client("loadgen")
    assert (tenants.sdk.attempts, tenants.sdk.wait, tenants.workflow.enabled) == (3, "full_jitter", False)
    assert (tenants.guard.budget.kind, tenants.guard.breaker.mode, tenants.cache.enabled) == (
        "finagle",
        "retries_only",
        True,
    )
    load_settings = resolve(LoadgenSettings, plan.settings, "loadgen", "")
    assert (load_settings.sdk.attempts, load_settings.workflow.enabled) == (3, False)
    assert plan.settings["provisioner"] == load("azure-fnj8-vqz").settings["provisioner"]
