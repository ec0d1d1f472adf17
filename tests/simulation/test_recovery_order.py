"""GitHub's machines recover in the order in which the accounts that they need come back (claims O09 and O10).

A small outage of East US and West US, without an overload. The machines' needs are changed and the claims object.
"""

from typing import Any

import pytest

from chaos.experiment.plan import make_plan
from chaos.experiment.runs import carry_out
from chaos.record.metric_names import STARTED
from chaos.record.record import RunRecord
from chaos.scenarios.loader import loads
from chaos.verdict.claim_sets.fnj8_vqz import CHECKS, IncidentView
from chaos.verdict.model import ClaimFinding
from loadgen import load
from loadgen.tenants import TenantTable, default_table

SCENARIO = """
name: small-outage
title: Accounts come back one after the other
starts_at: 2026-02-02T18:03:00Z
warmup_s: 24
duration_s: 46
tenants: [github-actions, codespaces, managed-identities]
regions:
  - {name: eastus, display: East US, role: east, identity_nodes: 1}
  - {name: westus, display: West US, role: west, identity_nodes: 1}
load:
  eastus: {token_rate_per_s: 6, job_rate_per_s: 12}
  westus: {token_rate_per_s: 6, job_rate_per_s: 12}
settings:
  provisioner: {slots: 60, requeue_delay_s: 2, retry_after_s: 2}
  loadgen:
    warm_runners: 1
    ready_machines: 1
    runner_wait_s: 10
    first_poll_s: 1
    poll_s: 2
timeline:
  - {id: T01, at_s: 0, do: disable_accounts, regions: [eastus, westus], accounts: ["vmextarc*", "vmextmi*"]}
  - {id: T08, at_s: 12, do: restore_accounts, regions: [eastus, westus], accounts: ["vmextarc*"]}
  - {id: T09, at_s: 24, do: restore_accounts, regions: [eastus], accounts: ["vmextmi*"]}
  - {id: T12, at_s: 34, do: restore_accounts, regions: [westus], accounts: ["*"]}
"""
SWAPPED = {
    "machines": {
        "standard": {"extension": "GitHub.Actions/LargerRunner"},
        "larger": {"extension": "GitHub.Actions/HostedRunner"},
    }
}


def incident() -> IncidentView:
    finished = carry_out(make_plan(loads(SCENARIO), 1), transport="direct")
    assert not finished.problem
    assert finished.recorder is not None
    return IncidentView(RunRecord.from_memory(finished.plan, finished.recorder))


def judged(claim: str, view: IncidentView) -> ClaimFinding:
    return CHECKS[claim].judge(view)


def changed(slug: str, **journey: Any) -> TenantTable:
    """The shipped table with other parameters of one tenant's journey."""
    table = default_table()
    old = table.get(slug)
    new = old.model_copy(update={"journey": old.journey.model_validate(old.journey.model_dump() | journey)})
    return TenantTable(tenants=tuple(new if one is old else one for one in table.tenants))


def test_each_kind_recovers_with_the_accounts_that_it_needs_and_none_calls_the_identity_service() -> None:
    view = incident()
    assert (judged("O09", view).status, judged("O10", view).status) == ("reproduced", "reproduced")
    standard, codespaces, larger = judged("O10", view).measured["standard_codespaces_larger"]
    assert 12 < standard < 20
    assert 24 < codespaces < 32
    assert 34 < larger < 42
    assert not view.record.delta(STARTED, -24, 46, service="provisioner")


@pytest.mark.parametrize(
    ("slug", "needs", "claims"),
    [
        ("github-actions", SWAPPED, ("O09", "O10")),
        pytest.param(  # was never private
            "codespaces", {"extension": "Microsoft.Compute/CustomScriptExtension"}, ("O10",), marks=pytest.mark.long
        ),
    ],
)
def test_with_other_needs_the_claim_objects(
    monkeypatch: pytest.MonkeyPatch, slug: str, needs: dict[str, Any], claims: tuple[str, ...]
) -> None:
    table = changed(slug, **needs)
    monkeypatch.setattr(load, "default_table", lambda: table)
    view = incident()
    assert [judged(claim, view).status for claim in claims] == ["contradicted"] * len(claims)
