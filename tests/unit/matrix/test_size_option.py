"""`--size` reaches every run of a study, and the command that repeats a run has it."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from chaos.cli import _plan, main
from chaos.command.run import first_line
from chaos.record.record import RunRecord
from chaos.scenarios.loader import load
from chaos.studies.campaign.command import campaign_jobs
from chaos.studies.map.command import ask
from chaos.studies.matrix.defences import defences
from chaos.studies.matrix.job import MatrixRun
from chaos.studies.matrix.search import Question
from chaos.verdict.claim_sets.fnj8_vqz.recovery import recovered
from chaos.verdict.claim_sets.fnj8_vqz.variants import VARIANTS, variant
from chaos.verdict.claim_sets.fnj8_vqz.view import IncidentView
from chaos.verdict.model import Conditions
from tests.unit.record.incident_record import END, fresh_incident

FULL = "azure-fnj8-vqz"
MAKEFILE = Path(__file__).parents[3] / "Makefile"


def options(command: str, *words: str) -> dict[str, Any]:
    """What click makes of the words of a command line."""
    found: dict[str, Any] = main.commands[command].make_context(command, list(words)).params
    return found


def test_a_run_has_its_size_and_says_so_in_the_command_that_repeats_it() -> None:
    plan = _plan(options("run", FULL, "--size", "0.5"))

    assert (plan.scenario.size, plan.document("virtual", "direct", "")["size"]) == (0.5, 0.5)
    words = shlex.split(plan.command)
    assert words[words.index("--size") + 1] == "0.5"
    assert "--size" not in _plan(options("run", FULL)).command


def test_the_demo_is_smaller_and_says_so_in_its_first_line() -> None:
    demo = next(line for line in MAKEFILE.read_text().splitlines() if "run $(SCENARIO)" in line)
    half, whole = (_plan(options("run", FULL, "--size", size)) for size in ("0.5", "1"))

    assert demo.endswith("--size $(SIZE)")
    assert "SIZE ?= 0.5\n" in MAKEFILE.read_text()
    assert first_line(half, "virtual").plain.endswith(" (seed 1, virtual, 0.5 times the model's size)")
    assert first_line(whole, "virtual").plain.endswith(" (seed 1, virtual)")


@pytest.mark.parametrize("name", ["run", "campaign", "matrix", "map"])
def test_every_command_of_runs_takes_a_size(name: str) -> None:
    assert "size" in [one.name for one in main.commands[name].params]


def test_every_run_of_a_campaign_has_the_size_and_so_have_its_controls() -> None:
    jobs = [*campaign_jobs(FULL, 2, 1, (), 2.0), *campaign_jobs(FULL, 1, 1, ("R1",), 2.0)]

    assert {job.size for job in jobs} == {2.0}
    half = load(FULL, size=0.5)
    for name in VARIANTS:
        changed = variant(name, half).scenario
        assert (name, changed.size, changed.regions) == (name, 0.5, half.regions)


def test_every_cell_of_a_matrix_has_the_size() -> None:
    job = Question(FULL, ("R1",), [1], size=2.0).job(("R1",), 1)

    assert job.plan().scenario.size == 2.0
    assert MatrixRun(FULL, 1, size=0.5).plan() != MatrixRun(FULL, 1).plan()


def test_a_defence_is_given_at_size_1_and_an_override_is_not() -> None:
    pacing = next(one for one in defences() if one.id == "pacing")
    job = pacing.job(FULL, 1, ["provisioner.requeue_delay_s=7"], 0.5)
    settings = job.plan().settings

    assert (settings["provisioner"]["resume_rate_per_s"], settings["provisioner"]["requeue_delay_s"]) == (1.0, 7)
    assert settings["regions"]["eastus"]["provisioner"]["resume_rate_per_s"] == 2.0


def test_a_map_at_twice_the_size_has_the_same_share_of_load_on_twice_the_nodes() -> None:
    question = ask(options("map", "--x", "load=0.2,0.4", "--size", "2"))
    plan = question.job(question.points[1], 1).plan()

    assert [region.identity_nodes for region in plan.topology.regions] == [8]
    assert plan.settings["loadgen"]["regions"]["eastus"]["token_rate_per_s"] == 0.4 * 80


@pytest.mark.parametrize("size", [0.5, 2.0])
def test_the_budget_of_careful_tenants_is_given_at_size_1(size: float) -> None:
    overlay = variant("careful-tenants", load(FULL, size=size)).overlay

    assert overlay["instances"]["loadgen"]["identity_client"]["guard"]["budget"]["retries_per_s_min"] == 0.3 * size


@pytest.mark.parametrize(("size", "gone"), [(1.0, False), (2.0, True)])
def test_how_many_jobs_are_a_backlog_goes_with_the_size(size: float, gone: bool) -> None:
    """Thirty jobs that stay are a backlog at size 1, and none at size 2; a record without a size is of size 1."""
    made = fresh_incident().level("provisioner_jobs", 0.0, 0.0, END, state="blocked")
    made.level("provisioner_jobs", 5.0, 0.0, END, state="queued")
    record = made.build()
    view = IncidentView(RunRecord({**record.plan, "size": size}, record.events, record.series))
    sum_of_regions = view.backlog(END - 20.0, END)

    assert sum_of_regions == 30.0
    assert (recovered(view, Conditions(), (END - 20.0, END)).finding().status == "reproduced") is gone
