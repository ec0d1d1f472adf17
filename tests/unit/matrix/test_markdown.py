"""The pages of a matrix and of the single defences in Markdown; on the toy world."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from chaos.cli import main
from chaos.studies.matrix import command
from chaos.studies.matrix.defences import Defence
from chaos.studies.matrix.job import MatrixRun
from chaos.studies.matrix.markdown import against_model, defence_row
from chaos.studies.matrix.outcomes import OP_SUCCESS, RunOutcome
from chaos.studies.statistics import Estimate
from tests.unit.matrix.toy_world import SCENARIO, Inline, world


def asked(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *arguments: str, perform: Callable[[MatrixRun], RunOutcome] = world
) -> Result:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(command, "perform", perform)
    monkeypatch.setattr(command, "processes", lambda _count: nullcontext(Inline()))
    return CliRunner().invoke(main, ["matrix", SCENARIO, "--out", "out", *arguments])


def rows(page: str, start: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith(start)]


def test_the_page_of_a_matrix_has_every_cell_with_intervals_and_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = asked(tmp_path, monkeypatch, "--seeds", "5", "--sets-max-size", "1", "--size", "2", "--page", "page.md")
    assert result.exit_code == 0, result.output
    page = (tmp_path / "page.md").read_text()

    assert "$ aftershock matrix azure-fnj8-vqz-short --sets-max-size 1 --seeds 5 --size 2 --page page.md\n" in page
    assert "at size 2\n" in page
    assert "* Alone, R1 and R2 prevent the second wave (identity);" in page
    seeds, amounts = rows(page, "| all but X6")
    assert seeds[1:3] == ["0 of 5 (0.00 to 0.43)"] * 2
    assert amounts[1] == "0.0 min (0.0 to 0.0)"
    _title, seeds, amounts = rows(page, "| R7")
    assert seeds[1:] == ["5 of 5 (0.57 to 1.00)"] * 2 + ["0 of 5 (0.00 to 0.43)"] * 2
    assert amounts[3:5] == ["10.3 (10.1 to 10.5)", "×10.3 (×10.1 to ×10.5)"]
    assert len(rows(page, "| all but")) == 2 * 13


def test_a_mean_over_some_seeds_only_says_how_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def partly(job: MatrixRun) -> RunOutcome:
        known = world(job)
        missing = job.mitigations == ("X1",) or (job.mitigations == ("X2",) and job.seed == 1)
        return replace(known, values={**known.values, "failed_operations": None if missing else 7.0})

    asking = ("--seeds", "3", "--sets-max-size", "1", "--page", "page.md")
    assert asked(tmp_path, monkeypatch, *asking, perform=partly).exit_code == 0
    page = (tmp_path / "page.md").read_text()
    shown = {name: rows(page, f"| {name} |")[-1][3] for name in ("none", "X1", "X2")}
    assert shown == {"none": "7.0 (7.0 to 7.0)", "X1": "–", "X2": "7.0 (7.0 to 7.0), n = 2"}
    assert (tmp_path / "out" / "matrix.html").read_text().count("7.0 to 7.0, n = 2") == 1


def test_the_page_of_the_defences_judges_each_against_the_model_by_its_interval(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = asked(tmp_path, monkeypatch, "--defences", "--seeds", "2", "--page", "page.md")
    assert result.exit_code == 0, result.output
    page = (tmp_path / "page.md").read_text()

    assert "--defences --seeds 2 --page page.md\n" in page
    (none,) = rows(page, "| none")
    assert none[1:] == [
        "–, n = 0",
        "0.04",
        "–",
        "2 of 2 (0.34 to 1.00)",
        "×10.1 (×9.5 to ×10.8)",
        "1015.0 % (951.5 % to 1078.5 %)",
    ]


def test_a_defence_shows_its_mean_its_interval_and_the_number_of_seeds() -> None:
    runs = [RunOutcome({OP_SUCCESS: success, "wasted_ratio": 0.25}, True, True, True) for success in (0.3, 0.4, 0.5)]
    row = defence_row(Defence(id="x", title="drop", model=0.76), runs)
    assert (row.success, row.verdict) == ("0.40 (0.15 to 0.65), n = 3", "differs")
    assert (row.second_wave, row.wasted, row.peak) == ("3 of 3 (0.44 to 1.00)", "25.0 % (25.0 % to 25.0 %)", "–")


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.45, 0.55, "agrees"),
        (0.35, 0.45, "undecided"),
        (0.55, 0.65, "undecided"),
        (0.61, 0.7, "differs"),
        (0.1, 0.39, "differs"),
    ],
)
def test_agreement_is_said_of_the_whole_interval(low: float, high: float, said: str) -> None:
    assert against_model(Estimate((low + high) / 2, low, high, 10), 0.5) == said


def test_nothing_is_said_of_one_seed_or_without_a_model() -> None:
    assert against_model(Estimate(0.5, None, None, 1), 0.5) == "–"
    assert against_model(Estimate(0.5, 0.4, 0.6, 9), None) == "–"


def test_a_page_that_cannot_be_written_is_refused_before_the_first_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "page.md").mkdir()
    result = asked(tmp_path, monkeypatch, "--page", "page.md")
    assert (result.exit_code, result.exc_info is not None) == (2, True)
    assert not (tmp_path / "out").exists()
