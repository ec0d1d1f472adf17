"""Runs the incident with both retry configurations over the same seeds, and prints the comparison.

There are no operator actions after the restore (`MatrixRun.unattended`): a service that is down at the end did not
recover by itself.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from chaos.importers.known import understand
from chaos.importers.reading import Understood
from chaos.options import TRIED
from chaos.progress.terminal import table
from chaos.studies.engine import study_engine
from chaos.studies.matrix.job import CODEC, MatrixRun, perform
from chaos.studies.matrix.outcomes import OP_SUCCESS, RunOutcome
from chaos.studies.pool import processes
from chaos.studies.statistics import Estimate, Share, estimate, share
from chaos.studies.words import MISSING, bounds, figure
from chaos.verdict.figures import WORKING
from services.chassis.exit_codes import BAD_INPUT, CONTRADICTED, EXPECTED
from services.chassis.settings import Tree, leaves

WORKFLOW = "identity_client.workflow.attempts=1"
COSTS = (
    ("peak_amplification", "attempts per operation, peak", 1),
    ("failed_operations", "failed operations", 0),
    ("backlog_peak", "jobs in the backlog, peak", 0),
)


@dataclass(frozen=True)
class Trial:
    """The outcome of one retry configuration over the seeds."""

    collapses: Share
    """In how many seeds a region of the pair collapses."""
    recovers: Share
    """In how many seeds identity works 36 to 106 s after the restore, without operator actions."""
    costs: Mapping[str, Estimate]
    problems: tuple[str, ...] = ()

    @property
    def lasting(self) -> bool:
        """Whether it stays down in some seed."""
        return self.recovers.count < self.recovers.measured


def try_retries_command(options: dict[str, Any], console: Console) -> int:
    """Runs both; returns 1 if the user's configuration stays down in some seed, 2 if a run could not be measured.

    Raises:
        ImportRefused: the configuration says something that has no equivalent here.
    """
    understood = understand(options["file"], options["library"])
    seeds = range(1, options["seeds"] + 1)
    mine = assignments(understood.settings, keep_workflow=options["keep_workflow"])
    jobs = {"yours": _jobs(mine, seeds), "shipped": _jobs((), seeds)}
    jobs["yours"][0].plan()  # invalid values are refused before the first run
    with study_engine(CODEC, perform, processes(options["jobs"]), console) as engine:
        known = engine.outcomes((job for of in jobs.values() for job in of), "try-retries")
    trials = {name: judge([known[job] for job in of]) for name, of in jobs.items()}
    if options["as_json"]:
        click.echo(json.dumps(as_document(understood, mine, trials), indent=1))
    else:
        show(options["file"], understood, trials, console)
    if any(trial.problems for trial in trials.values()):
        return BAD_INPUT
    return CONTRADICTED if trials["yours"].lasting else EXPECTED


def assignments(settings: Tree, *, keep_workflow: bool = False) -> tuple[str, ...]:
    """The settings as `--set` takes them. Unless the incident's workflow layer is kept, there is no other layer."""
    texts = [f"{'.'.join(path)}={json.dumps(value)}" for path, value in leaves(settings)]
    return tuple(text for text in texts if not (keep_workflow and text == WORKFLOW))


def _jobs(texts: Sequence[str], seeds: Sequence[int]) -> list[MatrixRun]:
    return [MatrixRun(TRIED, seed, assignments=tuple(texts), unattended=True) for seed in seeds]


def judge(runs: Sequence[RunOutcome]) -> Trial:
    """The outcomes over the seeds."""
    late = [run.values.get(OP_SUCCESS) for run in runs]
    return Trial(
        share([run.second_wave for run in runs]),
        share([None if success is None else success >= WORKING for success in late]),
        {name: estimate([run.values.get(name) for run in runs]) for name, _, _ in COSTS},
        tuple(run.problem for run in runs if run.problem),
    )


def as_document(understood: Understood, texts: Sequence[str], trials: Mapping[str, Trial]) -> dict[str, Any]:
    return {
        "library": understood.library,
        "settings": list(texts),
        "remarks": list(understood.remarks),
        **{name: asdict(trial) for name, trial in trials.items()},
    }


def show(file: Path, understood: Understood, trials: Mapping[str, Trial], console: Console) -> None:
    yours, shipped = trials["yours"], trials["shipped"]
    shown = table("", "yours", "shipped", title=f"{file.name} ({understood.library}) in {TRIED}")
    for label, *cells in _rows(yours, shipped):
        shown.add_row(label, *cells)
    console.print(shown)
    console.print(verdict(yours, shipped), highlight=False)
    for remark in understood.remarks:
        console.print(f"Read as: {remark}.", highlight=False)
    console.print(f"{yours.collapses.measured} seeds; 95 % intervals in brackets; nobody acts after the restore.")
    for name, trial in trials.items():
        for problem in trial.problems:
            console.print(f"{name}: not measured: {problem}", highlight=False)


def _rows(yours: Trial, shipped: Trial) -> Iterator[tuple[str, str, str]]:
    yield "collapses", _seeds(yours.collapses), _seeds(shipped.collapses)
    yield "recovers by itself", _seeds(yours.recovers), _seeds(shipped.recovers)
    for name, label, digits in COSTS:
        yield label, _cost(yours.costs[name], digits), _cost(shipped.costs[name], digits)


def _seeds(one: Share) -> str:
    return f"{one.count} of {one.measured} seeds{bounds(one.low, one.high, '.0%')}" if one.measured else MISSING


def _cost(one: Estimate, digits: int) -> str:
    spec = f".{digits}f"
    return figure(one.mean, spec) + bounds(one.low, one.high, spec)


def verdict(yours: Trial, shipped: Trial) -> str:
    """The answer in a sentence or two."""
    if not yours.collapses.measured:
        return "Could not be measured."
    if yours.collapses.never:
        first = "Yours does not collapse."
    elif yours.recovers.always:
        first = "Yours collapses and recovers by itself."
    else:
        down = yours.recovers.measured - yours.recovers.count
        first = f"Yours collapses, and stays down in {down} of {yours.recovers.measured} seeds."
    theirs = "recover by themselves" if shipped.recovers.always else "recover by themselves in some seeds only"
    return f"{first} The shipped retries {'stay down' if shipped.recovers.never else theirs}."
