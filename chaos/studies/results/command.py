"""`aftershock results`: runs the steps of a plan, skips what is done, and says what each cost."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Column, Table

from chaos.experiment.runs import RUNS, replace
from chaos.progress.terminal import table
from chaos.studies.results.checkout import without_pages
from chaos.studies.results.plan import ResultsPlan, Step
from chaos.studies.results.stamps import Stamps
from compose import with_parent
from services.chassis.clock import Clock
from services.chassis.exit_codes import CODES, DEFECT, EXPECTED

FOLDER = RUNS / "results"
DONE, SKIPPED, FAILED, NOT_RUN = "done", "already done", "failed", "not run"

CarryOut = Callable[[Step, int, Path, Mapping[str, str]], int]
"""Carries out a step with this many processes, in this folder, with these additions to the environment; returns its
exit code."""


class StepEnd(NamedTuple):
    """How a step went; `exit_code` is None if it did not run."""

    step: Step
    state: str
    took_s: float = 0.0
    exit_code: int | None = None


def in_process(step: Step, jobs: int, here: Path, environment: Mapping[str, str]) -> int:
    """Runs the command in a process that ends with this one.

    A page that it prints replaces the old one only after success.
    """
    guarded = [sys.executable, "-P", with_parent.__file__, str(os.getpid()), *step.command(jobs)]
    printed = subprocess.PIPE if step.prints_page else None
    done = subprocess.run(guarded, cwd=here, env={**os.environ, **environment}, check=False, stdout=printed)
    if step.prints_page and done.returncode in step.may_end:
        replace(here / step.writes[0], done.stdout.decode(errors="backslashreplace"))
    return done.returncode


def results_command(
    plan: ResultsPlan,
    jobs: int,
    console: Console,
    clock: Clock,
    *,
    here: Path = Path(),
    folder: Path = FOLDER,
    perform: CarryOut = in_process,
) -> int:
    """Runs what is not done yet; the exit code is that of the first step that failed.

    A step that fails does not stop those that do not need it.
    """
    stamps = Stamps(here / folder, here)
    (here / folder).mkdir(parents=True, exist_ok=True)
    console.print(_expected(plan, stamps, jobs))
    ends: dict[str, StepEnd] = {}
    began = clock.now()
    pages = [here.absolute() / page for step in plan.steps for page in step.writes]
    with without_pages(pages) as environment:

        def in_here(step: Step) -> int:
            return perform(step, jobs, here, environment)

        for step in plan.steps:
            ends[step.name] = end = _carry_out(step, stamps, ends, jobs, console, clock, in_here)
            console.print(f"{step.name}: {_said(end)}")
    console.print(_table(list(ends.values()), clock.now() - began, jobs))
    failed = [end for end in ends.values() if end.state == FAILED]
    if not failed:
        return EXPECTED
    return failed[0].exit_code if failed[0].exit_code in CODES and failed[0].exit_code else DEFECT


def _carry_out(
    step: Step,
    stamps: Stamps,
    ends: dict[str, StepEnd],
    jobs: int,
    console: Console,
    clock: Clock,
    perform: Callable[[Step], int],
) -> StepEnd:
    if any(ends[name].state in (FAILED, NOT_RUN) for name in step.needs):
        return StepEnd(step, NOT_RUN)
    if stamps.fits(step):
        return StepEnd(step, SKIPPED)
    console.rule(step.name)
    console.print(f"$ {step.typed(jobs)}")
    began = clock.now()
    code = perform(step)
    took_s = clock.now() - began
    if code not in step.may_end:
        return StepEnd(step, FAILED, took_s, code)
    stamps.put(step, took_s, code)
    return StepEnd(step, DONE, took_s, code)


def _expected(plan: ResultsPlan, stamps: Stamps, jobs: int) -> Table:
    """The steps to do and their expected cost, printed before the first one."""
    todo = [step for step in plan.steps if not stamps.fits(step)]
    total = duration(sum(step.expected_s(jobs) for step in todo))
    shown = table(
        "step",
        Column("command", overflow="fold"),
        Column("writes", overflow="fold"),
        "expected",
        "last time",
        title=f"{len(todo)} of {len(plan.steps)} steps to do",
        caption=f"expected: {total} with {jobs} processes on as many cores, less what is cached; Ctrl-C and the same "
        "command resume",
    )
    for step in plan.steps:
        last = stamps.last(step.name)
        expected = duration(step.expected_s(jobs)) if step in todo else SKIPPED
        shown.add_row(step.name, step.run, "\n".join(step.writes), expected, duration(last.took_s) if last else "–")
    return shown


def _table(ends: Sequence[StepEnd], total_s: float, jobs: int) -> Table:
    shown = table("step", "state", "exit code", "wall time", title=f"wall time {duration(total_s)}, {jobs} processes")
    for end in ends:
        shown.add_row(
            end.step.name,
            end.state,
            "–" if end.exit_code is None else str(end.exit_code),
            "–" if end.exit_code is None else duration(end.took_s),
        )
    return shown


def _said(end: StepEnd) -> str:
    match end.state:
        case "done":
            return f"done in {duration(end.took_s)}"
        case "failed":
            return f"failed with exit code {end.exit_code} after {duration(end.took_s)}"
        case "not run":
            return "not run: a step that it needs failed"
        case _:
            return "already done for this code"


def duration(seconds: float) -> str:
    """1 h 02 min, 3 min 05 s, 12 s."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    if hours:
        return f"{hours} h {minutes:02} min"
    return f"{minutes} min {whole % 60:02} s" if minutes else f"{whole} s"
