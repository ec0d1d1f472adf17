"""What the commands do once their input is known to be good: run, judge, write, print."""

import gc
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from chaos.claims.verdict import Verdict, judge
from chaos.plan import Plan
from chaos.progress import Progress
from chaos.record import Record
from chaos.report.compare import compare, print_comparison
from chaos.report.files import write_report, write_verdict
from chaos.report.table import print_verdict
from chaos.runs import Finished, carry_out, given_folder, new_folder, quiet_libraries

EXIT_COULD_NOT_JUDGE = 2
EXIT_INTERRUPTED = 130


def run_command(plan: Plan, options: dict[str, Any], console: Console) -> int:
    """One run from plan to verdict; returns the exit code."""
    quiet_libraries()
    folder = given_folder(options["out"]) if options["out"] else new_folder(_folder_name(plan, options))
    console.print(f"[bold]{plan.scenario.name}[/]: {plan.scenario.title} (seed {plan.seed}, {options['runtime']})")
    with Progress(console) as progress:
        finished = carry_out(
            plan,
            runtime=options["runtime"],
            transport=options["transport"],
            folder=folder,
            observers=[progress],
        )
    return _conclude(finished, folder, plan, options["as_json"], console)


def _folder_name(plan: Plan, options: dict[str, Any]) -> str:
    parts = [plan.scenario.name, options["runtime"], f"s{plan.seed}", *plan.mitigations]
    return "-".join(parts)


def _conclude(finished: Finished, folder: Path, plan: Plan, as_json: bool, console: Console) -> int:
    if finished.interrupted:
        console.print(f"interrupted; the record so far is in {folder}")
        return EXIT_INTERRUPTED
    digest = finished.recorder.sha256[:16] if finished.recorder else ""
    finished = replace(finished, recorder=None)  # judged is what was written; both at once would double the memory
    gc.collect()
    verdict = _judge(folder)
    if as_json:
        click.echo(json.dumps(verdict.document(), ensure_ascii=False))
    else:
        print_verdict(verdict, console)
        _say_where(folder, finished, plan, digest, console)
    return EXIT_COULD_NOT_JUDGE if finished.problem else verdict.exit_code


def _say_where(folder: Path, finished: Finished, plan: Plan, digest: str, console: Console) -> None:
    if finished.problem:
        console.print(f"[red]{finished.problem}[/]")
    console.print(f"record  {folder}/  (events SHA-256 {digest}…)", highlight=False)
    console.print(f"report  {folder / 'report.html'}", highlight=False)
    console.print(f"repeat  {plan.command}", highlight=False, soft_wrap=True)


def _judge(folder: Path) -> Verdict:
    record = Record.load(folder)
    verdict = judge(record)
    write_verdict(folder, verdict)
    write_report(folder, record, verdict)
    return verdict


def report_command(folder: Path, console: Console) -> int:
    verdict = _judge(folder)
    print_verdict(verdict, console)
    console.print(f"report  {folder / 'report.html'}", highlight=False)
    return verdict.exit_code


def diff_command(left: Path, right: Path, console: Console) -> int:
    print_comparison(compare(Record.load(left), Record.load(right)), console)
    return 0
