"""The commands `run`, `report` and `diff` after input validation: run, judge, write, print."""

import gc
import json
import sys
from contextlib import nullcontext, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from chaos.experiment.plan import Plan
from chaos.experiment.runs import carry_out, given_folder, new_folder, quiet_libraries
from chaos.progress.progress import Progress
from chaos.record.files import TRACES_FILE
from chaos.record.record import RunRecord
from chaos.report.compare import compare, print_comparison
from chaos.report.files import judge_folder
from chaos.report.table import print_verdict
from chaos.verdict.words import sized
from services.chassis.exit_codes import BAD_INPUT, EXPECTED


def run_command(plan: Plan, options: dict[str, Any], console: Console) -> int:
    """Runs a plan and judges it; returns the exit code."""
    quiet_libraries()
    folder = given_folder(options["out"]) if options["out"] else new_folder(_folder_name(plan, options))
    console.print(first_line(plan, options["runtime"]))
    with redirect_stdout(sys.stderr) if options["as_json"] else nullcontext():  # what a part prints
        ending = _carry_out(plan, options, folder, console)
    return _conclude(ending, folder, plan, options["as_json"], console)


def first_line(plan: Plan, runtime: str) -> Text:
    """Scenario, seed, runtime and size."""
    scenario = plan.scenario
    details = ", ".join(filter(None, (f"seed {plan.seed}", runtime, sized(scenario.size))))
    return Text.assemble((scenario.name, "bold"), f": {scenario.title} ({details})")


@dataclass(frozen=True)
class _Ending:
    """What is kept of a run after its record is on disk.

    Judging reads the record from disk: keeping the run in memory would need 50 % more memory.
    """

    sha256: str
    problem: str
    interrupted: int


def _carry_out(plan: Plan, options: dict[str, Any], folder: Path, console: Console) -> _Ending:
    with Progress(console, watch=options["watch"]) as progress:
        finished = carry_out(
            plan,
            runtime=options["runtime"],
            transport=options["transport"],
            folder=folder,
            observers=[progress],
        )
    return _Ending(finished.sha256, finished.problem, finished.interrupted)


def _folder_name(plan: Plan, options: dict[str, Any]) -> str:
    parts = [plan.scenario.name, options["runtime"], f"s{plan.seed}", *plan.mitigations]
    return "-".join(parts)


def _conclude(ending: _Ending, folder: Path, plan: Plan, as_json: bool, console: Console) -> int:
    if ending.interrupted:
        console.print(f"interrupted; the record so far is in {folder}")
        return ending.interrupted
    gc.collect()  # a run leaves many reference cycles
    verdict = judge_folder(folder)
    if as_json:
        click.echo(json.dumps(verdict.document(), ensure_ascii=False))
    else:
        print_verdict(verdict, console)
        _say_where(folder, ending, plan, console)
    return BAD_INPUT if ending.problem else verdict.exit_code


def _say_where(folder: Path, ending: _Ending, plan: Plan, console: Console) -> None:
    if ending.problem:
        console.print(ending.problem, style="red")
    console.print(f"record  {folder}/  (events SHA-256 {ending.sha256[:16]}…)", highlight=False)
    if (folder / TRACES_FILE).exists():
        console.print(f"traces  {folder / TRACES_FILE}", highlight=False)
    console.print(f"report  {folder / 'report.html'}", highlight=False)
    console.print(f"repeat  {plan.command}", highlight=False, soft_wrap=True)


def report_command(folder: Path, console: Console) -> int:
    verdict = judge_folder(folder)
    print_verdict(verdict, console)
    console.print(f"report  {folder / 'report.html'}", highlight=False)
    return verdict.exit_code


def diff_command(left: Path, right: Path, console: Console) -> int:
    print_comparison(compare(RunRecord.load(left), RunRecord.load(right)), console)
    return EXPECTED
