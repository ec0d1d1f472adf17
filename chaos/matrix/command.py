"""`aftershock matrix`: from what the user typed to three files."""

import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from chaos.matrix import words
from chaos.matrix.cache import Cache, code_hash
from chaos.matrix.cells import cells
from chaos.matrix.engine import Done, Engine, cluster, processes
from chaos.matrix.files import PAGE_FILE, write
from chaos.matrix.job import Job
from chaos.matrix.outcomes import Outcome
from chaos.matrix.search import Question, rows, sufficient_sets
from chaos.matrix.summary import Matrix
from chaos.mitigations import default_catalogue, expand
from chaos.runs import RUNS, RunFolderError, commit, new_folder
from chaos.scenarios.loader import load

CACHE = "matrix-cache"
EVERYTHING = "all"
EXIT_PROBLEMS, EXIT_INTERRUPTED = 2, 130


def matrix_command(options: dict[str, Any], console: Console) -> int:
    """Computes what is not known yet and writes the files; 2 when a run could not be measured.

    Raises:
        ScenarioError, SettingsError: before anything runs.
    """
    question = _question(options)
    cache = Cache(RUNS / CACHE)
    try:
        with _executor(options) as (executor, perform), _progress(console) as progress:
            engine = Engine(executor, perform, cache)
            matrix = make_matrix(question, engine, progress)
    except KeyboardInterrupt:
        console.print("stopped; what has been computed is kept, and the same command goes on from there")
        return EXIT_INTERRUPTED
    folder = _folder(options["out"])
    write(folder, matrix)
    for sentence in (*words.headline(matrix), *(words.sets(one) for one in matrix.sets)):
        console.print(sentence, highlight=False)
    console.print(f"{engine.computed} runs computed · {folder / PAGE_FILE}", highlight=False)
    problems = [(row.cell.name, seed, text) for row in matrix.rows for seed, text in row.problems.items()]
    for name, seed, text in problems:
        console.print(f"{name}, seed {seed}: not measured: {text}", highlight=False)
    return EXIT_PROBLEMS if problems else 0


def make_matrix(question: Question, engine: Engine, progress: Progress) -> Matrix:
    """The whole matrix, with its search."""

    def bar(name: str, total: int) -> Done:
        task = progress.add_task(name, total=total)

        def done(_job: Job, _outcome: Outcome) -> None:
            progress.advance(task)

        return done

    table = rows(question, engine, bar)
    sets, extra = sufficient_sets(question, table, engine, bar)
    scenario = load(question.scenario)
    return Matrix(
        scenario=scenario.name,
        title=scenario.title,
        seeds=question.seeds,
        mitigations=question.mitigations,
        titles={one.id: one.title for one in default_catalogue().mitigations},
        rows=[*table, *extra],
        sets=sets,
        assignments=question.assignments,
        code=code_hash(),
        commit=commit(),
    )


def _question(options: dict[str, Any]) -> Question:
    """What is asked, checked in full: every cell's plan is made once, so that no mistake waits in the last of them."""
    given = [name.strip() for name in options["mitigations"].split(",") if name.strip()]
    question = Question(
        scenario=options["scenario"],
        mitigations=expand(given or [EVERYTHING]),
        seeds=range(1, options["seeds"] + 1),
        assignments=tuple(options["assignments"]),
        sets_max_size=options["sets_max_size"],
    )
    for cell in cells(question.mitigations):
        question.job(cell.mitigations, 1).plan()
    return question


def _executor(options: dict[str, Any]) -> AbstractContextManager[Any]:
    if options["scheduler"]:
        return cluster(options["scheduler"])
    return processes(options["jobs"] or os.cpu_count() or 1)


def _progress(console: Console) -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, TimeRemainingColumn(), console=console)


def _folder(out: Path | None) -> Path:
    """Where the files go; a folder that has some is used again, for a matrix may be resumed."""
    if out is None:
        return new_folder("matrix")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(f"{out}: cannot write a matrix there: {error.strerror}") from error
    return out
