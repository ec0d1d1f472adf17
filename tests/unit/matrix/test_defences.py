"""The table of single defences: what is asked, and what is shown."""

import json
import re
from contextlib import nullcontext
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from chaos.cli import main
from chaos.studies.matrix import command
from chaos.studies.matrix.defences import Defence, as_json, defences, defences_table
from chaos.studies.matrix.job import MatrixRun
from chaos.studies.matrix.outcomes import OP_SUCCESS, RunOutcome
from tests.unit.matrix.toy_world import SCENARIO, Inline, world


@pytest.mark.parametrize("one", defences(), ids=lambda one: one.id)
def test_every_defence_is_settings_that_services_have_and_changes_something(one: Defence) -> None:
    plan, naive = one.job(SCENARIO, 1).plan(), MatrixRun(SCENARIO, 1, unattended=True).plan()
    assert (plan.settings != naive.settings) == bool(one.set)
    assert plan.scenario == naive.scenario


def test_the_table_has_a_line_for_each_with_the_models_figure_beside_it() -> None:
    none, bounded = defences()[:2]
    runs = {
        none: [RunOutcome({OP_SUCCESS: 0.03, "peak_amplification": 12.0}, True, True, True)],
        bounded: [RunOutcome({OP_SUCCESS: 1.0, "wasted_ratio": 0.002}, True, False, False)],
    }
    console = Console(width=200)
    with console.capture() as capture:
        console.print(defences_table(runs))
    lines = [re.split(r"\s{2,}", line.strip()) for line in capture.get().splitlines() if "of 1" in line]
    assert lines == [
        ["none", "0.03", "0.04", "1 of 1", "–", "12.0", "–", "–", "–"],
        ["bounded queue, 0.5 s", "1.00", "1.00", "0 of 1", "–", "–", "0.00", "–", "–"],
    ]
    found = json.loads(as_json(SCENARIO, runs))["defences"]
    assert [(one["id"], one[OP_SUCCESS]["mean"], one["model"]) for one in found] == [
        ("none", 0.03, 0.04),
        ("bounded-queue", 1.0, 1.0),
    ]


def test_the_page_has_every_defence_with_the_models_figure() -> None:
    page = (Path(__file__).parents[3] / "docs" / "defences.md").read_text()
    for one in defences():
        (line,) = [line for line in page.splitlines() if line.startswith(f"| {one.title} |")]
        assert ("–" if one.model is None else f"{one.model:.2f}") in line.split("|")[3]


def test_the_command_asks_each_of_them_once_a_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = Inline()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "perform", world)
    monkeypatch.setattr(command, "processes", lambda _count: nullcontext(executor))
    result = CliRunner().invoke(main, ["matrix", SCENARIO, "--defences", "--seeds", "2", "--out", "out", "--jobs", "1"])
    assert result.exit_code == 0, result.output
    assert executor.jobs == [one.job(SCENARIO, seed) for one in defences() for seed in (1, 2)]
    assert all(job.unattended for job in executor.jobs)
    assert len(json.loads((tmp_path / "out" / "defences.json").read_text())["defences"]) == len(defences())
