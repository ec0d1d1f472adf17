"""Another timeline: entries changed, moved and dropped on the command line."""

import pytest

from chaos.scenarios.actions import Drain, Ramp, ScaleIdentity
from chaos.scenarios.loader import load
from chaos.scenarios.model import Scenario
from chaos.scenarios.whatif import rearrange
from services.chassis.settings import SettingsError

SCENARIO = "azure-fnj8-vqz-short"


def changed(*changes: str, drops: tuple[str, ...] = ()) -> Scenario:
    return rearrange(load(SCENARIO), (), drops, changes)


def test_a_change_gives_one_value_of_one_entry_and_leaves_the_rest() -> None:
    before, after = load(SCENARIO), changed("T17.over_s=1", "T13.nodes.eastus=8", "T16.regions=[eastus]")
    by_id = {entry.id: entry for entry in after.timeline}
    ramp, scale, drain = (by_id[name].action for name in ("T17", "T13", "T16"))

    assert isinstance(ramp, Ramp)
    assert isinstance(scale, ScaleIdentity)
    assert isinstance(drain, Drain)
    assert (ramp.over_s, ramp.hold_s) == (1, 10)
    assert scale.nodes == {"eastus": 8, "westus": 1}
    assert drain.regions == ("eastus",)
    others = [entry for entry in before.timeline if entry.id not in ("T13", "T16", "T17")]
    assert [entry for entry in after.timeline if entry.id not in ("T13", "T16", "T17")] == others
    assert [(entry.id, entry.t) for entry in after.in_order] == [(entry.id, entry.t) for entry in before.in_order]


def test_an_entry_whose_id_has_a_dot_is_meant_by_its_full_id() -> None:
    (entry,) = (one for one in changed("T08.westus.spacing_s=2").timeline if one.id == "T08.westus")
    assert entry.action.parameters()["spacing_s"] == 2


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("T17.over_s", "should be ENTRY.FIELD=VALUE"),
        ("T99.over_s=1", "should be ENTRY.FIELD=VALUE, e.g. A5.over_s=1; entries: T01, T02"),
        ("T17.over_s=-1", "--change T17.over_s: Input should be greater than 0"),
        ("T17.success=1", "--change T17.success: Extra inputs are not permitted"),
        ("T17.over_s.x=1", "over_s is not a mapping"),
        ("T17.over_s=[1", "not a value"),
        (
            "T16.regions=[atlantis]",
            r"--change T16.regions=.atlantis.: timeline.\d+.regions.0: unknown region 'atlantis'",
        ),
        ("T17.do=drain", "--change T17.do: "),
        ("T17.from_fraction=2", "--change T17: to_fraction must not be below from_fraction"),
    ],
)
def test_a_change_that_cannot_be_is_refused(text: str, why: str) -> None:
    with pytest.raises(SettingsError, match=why):
        changed(text)


def test_values_of_one_entry_are_changed_together() -> None:
    (entry,) = (one for one in changed("T17.from_fraction=2", "T17.to_fraction=2").timeline if one.id == "T17")
    assert entry.action.parameters()["from_fraction"] == entry.action.parameters()["to_fraction"] == 2


def test_a_changed_entry_can_be_dropped_too() -> None:
    assert "T17" not in {entry.id for entry in changed("T17.over_s=1", drops=("T17",)).timeline}


@pytest.mark.parametrize(
    ("shifts", "drops", "changes", "why"),
    [
        (("T07=-60m", "T07=-30m"), (), (), r"^--shift, --drop: T07: given twice$"),
        (("T07=-60m",), ("T07",), (), r"^--shift, --drop: T07: given twice$"),
        ((), (), ("T17.over_s=1", "T17.over_s=2"), r"^--change: T17.over_s: given twice$"),
    ],
)
def test_two_values_for_one_thing_are_refused(
    shifts: tuple[str, ...], drops: tuple[str, ...], changes: tuple[str, ...], why: str
) -> None:
    with pytest.raises(SettingsError, match=why):
        rearrange(load(SCENARIO), shifts, drops, changes)
