"""The catalogue: what is in it, what it refuses, and what a choice of it lays over a scenario."""

from pathlib import Path

import pytest

from chaos.experiment.plan import make_plan, settings_models
from chaos.mitigations import (
    bundle_name,
    catalogue,
    default_catalogue,
    expand,
    left_out,
    mitigation_overlay,
    run_time_overlay,
)
from chaos.mitigations.catalogue import FILE, load
from chaos.mitigations.model import IDS
from chaos.scenarios.loader import load as load_scenario
from services.chassis.settings import SettingsError, leaves, resolve

SCENARIO = load_scenario("azure-fnj8-vqz")
EVERY = tuple(f"R{n}" for n in range(1, 8)) + tuple(f"X{n}" for n in range(1, 7))


def test_it_has_the_seven_repair_items_and_the_six_others() -> None:
    assert EVERY == IDS
    assert [row["id"] for row in catalogue()] == list(EVERY)
    assert {row["id"]: row["kinds"] for row in catalogue() if row["kinds"] != ["settings"]} == {
        "R3": ["timeline"],
        "R4": ["settings", "topology"],
        "X1": ["settings", "timeline"],
    }


def test_a_bundle_is_known_by_what_is_in_it() -> None:
    assert bundle_name(expand(["defended"])) == "defended"
    assert bundle_name(("R1", "X5")) == "R1+X5"


def test_bundles_are_names_for_several() -> None:
    assert expand(["publisher"]) == EVERY[:7]
    assert expand(["all"]) == EVERY
    assert expand(["defended"]) == ("R1", "R6", "R7", "X1", "X5")
    assert expand(["X5", "R1", "R1", "defended"]) == ("R1", "R6", "R7", "X1", "X5")


@pytest.mark.parametrize("function", [expand, mitigation_overlay, run_time_overlay])
def test_an_unknown_name_is_an_error_that_lists_the_known_ones(function: object) -> None:
    with pytest.raises(SettingsError, match=r"mitigation 'R8': unknown; known: R1, .*X6, publisher, defended, all"):
        function(["R1", "R8"])  # type: ignore[operator]


def test_the_order_of_the_names_does_not_matter() -> None:
    assert mitigation_overlay(EVERY) == mitigation_overlay(reversed(EVERY))


UNCHANGED = {
    "R1": {"identity.wait_budget_s"},
    "R6": {f"identity_client.guard.budget.{field}" for field in ("share", "retries_per_s_min", "window_s")},
}
"""Stated again so that the whole rule stands in one place: their values are the policies' defaults."""


@pytest.mark.parametrize("name", [name for name in EVERY if default_catalogue().get(name).overlay])
def test_each_changes_every_field_that_it_names_in_the_incident(name: str) -> None:
    """A field that an overlay repeats without a change would switch nothing."""
    unchanged = set()
    plan = make_plan(SCENARIO, 1)
    for path, value in leaves(mitigation_overlay([name])):
        region, (section, *fields) = (path[1], path[2:]) if path[0] == "regions" else ("", path)
        before = resolve(settings_models()[section], plan.settings, section, region).model_dump(mode="json")
        for field in fields:
            before = before[field]
        if before == value:
            unchanged.add(".".join(path))
    assert unchanged == UNCHANGED.get(name, set())


def test_no_two_contradict_each_other(tmp_path: Path) -> None:
    text = FILE.read_text(encoding="utf-8")
    broken = tmp_path / "mitigations.yaml"
    broken.write_text(text.replace("artifact_fallback: mirror", "requeue_jitter: 0.9"))
    with pytest.raises(SettingsError, match=r"provisioner\.requeue_jitter: X1 sets 0\.5, X6 sets 0\.9"):
        load(broken)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("title: Faster rollback", "headline: Faster rollback", r"mitigations\.2\.title: Field required"),
        ("factor: 0.25", "factor: 2", r"mitigations\.2\.timeline\.compress\.factor: Input should be less"),
        ("id: X6", "id: X5", r"mitigations: should be R1, .*X6, in this order"),
        ("of: [R1, R6, R7, X1, X5]", "of: [R1, R9]", r"bundles\.defended\.of\.1: Input should be"),
        ("mitigations:\n", "mitigations: [\n", r"not YAML"),
    ],
)
def test_what_breaks_a_rule_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    text = FILE.read_text(encoding="utf-8")
    assert old in text
    broken = tmp_path / "mitigations.yaml"
    broken.write_text(text.replace(old, new, 1))
    with pytest.raises(SettingsError, match=message):
        load(broken)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nothing\.yaml: cannot be read: No such file"):
        load(tmp_path / "nothing.yaml")


def test_regions_that_a_scenario_lacks_are_left_out() -> None:
    assert mitigation_overlay(["X1"])["regions"] == {"eastus": {"provisioner": {"resume_rate_per_s": 3}}}
    assert mitigation_overlay(["X1"], ["westus"])["regions"] == {}


def test_every_service_accepts_every_one_in_every_scenario() -> None:
    for name in ("azure-fnj8-vqz", "azure-fnj8-vqz-short", "calm-day"):
        scenario = load_scenario(name)
        for names in (*((id_,) for id_ in EVERY), ("all",)):
            assert make_plan(scenario, 1, mitigations=names).mitigations == expand(names)


def test_what_a_user_sets_wins_over_a_mitigation_and_that_over_the_scenario() -> None:
    plan = make_plan(SCENARIO, 1, mitigations=["X1"], overlays=[{"provisioner": {"requeue_jitter": 0.1}}])
    assert plan.mitigations == ("X1",)
    assert plan.settings["provisioner"]["requeue_jitter"] == 0.1
    assert plan.settings["provisioner"]["resume_rate_per_s"] == 1.5
    assert "resume_rate_per_s" not in plan.base["provisioner"]


def test_a_scenarios_own_mitigations_are_on() -> None:
    scenario = SCENARIO.model_copy(update={"mitigations": ("R1",)})
    assert make_plan(scenario, 1, mitigations=["R7"]).mitigations == ("R1", "R7")


def test_what_is_not_a_setting_cannot_be_switched_while_services_run() -> None:
    with pytest.raises(SettingsError, match=r"mitigation R3: cannot be switched while services run; its changes to"):
        run_time_overlay(["R1", "R3"])
    assert run_time_overlay(["R1", "R4"]) == mitigation_overlay(["R1", "R4"])


def test_a_switch_says_which_part_it_leaves_as_it_is() -> None:
    assert left_out(["R1", "R4", "X1"]) == ["R4: its additional nodes", "X1: its changes to the timeline"]
