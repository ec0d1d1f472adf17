"""The size of a scenario: what is multiplied by it, what is refused, and the table in docs/scenarios.md."""

from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel

from chaos.experiment.plan import make_plan, settings_models
from chaos.mitigations import mitigation_overlay
from chaos.scenarios.actions import ScaleIdentity
from chaos.scenarios.loader import ScenarioError, load, loads
from chaos.scenarios.model import Scenario
from chaos.scenarios.size import KEPT, SCALED, sized_settings
from services.chassis.settings import resolve

FULL, SHORT, CALM = "azure-fnj8-vqz", "azure-fnj8-vqz-short", "calm-day"
PAGE = Path(__file__).parents[3] / "docs" / "scenarios.md"
TINY = """
name: tiny
title: One region
starts_at: 2026-02-02T18:03:00Z
duration_s: 60
regions: [{name: eastus, display: East US, identity_nodes: 2}]
load: {eastus: {token_rate_per_s: 3, job_rate_per_s: 0.5}}
"""


def nodes(scenario: Scenario) -> dict[str, int]:
    return {region.name: region.identity_nodes for region in scenario.regions}


def added(scenario: Scenario) -> list[dict[str, int]]:
    return [entry.action.nodes for entry in scenario.in_order if isinstance(entry.action, ScaleIdentity)]


def setting(scenario: Scenario, section: str, region: str, name: str) -> Any:
    return getattr(resolve(settings_models()[section], make_plan(scenario, 1).settings, section, region), name)


def test_half_the_incident_is_what_the_program_shipped_before() -> None:
    half = load(FULL, size=0.5)

    assert half.size == 0.5
    assert set(nodes(half).values()) == {2}
    assert added(half) == [{"eastus": 1}, {"eastus": 2, "westus": 1}]
    assert half.load["eastus"].model_dump() == {"token_rate_per_s": 6, "job_rate_per_s": 0.75}
    assert half.load["northeurope"].model_dump() == {"token_rate_per_s": 0.4, "job_rate_per_s": 0.075}
    assert [setting(half, "provisioner", region, "slots") for region in ("eastus", "westus", "northeurope")] == [
        50,
        6,
        3,
    ]
    for name, before in (("ready_machines", 2), ("warm_runners", 2), ("machines_max", 8), ("setup_interval_s", 1.5)):
        assert setting(half, "loadgen", "", name) == before, name
    assert setting(half, "loadgen", "", "in_flight_max") == 500, "a limit is not lowered"


def test_a_size_in_the_file_and_one_that_is_given_are_the_same_and_the_given_one_wins() -> None:
    in_file = loads(TINY + "size: 2\n")

    assert in_file == loads(TINY, size=2)
    assert in_file == loads(TINY + "size: 5\n", size=2)
    assert nodes(in_file) == {"eastus": 4}
    assert load(CALM).regions == load(FULL, size=0.5).regions


def test_at_size_1_nothing_is_added_or_changed() -> None:
    assert loads(TINY).settings == {}
    assert loads(TINY, size=1) == loads(TINY)


@pytest.mark.parametrize("size", [2.0, 8.0])
def test_defaults_are_those_of_size_1_and_scale_too(size: float) -> None:
    plan = make_plan(loads(TINY, size=size), 1)

    for section, name, of_1 in (
        ("provisioner", "slots", 20),
        ("loadgen", "warm_runners", 2),
        ("loadgen", "in_flight_max", 500),
        ("provisioner", "jobs_max", 10_000),
    ):
        found = getattr(resolve(settings_models()[section], plan.settings, section, "eastus"), name)
        assert found == of_1 * size, name
    loadgen = resolve(settings_models()["loadgen"], plan.settings, "loadgen", "")
    assert loadgen.setup_interval_s == 1.5 / size  # type: ignore[attr-defined]
    make_plan(load(FULL, size=size), 1)


@pytest.mark.parametrize(
    ("size", "finding"),
    [
        (
            0.5,
            "azure-fnj8-vqz-short.yaml:94: timeline.17.nodes.westus: 1 at size 1 is 0.5 at size 0.5; should be whole",
        ),
        (
            0.3,
            "azure-fnj8-vqz-short.yaml:20: regions.1.identity_nodes: 4 at size 1 is 1.2 at size 0.3; should be whole",
        ),
        (
            1.5,
            "azure-fnj8-vqz-short.yaml:95: timeline.18.nodes.eastus: 3 at size 1 is 4.5 at size 1.5; should be whole",
        ),
    ],
)
def test_a_fraction_of_a_node_is_refused_with_its_field(size: float, finding: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        load(SHORT, size=size)

    assert finding in str(caught.value).splitlines()


def test_a_fraction_of_another_count_is_refused_also_if_it_is_a_default() -> None:
    with pytest.raises(ScenarioError) as caught:
        loads(TINY + "settings: {regions: {eastus: {provisioner: {slots: 15}}}}\n", size=0.5)
    assert "settings.regions.eastus.provisioner.slots: 15 at size 1 is 7.5 at size 0.5" in str(caught.value)

    with pytest.raises(ScenarioError) as caught:
        loads(TINY.replace("identity_nodes: 2", "identity_nodes: 4"), size=0.25)
    assert "loadgen.warm_runners, by default: 2 at size 1 is 0.5 at size 0.25" in str(caught.value)


def test_a_rate_need_not_be_whole() -> None:
    tree = sized_settings({"provisioner": {"resume_rate_per_s": 1}, "identity": {"workers": 3}}, 0.5)

    assert tree == {"provisioner": {"resume_rate_per_s": 0.5}, "identity": {"workers": 3}}


@pytest.mark.parametrize("size", [0.5, 2.0])
def test_a_mitigation_scales_with_the_scenario_and_an_override_does_not(size: float) -> None:
    of_1, here = (mitigation_overlay(["X1", "R6"], ["eastus"], one) for one in (1.0, size))
    rate = ("provisioner", "resume_rate_per_s")

    assert here["provisioner"]["resume_rate_per_s"] == of_1["provisioner"]["resume_rate_per_s"] * size
    assert here["regions"]["eastus"]["provisioner"]["resume_rate_per_s"] == 3 * size
    assert here["identity_client"]["guard"]["budget"]["retries_per_s_min"] == pytest.approx(0.3 * size)
    assert here["identity_client"]["sdk"] == of_1["identity_client"]["sdk"]
    plan = make_plan(load(FULL, size=size), 1, mitigations=["X1"], overlays=[{rate[0]: {rate[1]: 9.0}}])
    assert plan.settings["provisioner"]["resume_rate_per_s"] == 9.0
    assert plan.settings["regions"]["eastus"]["provisioner"]["resume_rate_per_s"] == 3 * size


def leaves(model: BaseModel, above: str) -> list[tuple[str, Any]]:
    """Every setting with its type; a limit that is off by default has no value that would tell it."""
    found: list[tuple[str, Any]] = []
    for name, field in type(model).model_fields.items():
        value, path = getattr(model, name), f"{above}.{name}"
        found += leaves(value, path) if isinstance(value, BaseModel) else [(path, field.annotation)]
    return found


def _is_whole(type_: Any) -> bool:
    """Whether it is a whole number, or one or nothing."""
    return type_ is int or (get_origin(type_) is not dict and any(map(_is_whole, get_args(type_))))


def test_every_count_and_rate_of_the_settings_is_in_the_table() -> None:
    """A new setting that is a count or a rate must be put there, or it silently does not scale."""
    scaled = {field for one in SCALED for field in one.fields}
    kept = tuple(field for one in KEPT for field in one.fields)
    fields = [leaf for section, model in settings_models().items() for leaf in leaves(model(), section)]
    numbers = [name for name, type_ in fields if _is_whole(type_) or name.endswith(("_per_s", "_burst"))]

    missing = [name for name in numbers if name not in scaled and not name.startswith(kept)]
    assert missing == []
    assert not [name for name in scaled if name.startswith(kept)]
    assert {name for name in scaled if "*" not in name} <= {name for name, _ in fields}


def test_the_page_shows_the_table() -> None:
    rows = [
        f"| {one.what} | {', '.join(f'`{field}`' for field in one.fields)} | {one.scaling} | {one.why} |"
        for one in SCALED
    ]
    rows += [f"| {one.what} | {', '.join(f'`{field}`' for field in one.fields)} | – | {one.why} |" for one in KEPT]
    table = PAGE.read_text(encoding="utf-8").partition("| quantity |")[2].partition("\n\n")[0]

    assert [line for line in table.splitlines() if line.startswith("| ")] == rows
