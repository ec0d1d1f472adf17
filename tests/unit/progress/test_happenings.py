"""Event lines in words, and that every kind of event and action has words."""

import ast
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from chaos.experiment.plan import make_plan
from chaos.progress.happenings import ACTIONS, KINDS, SILENT, Happening, happening
from chaos.progress.progress import phase
from chaos.scenarios import actions
from chaos.scenarios.loader import load

ROOT = Path(__file__).parents[3]
REPORTED = {"run", "machine_stalled", "collapse_began", "collapse_ended"}
"""Emitted under a name that is an argument."""
EAST = {"service": "", "region": "eastus"}
DISPLAYS = {"eastus": "East US", "westus": "West US", "northeurope": "North Europe"}


def said(kind: str, **fields: Any) -> str:
    found = happening({"at": 0.0, "source": "controller", "kind": kind, **fields}, DISPLAYS)
    assert found is not None
    return f"{found.by}: {found.row} {found.text}".replace(":  ", ": ")


def action(name: str, row: str = "", **parameters: Any) -> dict[str, Any]:
    return {"kind": "action", "id": row, "action": name, "parameters": parameters}


def gate(decision: str, reason: str, ratio: float | None, samples: int) -> dict[str, Any]:
    observed = {"failure_ratio": ratio, "samples": samples}
    named = {"region": "westus", "decision": decision, "reason": reason}
    return {"kind": "gate_decision", **named, "observed": observed}


def alert(state: str) -> dict[str, Any]:
    return {"kind": "alert", "name": "MetastableOverload", "state": state, "region": "eastus"}


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        (
            action("restore_accounts", "T09", regions=["eastus"], accounts=["vmextmi*"]),
            "operators: T09 restore vmextmi* in East US",
        ),
        (
            action("restore_accounts", "T12", regions=list(DISPLAYS), accounts=["*"]),
            "operators: T12 restore the accounts in all regions",
        ),
        (
            action("scale_identity", "T13", nodes={"eastus": 2, "westus": 1}),
            "operators: T13 identity nodes: East US +2, West US +1",
        ),
        (action("scale_identity", region="eastus", count=-1), "operators: identity nodes: East US -1"),
        (action("drain", region="eastus"), "operators: drain East US"),
        (
            {"kind": "audit", "private_exempt": 0, "public_exempt": 12, "unreachable": ["westus"]},
            "operators: audit: 0 of 12 extension accounts private; westus could not be listed",
        ),
        (
            action("ramp", "T17", regions=["eastus"], from_fraction=0.1, to_fraction=0.7, over_s=36.0),
            "operators: T17 ramp up traffic to East US from 10% to 70% over 36 s",
        ),
        (action("note", "T02", observe="Monitoring detects failures."), "report: T02 Monitoring detects failures."),
        (action("anonymous_access", enabled=False, accounts=["a", "b"]), "operators: make 2 accounts private"),
        (action("mitigate", id="R1", on=True), "operators: switch R1 on"),
        (action("mitigate", on=["R1"], off=["X2"]), "operators: switch R1 on; switch X2 off"),
        (alert("firing"), "alert: MetastableOverload firing: East US"),
        (alert("resolved"), "alert: MetastableOverload resolved: East US"),
        (
            {"kind": "remediation_wave_started", "region": "eastus", "targets": ["vmextmi"]},
            "policy job: makes vmextmi private in East US",
        ),
        (
            gate("proceed", "no_data", None, 0),
            "policy job: health gate in West US: proceed (no data)",
        ),
        (
            gate("stop", "own_failures", 0.5, 8),
            "policy job: health gate in West US: stop (own failures, 50% of 8 attempts failed)",
        ),
        (
            {
                "kind": "fault_started",
                "id": "f1",
                "fault": "http_error",
                "target": {"region": "eastus"},
                "lease_s": 30.0,
            },
            "fault: f1 starts: http error on East US, for 30 s",
        ),
        ({"kind": "fault_ended", "id": "f1", "why": "call"}, "fault: f1 ended"),
        (
            {"kind": "node_crashed", "region": "eastus", "reason": "queue_full"},
            "testbed: identity node crashed in East US: queue full",
        ),
        ({"kind": "machine_stalled", "stalled_s": 12.34}, "testbed: the machine stalled for 12.3 s"),
        ({"kind": "collapse_began", "region": "eastus"}, "testbed: East US collapsed"),
        ({"kind": "collapse_ended", "region": "eastus"}, "testbed: East US recovered"),
        ({"kind": "run", "state": "failed", "why": "too slow"}, "testbed: run failed: too slow"),
        ({"kind": "never_heard_of", "region": "eastus", "empty": ""}, "testbed: never heard of: region eastus"),
        (
            {"kind": "load_resumed", "why": "the load generator was silent", "run": "r1"},
            "testbed: load resumed: run r1, the load generator was silent",
        ),
    ],
)
def test_an_event_in_words(event: dict[str, Any], expected: str) -> None:
    assert said(**event) == expected


def test_high_volume_events_are_not_printed() -> None:
    for kind in SILENT:
        assert happening({"at": 0.0, "source": "x", "kind": kind}, DISPLAYS) is None
    assert not SILENT & KINDS.keys()


def test_every_action_of_scenarios_and_of_the_api_has_words() -> None:
    in_scenarios = {get_args(action.model_fields["do"].annotation)[0] for action in actions.ACTIONS}
    assert in_scenarios <= ACTIONS.keys()
    called = {
        name for path in (ROOT / "chaos").rglob("*.py") for name in re.findall(r'\.acted\(\s*"(\w+)"', path.read_text())
    }
    assert called
    assert called <= ACTIONS.keys()


def test_a_kind_that_has_words_is_one_that_somebody_emits() -> None:
    """A text for an event that is never emitted would be dead; a renamed event would be shown without its text."""
    assert KINDS.keys() <= emitted() | REPORTED


def emitted() -> set[str]:
    kinds = set()
    for package in ("services", "loadgen", "compose", "chaos"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
                    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
                    if name in ("emit", "_emit"):
                        kinds.add(str(node.args[0].value))
    return kinds


def test_every_entry_of_every_shipped_scenario_has_words() -> None:
    for name in ("azure-fnj8-vqz", "azure-fnj8-vqz-short"):
        for entry in make_plan(load(name), 1).timeline:
            event = {"at": 0.0, "source": "x", "kind": "action", "id": entry.id, "action": entry.action.do}
            found = happening({**event, "parameters": entry.action.parameters()}, DISPLAYS)
            assert isinstance(found, Happening)
            assert "{" not in found.text


def test_the_phase_is_what_was_done_last_and_not_what_the_report_remarks() -> None:
    plan = make_plan(load("azure-fnj8-vqz-short"), 1)
    assert phase(plan, -5.0) == "warm-up"
    assert phase(plan, 38.0) == "T01 start the policy job"
    assert phase(plan, 45.0) == "T07 cancel the policy job"
    assert phase(plan, 205.0) == "T17 admit all traffic to East US, West US"
