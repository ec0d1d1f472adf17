"""An overlay file beside the scenario is a mitigation: in a plan, in the matrix, on an axis of the map."""

import sys
from pathlib import Path

import pytest

from chaos.experiment.plan import make_plan
from chaos.mitigations import expand, mitigation_overlay
from chaos.scenarios.loader import beside, load
from chaos.studies.cache import Cache
from chaos.studies.engine import StudyEngine
from chaos.studies.map.axes import effect
from chaos.studies.matrix import words
from chaos.studies.matrix.cells import cells
from chaos.studies.matrix.command import make_matrix
from chaos.studies.matrix.files import write
from chaos.studies.matrix.job import CODEC, MatrixRun, perform
from chaos.studies.matrix.search import Question
from services.chassis.settings import SettingsError
from tests.unit.matrix.toy_world import SCENARIO as SHIPPED
from tests.unit.matrix.toy_world import Inline, world
from tests.unit.parts.own_package import SCENARIO, isolate

RETRY = "class Never:\n    def wait_s(self, attempt, rng):\n        return None\n"
OVERLAY = "title: no retries\nsettings:\n  identity_client: {sdk: {part: 'beside:Never'}}\n"


@pytest.fixture
def scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    isolate(monkeypatch)
    monkeypatch.delitem(sys.modules, "beside", raising=False)
    (tmp_path / "beside.py").write_text(RETRY)
    (tmp_path / "mine.yaml").write_text(OVERLAY)
    plain = SCENARIO.partition("settings:")[0]
    (tmp_path / "acme.yaml").write_text(plain)
    return tmp_path / "acme.yaml"


def test_it_is_expanded_behind_the_known_ones_and_carries_its_settings(scenario: Path) -> None:
    beside(scenario)

    assert expand(["mine", "R2", "R1"]) == ("R1", "R2", "mine")
    assert mitigation_overlay(["mine"]) == {"identity_client": {"sdk": {"part": "beside:Never"}}}
    assert [cell.name for cell in cells(("R1", "mine"))] == [
        *("none", "R1", "mine", "all but R1", "all but mine", "all", "publisher")
    ]


def test_the_plan_of_a_matrix_cell_has_its_part(scenario: Path) -> None:
    plan = make_plan(load(scenario), 1, mitigations=["mine"])

    assert plan.settings["identity_client"]["sdk"]["part"] == "beside:Never"
    assert plan.mitigations == ("mine",)


def test_it_is_a_row_of_the_matrix_with_its_title(scenario: Path, tmp_path: Path) -> None:
    beside(scenario)
    engine = StudyEngine(Inline(), world, Cache(tmp_path / "cache", CODEC, "code"))

    matrix = make_matrix(Question(SHIPPED, expand(["R1", "mine"]), range(1, 3), (), 1), engine)
    folder = tmp_path / "matrix"
    folder.mkdir()
    write(folder, matrix)

    assert [row.cell.name for row in matrix.rows[:3]] == ["none", "R1", "mine"]
    assert "publisher" in [row.cell.name for row in matrix.rows]
    assert matrix.titles["mine"] == "no retries"
    assert "no retries" in (folder / "matrix.html").read_text()


def test_an_axis_of_the_map_takes_it_and_a_part(scenario: Path) -> None:
    beside(scenario)

    assert effect("with", "R1+mine").mitigations == ("R1", "mine")
    assert effect("retry", "beside:Never").overlay == {"identity_client": {"sdk": {"part": "beside:Never"}}}
    assert effect("retry", "none").overlay == {}


def test_a_changed_part_makes_cached_results_stale(scenario: Path, tmp_path: Path) -> None:
    make_plan(load(scenario), 1, mitigations=["mine"])
    job = MatrixRun(str(scenario), 1, ("mine",))
    before = Cache(tmp_path / "cache", CODEC)._path(job)

    (tmp_path / "beside.py").write_text(RETRY + "# changed\n")

    assert Cache(tmp_path / "cache", CODEC)._path(job) != before


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("identity: {}\n", "mine.yaml.settings: Field required"),
        ("settings: {identity: {}}\nsecret: 1\n", "mine.yaml.secret: unknown setting"),
        ("settings: [\n", "mine.yaml:2: not valid YAML"),
    ],
)
def test_a_wrong_overlay_is_refused_by_file_and_field(text: str, message: str, scenario: Path) -> None:
    beside(scenario)
    (scenario.parent / "mine.yaml").write_text(text)

    with pytest.raises(SettingsError, match=message):
        mitigation_overlay(["mine"])


def test_a_name_with_no_file_is_unknown(scenario: Path) -> None:
    beside(scenario)

    with pytest.raises(SettingsError, match="mitigation 'yours': unknown; known: R1, "):
        expand(["yours"])


FOREIGN = """
expect:
  - {id: E1, says: Most works., signal: operation_success, from: A1, to: end, above: 0.5}
  - {id: E2, says: Little works., signal: attempt_success, from: A1, to: end, below: 0.5}
"""


def test_a_matrix_of_a_scenario_of_ones_own_counts_what_it_expects_and_names_its_regions(
    scenario: Path, tmp_path: Path
) -> None:
    scenario.write_text(
        scenario.read_text()
        .replace("{name: eastus, display: East US", "{name: north, display: North")
        .replace("eastus", "north")
        + "timeline: [{id: A1, at_s: 2, do: set_load, region: north, factor: 2}]\n"
        + FOREIGN
    )
    beside(scenario)
    engine = StudyEngine(Inline(), perform, Cache(tmp_path / "cache", CODEC, "code"))

    matrix = make_matrix(Question(str(scenario), expand(["R1", "mine"]), range(1, 2), (), 1), engine)
    folder = tmp_path / "matrix"
    folder.mkdir()
    write(folder, matrix)

    assert "publisher" not in [row.cell.name for row in matrix.rows]
    assert {row.cell.name: {id_: one.count for id_, one in row.expected.items()} for row in matrix.rows} == {
        name: {"E1": 1, "E2": 0} for name in ("none", "R1", "mine", "all but R1", "all but mine", "all")
    }
    assert words.expectations(matrix)[2] == (
        "mine (no retries): 1 of 2 expectations hold in every seed; E2 in 0 of 1 seeds."
    )
    assert [one.wave for one in matrix.sets] == ["second_wave"], "without jobs there is no wave of storage to prevent"
    page = (folder / "matrix.html").read_text()
    assert "North collapses" in page
    assert "East US" not in page
    assert '<th scope="col" title="Little works.">E2</th>' in page
    assert "mine,alone,mine,expect E1,share of seeds,1.0," in (folder / "matrix.csv").read_text()
