"""The scenarios that come with the program."""

import re

import pytest

from chaos.scenarios.actions import (
    AuditAccounts,
    CancelRemediation,
    DisableAccounts,
    Drain,
    Note,
    Open,
    Ramp,
    RestoreAccounts,
    ScaleIdentity,
    StartRemediation,
)
from chaos.scenarios.drill import without_drill
from chaos.scenarios.loader import load, names
from chaos.scenarios.model import Scenario

FULL, SHORT, CALM = "azure-fnj8-vqz", "azure-fnj8-vqz-short", "calm-day"
REPORT = {
    "T01": 0,
    "T02": 26,
    "T03": 103,
    "T04": 112,
    "T05": 127,
    "T06": 192,
    "T07": 195,
    "T08": 227,
    "T09": 364,
    "T10": 365,
    "T11": 371,
    "T12": 387,
    "T13": 407,
    "T14": 477,
    "T15": 492,
    "T16": 592,
    "T17": 622,
    "T18": 722,
}
KINDS = {
    "T01": StartRemediation,
    "T02": Note,
    "T03": Note,
    "T04": Note,
    "T05": Note,
    "T06": RestoreAccounts,
    "T07": CancelRemediation,
    "T08": RestoreAccounts,
    "T09": RestoreAccounts,
    "T10": Note,
    "T11": Note,
    "T12": RestoreAccounts,
    "T13": ScaleIdentity,
    "T14": ScaleIdentity,
    "T15": AuditAccounts,
    "T16": Drain,
    "T17": Ramp,
    "T18": Note,
}


def rows(scenario: Scenario) -> dict[str, float]:
    """The first moment of each row."""
    first: dict[str, float] = {}
    for entry in scenario.in_order:
        first.setdefault(entry.row, entry.t)
    return first


def slots(scenario: Scenario, region: str) -> int:
    """How many jobs a region's orchestration can have under way."""
    number: int = scenario.settings["regions"][region]["provisioner"]["slots"]
    return number


@pytest.mark.parametrize("name", names())
def test_every_shipped_scenario_loads_and_is_called_like_its_file(name: str) -> None:
    assert load(name).name == name


def test_the_full_incident_has_every_row_at_the_minute_of_the_report() -> None:
    assert rows(without_drill(load(FULL))) == REPORT


def test_after_the_full_incident_the_trigger_comes_once_more_and_nothing_else() -> None:
    scenario = load(FULL)
    alone = without_drill(scenario)
    disable, restore = (entry for entry in scenario.in_order if entry not in alone.timeline)

    assert (alone.duration_s, scenario.duration_s) == (disable.t, 880)
    assert isinstance(disable.action, DisableAccounts)
    assert isinstance(restore.action, RestoreAccounts)
    assert disable.action.regions == restore.action.regions == ("eastus",)
    assert disable.action.accounts == restore.action.accounts == ("vmextlinux*", "vmextarc*", "vmextmi*")
    assert without_drill(alone) is alone


def test_the_short_incident_has_the_same_rows_in_the_same_order_in_under_four_minutes() -> None:
    short = load(SHORT)
    times = rows(short)

    assert list(times) == list(REPORT)
    assert list(times.values()) == sorted(times.values())
    assert len(set(times.values())) == len(times)
    assert short.warmup_s + short.duration_s < 240


@pytest.mark.parametrize("name", [FULL, SHORT])
def test_effects_and_detections_are_notes_and_people_act_in_the_other_rows(name: str) -> None:
    scenario = load(name)

    assert {entry.id: type(entry.action) for entry in scenario.timeline if entry.id in KINDS} == KINDS
    assert type(next(e for e in scenario.timeline if e.id == "T12.effect").action) is Note
    assert not [entry.id for entry in scenario.actions if entry.row in ("T02", "T03", "T04", "T10", "T11", "T18")]


@pytest.mark.parametrize("name", names())
def test_no_shipped_scenario_uses_a_fault_or_a_change_of_load(name: str) -> None:
    kinds = {entry.action.do for entry in load(name).timeline}

    assert not kinds & {"inject_fault", "end_fault", "set_load", "mitigate"}


@pytest.mark.parametrize("name", [FULL, SHORT])
def test_the_restores_reach_the_canary_first_east_before_west_and_everything_in_the_end(name: str) -> None:
    scenario = load(name)
    restores = [entry for entry in scenario.in_order if isinstance(entry.action, RestoreAccounts)]
    by_id = {entry.id: entry.action for entry in restores}
    first, high_volume, rest = by_id["T06"], by_id["T09"], by_id["T12"]

    assert isinstance(first, RestoreAccounts)
    assert isinstance(high_volume, RestoreAccounts)
    assert isinstance(rest, RestoreAccounts)
    assert first.regions == ("centraluseuap",)
    assert (high_volume.regions, high_volume.accounts) == (("eastus",), ("vmextmi*",))
    assert set(rest.regions) == {region.name for region in scenario.regions}
    assert (rest.regions[0], rest.accounts) == ("westus", ("*",))
    early = [e for e in restores if e.row == "T08" and isinstance(e.action, RestoreAccounts)]
    touched = {(r, a) for e in early for r in e.action.regions for a in e.action.accounts}  # type: ignore[union-attr]
    assert ("eastus", "vmextmi*") not in touched
    assert ("westus", "vmextmi*") not in touched


@pytest.mark.parametrize(("name", "size"), [(FULL, 0.5), (FULL, 1.0), (SHORT, 1.0)])
def test_the_second_scale_out_is_larger_and_the_fleet_stays_small_enough_to_fail(name: str, size: float) -> None:
    scenario = load(name, size=size)
    first, second = (entry.action.nodes for entry in scenario.in_order if isinstance(entry.action, ScaleIdentity))
    nodes = {region.name: region.identity_nodes for region in scenario.regions}

    assert sum(second.values()) > sum(first.values())
    pair = sum(nodes[r] + first.get(r, 0) + second.get(r, 0) for r in ("eastus", "westus"))
    assert pair == size * 16  # docs/model.md §4: at most 24 in full size, or capacity alone begins to help


@pytest.mark.parametrize("name", [FULL, SHORT])
def test_traffic_is_removed_ramped_and_opened_in_that_order(name: str) -> None:
    moments = [
        (entry.t, entry.action) for entry in load(name).in_order if isinstance(entry.action, Drain | Ramp | Open)
    ]
    (drained, drain), (ramped, ramp), (opened, open_) = moments

    assert isinstance(drain, Drain)
    assert isinstance(ramp, Ramp)
    assert isinstance(open_, Open)
    assert drain.regions == ramp.regions == open_.regions == ("eastus", "westus")
    assert drained < ramped
    assert opened == ramped + ramp.over_s + ramp.hold_s


@pytest.mark.parametrize("name", names())
def test_the_waves_start_at_the_canary_and_never_take_a_pair_one_after_the_other(name: str) -> None:
    scenario = load(name)
    order = scenario.remediation.order

    assert sorted((*order, "centraluseuap")) == sorted(region.name for region in scenario.regions)
    assert abs(order.index("eastus") - order.index("westus")) > 1


def test_the_defective_rollout_reaches_every_region_in_seventy_minutes_instead_of_five_hours() -> None:
    gate = load(FULL).remediation.gate

    assert (gate.settle_s * 5, gate.bake_s * 5) == (70, 300)


@pytest.mark.parametrize("name", [FULL, SHORT])
def test_the_incident_has_both_defects_and_the_control_has_none(name: str) -> None:
    defective, calm = load(name).remediation, load(CALM).remediation

    assert (defective.inventory.defect, defective.inventory.validate_targets) == ("missing_exemptions", False)
    assert defective.inventory.silent_s > defective.inventory.retention_s
    assert defective.gate.variant == "no_data_is_healthy"
    assert (calm.inventory.defect, calm.inventory.validate_targets, calm.gate.variant) == ("none", True, "repaired")


def test_the_control_is_the_same_world_with_the_same_load_and_no_operator() -> None:
    full, calm = load(FULL), load(CALM, size=1.0)

    assert (calm.regions, calm.load, calm.settings, calm.tenants) == (
        full.regions,
        full.load,
        full.settings,
        full.tenants,
    )
    assert [entry.action.do for entry in calm.timeline] == ["start_remediation"]


def test_both_incidents_ship_at_size_1_with_the_same_pair() -> None:
    full, short = load(FULL), load(SHORT)

    assert (full.size, short.size) == (1.0, 1.0)
    assert [region for region in short.regions if region.pair] == [region for region in full.regions if region.pair]
    for name in ("eastus", "westus"):
        assert slots(short, name) == slots(full, name)


def test_what_is_observed_is_the_reports_wording_not_a_number() -> None:
    for entry in load(FULL).timeline:
        if isinstance(entry.action, Note):
            assert re.fullmatch(r"[^0-9]+", entry.action.observe), entry.id
