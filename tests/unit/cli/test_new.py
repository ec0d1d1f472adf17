"""`aftershock new` writes a scenario that runs, is judged as expected, and is contradicted by a wrong expectation."""

from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from chaos.cli import main
from chaos.command import run as running
from chaos.command.new import scenario_text
from chaos.experiment.plan import Plan
from chaos.experiment.runs import Finished
from chaos.record.record import RunRecord
from chaos.scenarios.actions import ACTIONS
from chaos.scenarios.loader import load, loads


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, arguments)
    return done.exit_code, done.output


def the_same_run(plan: Plan, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Finished:
    """The run of a plan that differs in its expectations only, which nothing that makes a run reads."""
    record = replace(RunRecord.load(folder), plan=plan.document("virtual", "direct", "abc"))
    monkeypatch.setattr(RunRecord, "load", lambda _folder: record)
    return Finished(folder, None, record.plan)


@pytest.mark.parametrize("size", ["0.5", pytest.param("1", marks=pytest.mark.long)])
def test_what_is_written_runs_and_is_judged(size: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code, said = run("new", "my-incident")
    assert (code, said.split("\n")[1]) == (0, "run it    aftershock run my-incident.yaml")
    code, said = run("run", "my-incident.yaml", "--transport", "direct", "--size", size, "--out", "r1")
    assert code == 0, said
    assert "✔  E5" in said
    assert "claim by claim" not in (tmp_path / "r1" / "report.html").read_text()

    file = tmp_path / "my-incident.yaml"
    assert '"above": 0.99' in (tmp_path / "r1" / "plan.json").read_text()
    file.write_text(file.read_text().replace("above: 0.99\n", "below: 0.99\n", 1))
    monkeypatch.setattr(running, "carry_out", lambda plan, **_options: the_same_run(plan, tmp_path / "r1", monkeypatch))
    code, said = run("run", "my-incident.yaml", "--transport", "direct", "--size", size, "--out", "r2")
    assert code == 1, said
    assert "The run differs from what is expected: E1 does not hold." in said


def test_every_paragraph_has_a_comment() -> None:
    text = scenario_text("mine")
    assert "NAME" not in text
    made = loads(text, "mine.yaml")
    assert (made.name, [one.id for one in made.expect]) == ("mine", ["E1", "E2", "E3", "E4", "E5"])
    assert [paragraph for paragraph in text.split("\n\n") if "#" not in paragraph] == []
    assert {type(entry.action) for entry in made.timeline} <= set(ACTIONS)


@pytest.mark.parametrize("name", ["", "My", "a b", "../x", "a" * 41, "123", "1e5", "null"])
def test_a_name_that_no_scenario_can_have_is_refused(name: str, tmp_path: Path) -> None:
    code, said = run("new", name, "--out", str(tmp_path))
    assert code == 2
    assert "NAME: should be up to 40 small letters, digits and hyphens" in said
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_exists_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("precious")
    code, said = run("new", "mine", "--out", str(tmp_path))
    assert (code, file.read_text()) == (2, "precious")
    assert "exists already" in said


def test_what_is_written_can_be_loaded_by_path(tmp_path: Path) -> None:
    run("new", "mine", "--out", str(tmp_path))
    assert load(tmp_path / "mine.yaml").name == "mine"
