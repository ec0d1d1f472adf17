"""Faults in a scenario file: what is wrong with kind, target, parameters or end is said when the file is read."""

import pytest

from chaos.experiment.plan import make_plan
from chaos.scenarios.actions import InjectFault
from chaos.scenarios.loader import ScenarioError, loads
from chaos.scenarios.model import Scenario
from chaos.scenarios.restrict import restrict
from compose.runtime import RuntimeUnavailable

HEAD = """name: small
title: small
starts_at: 2026-02-02T18:03:00Z
duration_s: 40
regions: [{name: eastus, display: East}, {name: westus, display: West}]
load: {eastus: {token_rate_per_s: 3, job_rate_per_s: 1}, westus: {token_rate_per_s: 1, job_rate_per_s: 0}}
timeline:
"""
FIRST_LINE = 8


def scenario(*entries: str) -> Scenario:
    return loads(HEAD + "\n".join(f"  - {{id: T{number}, {entry}}}" for number, entry in enumerate(entries)), "s.yaml")


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ("kind: latency, lease_s: 5", "timeline.0: parameters.delay_s is required"),
        ("kind: latency, parameters: {delay_s: 0}, lease_s: 5", "timeline.0.parameters.delay_s: .* greater than 0"),
        ("kind: latency, parameters: {delay_s: 9999}, lease_s: 5", "timeline.0.parameters.delay_s: .* equal to 600"),
        ("kind: crash, parameters: {x: 1}, lease_s: 5", "timeline.0.parameters.x: unknown field"),
        ("kind: earthquake, lease_s: 5", "timeline.0.kind: .*unknown fault 'earthquake'; known: blackhole, "),
        ("kind: crash, lease_s: 0", "timeline.0.lease_s: .* greater than 0"),
        ("kind: crash, lease_s: 90000", "timeline.0.lease_s: .* equal to 86400"),
        ("kind: crash, lease_s: 5, probability: 1.5", "timeline.0.probability: .* equal to 1"),
        ("kind: crash, target: {service: idenity}, lease_s: 5", "target.service: unknown service 'idenity' .*identity"),
        ("kind: crash, target: {region: mars}, lease_s: 5", "target.region: unknown region 'mars' .*eastus, westus"),
        ("kind: crash, target: {instance: identity-eastus-9}, lease_s: 5", "target.instance: .*identity-eastus-2,"),
        ("kind: crash, target: {service: loadgen, region: eastus}, lease_s: 5", "target: matches no instance"),
        ("kind: crash, target: {account: vmextmieastus}, lease_s: 5", "target.account: only requests to blobstore"),
        ("kind: blackhole, target: {account: nobody}, lease_s: 5", "target.account: unknown account .*vmextmieastus"),
        (
            "kind: blackhole, target: {region: westus, account: vmextmieastus}, lease_s: 5",
            "target.account: unknown account .*vmextmiwestus",
        ),
        ("kind: blackhole, target: {service: router, account: vmextmieastus}, lease_s: 5", "target.account: only"),
        ("kind: blackhole, target: {service: loadgen}, lease_s: 5", "unknown service 'loadgen' for a blackhole"),
        ("kind: redis_stall, target: {service: identity}, lease_s: 5", "known services: redis"),
        ("kind: partition, parameters: {peer: mars}, lease_s: 5", "parameters.peer: matches no other instance: 'mars'"),
        (
            "kind: partition, target: {instance: loadgen}, parameters: {peer: loadgen}, lease_s: 5",
            "parameters.peer: matches no other instance",
        ),
    ],
)
def test_a_wrong_fault_is_refused_by_file_line_field_and_rule(entry: str, complaint: str) -> None:
    with pytest.raises(ScenarioError, match=f"^s.yaml:{FIRST_LINE}: .*{complaint}"):
        scenario(f"at_s: 1, do: inject_fault, {entry}")


@pytest.mark.parametrize(
    ("end", "complaint"),
    [
        ("at_s: 4, do: end_fault, fault: T7", "fault: no earlier inject_fault has the id 'T7'"),
        ("at_s: 6, do: end_fault, fault: T0", "the lease of 'T0' is over at bench second 6"),
        ("at_s: 0, do: end_fault, fault: T0", "fault: no earlier inject_fault has the id 'T0'"),
    ],
)
def test_a_fault_can_only_be_ended_while_it_lasts(end: str, complaint: str) -> None:
    begin = "at_s: 1, do: inject_fault, kind: crash, target: {service: router}, lease_s: 5"
    assert scenario(begin, "at_s: 4, do: end_fault, fault: T0").timeline[1].t == 4
    with pytest.raises(ScenarioError, match=f"timeline.1.*{complaint}"):
        scenario(begin, end)
    with pytest.raises(ScenarioError, match=r"timeline.2.fault: 'T0' is already ended by 'T1'"):
        scenario(begin, "at_s: 3, do: end_fault, fault: T0", "at_s: 4, do: end_fault, fault: T0")


def test_a_node_that_was_added_before_can_be_met_and_not_earlier() -> None:
    add = "at_s: 5, do: scale_identity, nodes: {eastus: 1}"
    fault = "do: inject_fault, kind: freeze, target: {instance: identity-eastus-3}, lease_s: 5"
    assert isinstance(scenario(add, f"at_s: 6, {fault}").timeline[1].action, InjectFault)
    with pytest.raises(ScenarioError, match="unknown instance 'identity-eastus-3'"):
        scenario(f"at_s: 4, {fault}", add)


def test_on_a_smaller_world_faults_go_with_those_they_met_and_their_ends_with_them() -> None:
    whole = scenario(
        "at_s: 1, do: inject_fault, kind: crash, target: {region: westus}, lease_s: 9",
        "at_s: 2, do: inject_fault, kind: freeze, target: {instance: router-westus}, lease_s: 9",
        "at_s: 3, do: inject_fault, kind: freeze, target: {service: router}, lease_s: 9",
        "at_s: 4, do: end_fault, fault: T0",
        "at_s: 5, do: end_fault, fault: T2",
    )
    assert [entry.id for entry in restrict(whole, ["eastus"]).timeline] == ["T2", "T4"]


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ("do: set_load, region: eastus, factor: 38", "timeline.0.factor: makes 153 arrivals/s in all; at most 150"),
        ("do: set_load, region: eastus, factor: 101", "timeline.0.factor: .* equal to 100"),
        ("do: scale_identity, nodes: {eastus: 201}", "nodes.eastus: .* equal to 200"),
        ("do: ramp, regions: [eastus], over_s: 1e9", "over_s: .* equal to 86400"),
        ("do: ramp, regions: [eastus], over_s: 1, to_fraction: 3", "to_fraction: .* equal to 2"),
        ("do: restore_accounts, regions: [eastus], spacing_s: 1e9", "spacing_s: .* equal to 86400"),
        ("do: start_remediation, period_s: 0.001", "period_s: .* equal to 0.5"),
        ("do: start_remediation, parallel: 31", "parallel: .* equal to 30"),
    ],
)
def test_sizes_have_bounds_that_the_message_names(entry: str, complaint: str) -> None:
    with pytest.raises(ScenarioError, match=complaint):
        scenario(f"at_s: 1, {entry}")


def test_loads_that_follow_each_other_do_not_add_up() -> None:
    assert scenario(
        "at_s: 1, do: set_load, region: eastus, factor: 30, for_s: 5",
        "at_s: 8, do: set_load, region: westus, factor: 100",
    )
    with pytest.raises(ScenarioError, match=r"timeline.1.factor: makes 220 arrivals/s"):
        scenario(
            "at_s: 1, do: set_load, region: eastus, factor: 30, for_s: 9",
            "at_s: 8, do: set_load, region: westus, factor: 100",
        )
    with pytest.raises(ScenarioError, match=r"timeline.2.factor: makes 220 arrivals/s"):
        scenario(
            "at_s: 1, do: set_load, region: eastus, factor: 30, for_s: 5",
            "at_s: 3, do: set_load, region: eastus, factor: 30, for_s: 9",
            "at_s: 8, do: set_load, region: westus, factor: 100",
        )


def test_more_nodes_than_the_runtime_carries_are_refused_before_the_run() -> None:
    plan = make_plan(scenario("at_s: 1, do: scale_identity, nodes: {eastus: 50}"), 1)
    plan.require_offered("virtual")
    with pytest.raises(
        RuntimeUnavailable, match="small: needs 54 identity nodes and the limit of the local runtime is 48"
    ):
        plan.require_offered("local")


def test_a_partition_that_the_runtime_does_not_offer_is_refused_before_the_run() -> None:
    target = "target: {service: router, region: eastus}, lease_s: 5"
    plan = make_plan(scenario(f"at_s: 1, do: inject_fault, kind: partition, {target}, parameters: {{peer: redis}}"), 1)
    plan.require_offered("compose")
    with pytest.raises(RuntimeUnavailable, match=r"partition with .*redis.*: not supported by the virtual runtime"):
        plan.require_offered("virtual")
