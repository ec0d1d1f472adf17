"""Mitigations that are not settings, at exact times."""

from chaos.mitigations import transform
from chaos.scenarios.actions import RestoreAccounts
from chaos.scenarios.loader import load
from chaos.scenarios.model import Scenario

FULL = load("azure-fnj8-vqz")


def _times(scenario: Scenario) -> dict[str, float]:
    return {entry.id: entry.t for entry in scenario.timeline}


def test_mitigations_without_a_timeline_change_nothing() -> None:
    assert transform(FULL, []) == FULL
    assert transform(FULL, ["R1"]) == FULL


def test_a_faster_rollback_takes_a_quarter_of_the_time_from_the_stop_on() -> None:
    before, after = _times(FULL), _times(transform(FULL, ["R3"]))
    assert (before["T07"], after["T07"]) == (195.0, 195.0)
    assert (before["T08"], after["T08"]) == (227.0, 195.0 + 32.0 / 4)
    assert (before["T09"], after["T09"]) == (364.0, 195.0 + 169.0 / 4)
    assert (before["T12"], after["T12"]) == (387.0, 195.0 + 192.0 / 4)
    assert after["T06"] == before["T06"]


def test_what_people_did_about_the_second_wave_keeps_its_distance_to_it() -> None:
    before, after = _times(FULL), _times(transform(FULL, ["R3"]))
    for row in ("T11", "T13", "T14", "T16", "T17", "T17.open"):
        assert after[row] - after["T09"] == before[row] - before["T09"]


def test_a_faster_rollback_needs_a_stop_and_restores() -> None:
    calm = load("calm-day")
    assert transform(calm, ["R3"]) == calm


def test_headroom_is_half_as_many_nodes_again_rounded_up() -> None:
    nodes = {region.name: region.identity_nodes for region in transform(FULL, ["R4"]).regions}
    assert nodes == {region.name: {4: 6, 2: 3}[region.identity_nodes] for region in FULL.regions}


def test_a_staged_restore_goes_family_by_family_the_high_volume_one_last() -> None:
    staged = [entry for entry in transform(FULL, ["X1"]).timeline if entry.id.startswith("T12.stage")]
    actions = [entry.action for entry in staged]
    assert all(isinstance(action, RestoreAccounts) for action in actions)
    assert [(entry.t, entry.action.accounts) for entry in staged] == [  # type: ignore[union-attr]
        (387.0, ("vmextlinux*",)),
        (397.0, ("vmextarc*",)),
        (407.0, ("vmextmi*", "*")),
    ]
    whole = next(entry.action for entry in FULL.timeline if entry.id == "T12")
    assert {action.regions for action in actions} == {whole.regions}  # type: ignore[union-attr]


def test_a_restore_of_one_family_has_no_stages() -> None:
    assert _times(transform(FULL, ["X1"]))["T09"] == 364.0


def test_stages_come_after_the_rollback_was_made_faster() -> None:
    assert _times(transform(FULL, ["X1", "R3"]))["T12.stage-1"] == 195.0 + 192.0 / 4


def test_the_transformed_timeline_survives_the_plan_file() -> None:
    entry = next(entry for entry in transform(FULL, ["R3"]).timeline if entry.id == "T09")
    assert entry.plan()["t"] == 237.25
    assert (entry.at, entry.at_s) == (None, 237.25)
