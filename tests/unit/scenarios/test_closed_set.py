"""A scenario can hold operator and world actions and nothing else: no outcome, rate, alert or verdict has a place."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from chaos.faults.model import FaultTarget
from chaos.remediation.settings import GateSettings, InventorySettings, RemediationSettings
from chaos.scenarios.actions import ACTIONS, Action
from chaos.scenarios.document import Document
from chaos.scenarios.loader import ScenarioError, build
from chaos.scenarios.model import SECTIONS, Entry, RegionLoad, Scenario, ScenarioRegion
from tests.unit.parts.own_package import declare_templates

# Written out, not derived: whoever adds an action or a field has to add it here too, and to say why it is no outcome.
ALLOWED = {
    "start_remediation": {"policy", "period_s", "parallel", "gate", "inventory"},
    "cancel_remediation": set(),
    "restore_accounts": {"regions", "accounts", "spacing_s"},
    "disable_accounts": {"regions", "accounts"},
    "audit_accounts": set(),
    "scale_identity": {"nodes"},
    "drain": {"regions"},
    "ramp": {"regions", "from_fraction", "to_fraction", "over_s", "hold_s"},
    "open": {"regions"},
    "set_load": {"region", "factor", "for_s"},
    "inject_fault": {"kind", "target", "parameters", "probability", "lease_s"},
    "end_fault": {"fault"},
    "mitigate": {"on", "off"},
    "own": {"part", "options"},
    "note": {"observe"},
}
ALLOWED_PARTS: dict[type[BaseModel], set[str]] = {
    Entry: {"id", "at", "at_s", "note", "action"},
    ScenarioRegion: {"name", "display", "pair", "role", "identity_nodes"},
    RegionLoad: {"token_rate_per_s", "job_rate_per_s"},
    FaultTarget: {"service", "region", "instance", "account"},
    Scenario: {
        "name",
        "title",
        "source",
        "starts_at",
        "warmup_s",
        "duration_s",
        "detection_pace",
        "size",
        "regions",
        "load",
        "tenants",
        "settings",
        "remediation",
        "mitigations",
        "timeline",
        "expect",  # read by the verdict alone, after the run: see the last test
        "claims",
    },
    RemediationSettings: {
        "policy",
        "period_s",
        "parallel",
        "resource_count",
        "timeout_s",
        "order",
        "inventory",
        "gate",
    },
    InventorySettings: {"defect", "lost_feeds", "silent_s", "retention_s", "validate_targets"},
    GateSettings: {
        "variant",
        "settle_s",
        "bake_s",
        "poll_s",
        "samples_min",
        "unhealthy_ratio",
        "lag_s",
        "stale_window_s",
        "failure_threshold_ratio",
        "part",
        "options",
    },
}
OUTCOME_WORDS = (
    "outcome",
    "result",
    "expected",
    "success",
    "success_rate",
    "success_ratio",
    "failure_rate",
    "alert",
    "alerts",
    "verdict",
    "claim",
    "saturate",
    "collapse",
    "recover",
    "status",
    "fires",
)
MINIMAL: dict[str, dict[str, Any]] = {
    "start_remediation": {},
    "cancel_remediation": {},
    "restore_accounts": {"regions": ["one"]},
    "disable_accounts": {"regions": ["one"], "accounts": ["vmext*"]},
    "audit_accounts": {},
    "scale_identity": {"nodes": {"one": 1}},
    "drain": {"regions": ["one"]},
    "ramp": {"regions": ["one"], "over_s": 5},
    "open": {"regions": ["one"]},
    "set_load": {"region": "one", "factor": 2},
    "inject_fault": {"kind": "latency", "parameters": {"delay_s": 1}, "lease_s": 5},
    "end_fault": {"fault": "F01"},
    "mitigate": {"on": ["R1"]},
    "own": {"part": "own_action:ShedInSteps"},
    "note": {"observe": "Something was seen."},
}


@pytest.fixture(autouse=True)
def templates(monkeypatch: pytest.MonkeyPatch) -> None:
    """The action of the user's own that an entry names."""
    declare_templates(monkeypatch)


def name(action: type[Action]) -> str:
    return str(action.model_fields["do"].annotation.__args__[0])  # type: ignore[union-attr]


def document(entry: dict[str, Any], **more: Any) -> Document:
    before = [
        {"id": "F01", "at_s": 0, "do": "inject_fault", **MINIMAL["inject_fault"]},
        {"id": "P01", "at_s": 0, "do": "start_remediation"},
    ]
    timeline = [entry] if entry["do"] == "start_remediation" else [*before, entry]
    values = {
        "name": "small",
        "title": "small",
        "starts_at": "2026-02-02T18:03:00Z",
        "duration_s": 10,
        "regions": [{"name": "one", "display": "One"}],
        "load": {"one": {"token_rate_per_s": 1, "job_rate_per_s": 1}},
        "timeline": timeline,
        **more,
    }
    return Document("s.yaml", copy.deepcopy(values), {(): 1})


def entry(do: str, **more: Any) -> dict[str, Any]:
    return {"id": "T01", "at_s": 1, "do": do, **MINIMAL[do], **more}


def test_the_actions_and_their_fields_are_exactly_these() -> None:
    found = {
        name(action): {field.alias or key for key, field in action.model_fields.items()} - {"do"} for action in ACTIONS
    }

    assert found == ALLOWED


def test_the_other_parts_of_a_file_have_exactly_these_fields() -> None:
    assert {part: set(part.model_fields) for part in ALLOWED_PARTS} == ALLOWED_PARTS
    assert SECTIONS == ("blobstore", "provisioner", "identity", "identity_client", "router", "loadgen")


@pytest.mark.parametrize("do", ALLOWED)
def test_each_action_is_accepted_as_it_is(do: str) -> None:
    assert build(document(entry(do))).timeline[-1].action.do == do


def test_no_entry_can_name_an_outcome() -> None:
    for do in ALLOWED:
        for word in OUTCOME_WORDS:
            with pytest.raises(ScenarioError, match="unknown field"):
                build(document(entry(do, **{word: 1})))


def test_no_outcome_can_stand_beside_the_timeline_or_pose_as_an_action() -> None:
    for word in OUTCOME_WORDS:
        with pytest.raises(ScenarioError, match="unknown field"):
            build(document(entry("note"), **{word: 1}))
        with pytest.raises(ScenarioError, match="unknown action"):
            build(document({"id": "T01", "at_s": 1, "do": word}))


@settings(deadline=None)
@given(
    do=st.sampled_from(sorted(ALLOWED)),
    field=st.from_regex(r"[a-z_]{1,20}", fullmatch=True),
    value=st.one_of(st.integers(), st.text(max_size=5), st.booleans(), st.none()),
)
def test_no_field_beyond_the_list_is_ever_accepted(do: str, field: str, value: Any) -> None:
    assume(field not in ALLOWED[do] | {"id", "at", "at_s", "note", "do"})
    with pytest.raises(ScenarioError, match="unknown field"):
        build(document(entry(do, **{field: value})))


def test_fault_parameters_are_plain_values() -> None:
    with pytest.raises(ScenarioError):
        build(document(entry("inject_fault", parameters={"then": {"alert": "x"}})))


def test_nothing_that_makes_a_run_reads_what_is_expected_of_it() -> None:
    """Of all that starts, drives and records a run, only the plan's document takes the expectations along."""
    root = Path(__file__).parents[3]
    makers = ("services", "loadgen", "compose", "chaos/experiment", "chaos/record", "chaos/faults", "chaos/remediation")
    reads = [
        f"{path.relative_to(root)}: {line.strip()}"
        for maker in makers
        for path in sorted((root / maker).rglob("*.py"))
        for line in path.read_text().splitlines()
        if re.search(r"scenario\.(expect|claims)\b|\"(expect|claims)\"", line)
    ]
    assert reads == [
        'chaos/experiment/plan.py: "expect": [expectation.document() for expectation in scenario.expect],',
        'chaos/experiment/plan.py: "claims": scenario.claims,',
    ]
