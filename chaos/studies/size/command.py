"""`aftershock size`: runs the study, prints the answers, writes the page."""

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from rich.console import Console
from rich.table import Column, Table

from chaos.experiment.runs import RUNS, commit, output_file, replace
from chaos.mitigations import default_catalogue
from chaos.progress.terminal import table
from chaos.studies.cache import Cache, Codec
from chaos.studies.engine import study_engine
from chaos.studies.matrix import job as matrix_job
from chaos.studies.matrix.cells import MatrixCell
from chaos.studies.matrix.defences import defences
from chaos.studies.matrix.job import MatrixRun
from chaos.studies.matrix.outcomes import RunOutcome
from chaos.studies.matrix.summary import SummaryRow
from chaos.studies.pool import processes
from chaos.studies.size import job as size_job
from chaos.studies.size.answers import (
    SizeAnswer,
    defence_answer,
    failing_answer,
    incident_answers,
    tipping_answer,
    wave_answer,
)
from chaos.studies.size.job import SizeFinding, SizeRun
from chaos.studies.size.page import SizeGroup, SizePage, cell, render
from chaos.studies.size.plan import SeedsAt, SizeStudy, parse_loads, parse_sizes, single_mitigations
from services.chassis.clock import system_clock
from services.chassis.exit_codes import BAD_INPUT, EXPECTED

J = TypeVar("J")
R = TypeVar("R")
SizeResults = Mapping[SizeRun, SizeFinding]
DefenceResults = Mapping[MatrixRun, RunOutcome]


def size_command(options: dict[str, Any], console: Console) -> int:
    """Returns exit code 2 if a run could not be measured.

    Raises:
        ScenarioError, SettingsError: invalid input, before the first run.
    """
    study = ask(options)
    with output_file(options["page"]):
        return _answer(study, options, console)


def _answer(study: SizeStudy, options: dict[str, Any], console: Console) -> int:
    clock = system_clock()
    begun = clock.now()
    sizes, matrix = _cached(study) if options["cached"] else _computed(study, options["jobs"], console)
    wall = _wall(options, clock.now() - begun, len(sizes) + len(matrix))
    groups = groups_of(study, sizes, matrix)
    for group in groups:
        console.print(_table(group))
    problems = [*_problems(sizes), *_problems(matrix)]
    not_run = [*study.not_asked(), *_missing(study, sizes, matrix), *problems]
    if options["page"]:
        page = SizePage(study.scenario, size_command_line(study, options), commit(), wall, groups, not_run)
        replace(options["page"], render(page))
        console.print(f"page  {options['page']}", highlight=False)
    for text in problems:
        console.print(text, highlight=False)
    return BAD_INPUT if problems else EXPECTED


def ask(options: dict[str, Any]) -> SizeStudy:
    """The study of these options. Raises ScenarioError, SettingsError."""

    def sizes(flag: str, part: str) -> tuple[SeedsAt, ...]:
        return parse_sizes(flag, options["sizes"] if options[part] is None else options[part])

    study = SizeStudy(
        scenario=options["scenario"],
        incident=sizes("--sizes", "sizes"),
        defence=sizes("--defence-sizes", "defence"),
        mitigation=sizes("--mitigation-sizes", "mitigation"),
        calm=sizes("--calm-sizes", "calm"),
        calm_minutes=options["calm_minutes"],
        loads=parse_loads(options["loads"]),
    )
    study.check()
    return study


def size_command_line(study: SizeStudy, options: Mapping[str, Any]) -> str:
    """The command that gives the page."""
    words = ["aftershock", "size", study.scenario]
    for flag, asked in (
        ("--sizes", study.incident),
        ("--defence-sizes", study.defence),
        ("--mitigation-sizes", study.mitigation),
        ("--calm-sizes", study.calm),
    ):
        words += [flag, ",".join(map(str, asked)) or "none"]
    words += ["--calm-minutes", f"{study.calm_minutes:g}", "--calm-loads", ",".join(f"{one:g}" for one in study.loads)]
    if options["jobs"]:
        words += ["--jobs", str(options["jobs"])]
    return shlex.join([*words, "--page", str(options["page"])])


def _computed(study: SizeStudy, jobs: int | None, console: Console) -> tuple[SizeResults, DefenceResults]:
    with study_engine(size_job.CODEC, size_job.perform, processes(jobs), console) as engine:
        sizes = engine.outcomes(study.size_jobs, "facts and calm regions")
    with study_engine(matrix_job.CODEC, matrix_job.perform, processes(jobs), console) as matrix_engine:
        return sizes, matrix_engine.outcomes(study.matrix_jobs, "defences and mitigations")


def _cached(study: SizeStudy) -> tuple[SizeResults, DefenceResults]:
    """The cached results; nothing is run."""
    return _known(size_job.CODEC, study.size_jobs), _known(matrix_job.CODEC, study.matrix_jobs)


def _known(codec: Codec[J, R], jobs: Iterable[J]) -> dict[J, R]:
    cache = Cache(RUNS / f"{codec.study}-cache", codec)
    found = {job: cache.get(job) for job in jobs}
    return {job: result for job, result in found.items() if result is not None}


def _wall(options: Mapping[str, Any], took_s: float, runs: int) -> str:
    if options["cached"]:
        return f"The page was made from {runs} cached runs."
    return f"{runs} results in {took_s / 60:.0f} min of wall time, including those that were cached."


def groups_of(study: SizeStudy, sizes: SizeResults, matrix: DefenceResults) -> list[SizeGroup]:
    """The tables of the page, from the results that there are."""
    groups = []
    if study.incident:
        note = "The whole incident with its operators; facts count seeds, the delays are seconds after the restore."
        groups.append(SizeGroup("The facts", note, incident_answers(_taken(study.incident_jobs, sizes))))
    if study.calm:
        note = (
            "East US alone, without a pair; nothing happens to it. It has tipped when at most half of its attempts of "
            f"20 s succeed. A run is watched for at most {study.calm_minutes:g} bench minutes; times are bench seconds."
        )
        rows = [tipping_answer(load, _taken(study.calm_jobs(load), sizes)) for load in study.loads]
        groups.append(SizeGroup("Tipping by itself", note, rows))
    if study.defence:
        note = (
            "Operation success from 36 to 106 s after the restore in East US, without operators after it. What a "
            "defence sets is given at size 1 and scales."
        )
        rows = [defence_answer(one.title, _taken(study.defence_jobs(one), matrix)) for one in defences()]
        groups.append(SizeGroup("Single defences", note, rows))
    return [*groups, *_mitigation_groups(study, matrix)] if study.mitigation else groups


def _mitigation_groups(study: SizeStudy, matrix: DefenceResults) -> list[SizeGroup]:
    titles: dict[str, str] = {one.id: f"{one.id} {one.title}" for one in default_catalogue().mitigations}
    waves: list[SizeAnswer] = []
    minutes: list[SizeAnswer] = []
    for one in single_mitigations():
        found = {size: _summary(one, runs) for size, runs in _taken(study.mitigation_jobs(one), matrix).items()}
        title = titles.get(one.name, one.name)
        waves.append(wave_answer(title, found))
        minutes.append(failing_answer(title, found))
    note = "The incident with its operators, up to the drain if it comes to one. Seeds in which a region collapses."
    failing = "Minutes of the incident in which under 95 % of the pair's attempts succeed, in the same runs."
    return [
        SizeGroup("The second wave, by mitigation", note, waves),
        SizeGroup("How long attempts fail, by mitigation", failing, minutes),
    ]


def _summary(one: MatrixCell, runs: Sequence[RunOutcome]) -> SummaryRow:
    return SummaryRow.of(one, dict(enumerate(runs)))


def _taken(jobs: Mapping[float, Sequence[J]], results: Mapping[J, R]) -> dict[float, list[R]]:
    found = {size: [results[job] for job in of_size if job in results] for size, of_size in jobs.items()}
    return {size: runs for size, runs in found.items() if runs}


def _problems(results: Mapping[Any, SizeFinding | RunOutcome]) -> list[str]:
    return [
        f"size {job.size:g}, seed {job.seed}: not measured: {one.problem}"
        for job, one in results.items()
        if one.problem
    ]


def _missing(study: SizeStudy, sizes: SizeResults, matrix: DefenceResults) -> list[str]:
    left = sum(job not in sizes for job in study.size_jobs) + sum(job not in matrix for job in study.matrix_jobs)
    return [f"{left} runs of the command above"] if left else []


def _table(group: SizeGroup) -> Table:
    head = ["answer", *(f"size {size:g}" for size in group.sizes), "verdict"]
    shown = table(*(Column(name, overflow="fold") for name in head), title=group.title)
    for row in group.rows:
        shown.add_row(row.kind.label, *(cell(row, size) for size in group.sizes), row.verdict)
    return shown
