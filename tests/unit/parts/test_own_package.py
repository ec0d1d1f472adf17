"""An installed package brings parts; a scenario beside it runs with them. Every slot takes a part."""

import importlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from chaos.experiment.plan import make_plan, parse_assignment
from chaos.experiment.runs import TransportName, carry_out
from chaos.experiment.slots import SLOTS, assignments_of
from chaos.record.record import RunRecord
from chaos.scenarios.loader import load, loads
from tests.unit.parts.own_package import TEMPLATES, declare_templates, exit_codes, install

POLICIES = {
    "retry": ("own_retry:PoliteRetry", "wait_s"),
    "budget": ("own_budget:TenPercent", "on_outcome"),
    "token_cache": ("own_token_cache:SingleFlight", "lookup"),
    "queue": ("own_queue:FreshFifo", "take"),
    "limit": ("own_limit:Halving", "on_sample"),
    "admission": ("own_admission:FailingShare", "should_reject"),
    "failover": ("own_failover:OneInTen", "route"),
    "gate": ("own_gate:BeforeAndAfter", "decide"),
}
SAME_KIND = {"workflow_retry", "management_retry"}
"""Slots for the kind of another slot, whose calls cannot be told apart."""
PAIR = """
name: pair
title: A pair under faults
starts_at: 2026-02-02T18:03:00Z
warmup_s: 24
duration_s: 40
regions:
  - {name: eastus, display: East US, role: east, pair: westus, identity_nodes: 2}
  - {name: westus, display: West US, role: west, pair: eastus, identity_nodes: 2}
load:
  eastus: {token_rate_per_s: 4, job_rate_per_s: 1}
  westus: {token_rate_per_s: 1, job_rate_per_s: 0.2}
remediation: {inventory: {defect: missing_exemptions, validate_targets: false}}
timeline:
  - {id: A1, at_s: 1, do: start_remediation}
  - {id: A2, at_s: 4, do: inject_fault, kind: http_error, target: {service: identity, region: eastus}, lease_s: 9,
     probability: 0.8, parameters: {status: 500}}
  - {id: A3, at_s: 4, do: inject_fault, kind: http_error, target: {service: provisioner}, lease_s: 9,
     probability: 0.5, parameters: {status: 500}}
"""


def run(scenario: Path, transport: TransportName) -> RunRecord:
    finished = carry_out(make_plan(load(scenario), 1), transport=transport)
    assert not finished.problem
    assert finished.recorder is not None
    return RunRecord.from_memory(finished.plan, finished.recorder)


def test_retry_fault_and_journey_of_a_package_work_alike_on_both_transports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = install(tmp_path, monkeypatch)

    records = [run(scenario, transport) for transport in ("http", "direct")]

    for record in records:
        sold = record.events_of("operation", tenant="acme")
        assert {event["journey"] for event in sold} == {"own"}
        assert all(event["result"] == "success" for event in sold if not 1 < event["intended_t"] < 10)
        assert {event["attempts"] for event in sold if event["result"] == "failed"} <= {2}, (
            "one retry, then it gives up"
        )
        waited = [event["duration_s"] for event in sold if event["result"] == "success"]
        assert sum(span > 0.5 for span in waited) > 2, "the wait of the package's policy"
        assert (record.delta("fault_effects_total", 0, 14, kind="every-third") or 0) > 5
        assert record.first_event("journey_crashed") is None
    assert records[0].events == records[1].events


def test_its_own_expectations_decide_the_exit_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = install(tmp_path, monkeypatch)
    assert exit_codes(scenario, tmp_path, "--transport", "direct") == (0, 1)


def test_an_action_that_fails_is_recorded_and_the_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scenario = install(tmp_path, monkeypatch)
    (tmp_path / "broken_action.py").write_text(
        "class Broken:\n    async def perform(self, desk):\n        await desk.set_load('eastus', 2.0)\n        1 / 0\n"
    )
    entry = '  - {id: A2, at_s: 1, do: own, part: "broken_action:Broken"}\n'
    scenario.write_text(scenario.read_text() + entry)

    record = run(scenario, "direct")

    assert [event["factor"] for event in record.events_of("load_changed")] == [2.0]
    (failed,) = record.events_of("action_failed")
    assert failed["error"] == "broken_action:Broken: ZeroDivisionError: division by zero"
    assert record.end >= 14


def counting(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts the calls of the deciding method of each policy template."""
    calls: Counter[str] = Counter()
    for slot, (name, method) in POLICIES.items():
        module, _, part = name.partition(":")
        owner = getattr(importlib.import_module(module), part)
        real = getattr(owner, method)

        def counted(*args: Any, _real: Any = real, _slot: str = slot, **options: Any) -> Any:
            calls[_slot] += 1
            return _real(*args, **options)

        monkeypatch.setattr(owner, method, counted)
    return calls


def test_every_slot_of_a_policy_asks_its_part_in_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    declare_templates(monkeypatch)
    monkeypatch.syspath_prepend(TEMPLATES)
    calls = counting(monkeypatch)
    policies = [f"{slot}={name}" for slot, (name, _) in POLICIES.items()]
    overlays = [parse_assignment(text) for text in assignments_of(policies)]

    finished = carry_out(make_plan(loads(PAIR), 1, overlays=overlays), transport="direct")

    assert not finished.problem
    assert finished.recorder is not None
    record = RunRecord.from_memory(finished.plan, finished.recorder)
    assert record.first_event("journey_crashed") is None
    assert record.first_event("setting_rejected") is None
    assert set(calls) == set(SLOTS) - SAME_KIND
    assert record.label_values("router_region_share_ratio", "target", home="eastus") == ["eastus", "westus"]


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("return self.buy()", "return self.sell()", "journey_crashed: AttributeError"),
        (
            "async def buy(self):",
            "async def buy(self):\n        import time; time.sleep(1)",
            "journey_crashed: LeftTheSimul",
        ),
    ],
)
def test_a_part_that_fails_leaves_nothing_to_judge(
    old: str, new: str, why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = install(tmp_path, monkeypatch)
    module = tmp_path / "acme_parts" / "parts.py"
    module.write_text(module.read_text().replace(old, new))

    finished = carry_out(make_plan(load(scenario), 1), transport="direct")

    assert why in finished.problem
