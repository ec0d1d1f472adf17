"""`aftershock matrix`: runs the matrix, or the single defences, and writes the files."""

import shlex
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from rich.console import Console

from chaos.experiment.runs import commit, output_file, replace, used_folder
from chaos.mitigations import default_catalogue, expand, named
from chaos.options import comma_separated
from chaos.scenarios.loader import beside, load
from chaos.studies.cache import code_hash
from chaos.studies.engine import cluster, study_engine
from chaos.studies.matrix import words
from chaos.studies.matrix.defences import JSON_FILE, Defence, as_json, defences, defences_table
from chaos.studies.matrix.files import PAGE_FILE, write
from chaos.studies.matrix.job import CODEC, perform, perform_apart
from chaos.studies.matrix.markdown import Origin, defences_page, matrix_page
from chaos.studies.matrix.outcomes import COLLAPSE, RunOutcome
from chaos.studies.matrix.search import Question, Runs, rows, sufficient_sets
from chaos.studies.matrix.summary import Matrix
from chaos.studies.needs import require_wave, sides, wave_name
from chaos.studies.pool import processes
from services.chassis.exit_codes import BAD_INPUT, EXPECTED
from services.parts.declared import declare_folder

EVERYTHING = "all"


def matrix_command(options: dict[str, Any], console: Console) -> int:
    """Computes missing results and writes the files; returns exit code 2 if a run could not be measured.

    Raises:
        ScenarioError, SettingsError: invalid input, before the first run.
    """
    with output_file(options["page"]):
        return (_ask_defences if options["defences"] else _ask_matrix)(options, console)


def _ask_matrix(options: dict[str, Any], console: Console) -> int:
    question = _question(options)
    _claim_early(options)
    with _runs(options, console) as engine:
        matrix = make_matrix(question, engine)
    folder = used_folder(options["out"], "matrix")
    write(folder, matrix)
    runs = sum(len(row.runs) for row in matrix.rows)
    _write_page(options["page"], lambda origin: matrix_page(matrix, origin), options, runs, console)
    for sentence in (*words.headline(matrix), *(words.sets(one) for one in matrix.sets), *words.expectations(matrix)):
        console.print(sentence, highlight=False)
    console.print(f"{engine.computed} runs computed · {folder / PAGE_FILE}", highlight=False)
    return _problems(
        console, [(row.cell.name, seed, text) for row in matrix.rows for seed, text in row.problems.items()]
    )


def make_matrix(question: Question, engine: Runs) -> Matrix:
    """Computes the matrix, including the search for sufficient sets."""
    found = rows(question, engine)
    sets, extra = sufficient_sets(question, found, engine)
    scenario = load(question.scenario, size=question.size)
    asked = [named(name) for name in question.mitigations]
    known = [*(one for one in default_catalogue().mitigations if scenario.claims is not None), *asked]
    return Matrix(
        scenario=scenario.name,
        title=scenario.title,
        size=scenario.size,
        seeds=question.seeds,
        mitigations=question.mitigations,
        titles={one.id: one.title for one in known},
        changes={one.id: one.changes for one in known},
        expectations={one.id: one.says for one in scenario.expect},
        sides=dict(zip(COLLAPSE, sides(scenario), strict=True)),
        wave=wave_name(scenario),
        rows=[*found, *extra],
        sets=sets,
        assignments=question.assignments,
        code=code_hash(),
        commit=commit(),
    )


def _ask_defences(options: dict[str, Any], console: Console) -> int:
    scenario, seeds = options["scenario"], range(1, options["seeds"] + 1)
    require_wave("SCENARIO", load(scenario))
    jobs = {
        one: [one.job(scenario, seed, options["assignments"], options["size"]) for seed in seeds] for one in defences()
    }
    for of in jobs.values():
        of[0].plan()
    _claim_early(options)
    with _runs(options, console) as engine:
        known = engine.outcomes((job for of in jobs.values() for job in of), "defences")
    found: dict[Defence, list[RunOutcome]] = {one: [known[job] for job in of] for one, of in jobs.items()}
    folder = used_folder(options["out"], "matrix")
    replace(folder / JSON_FILE, as_json(scenario, found))
    size = load(scenario, size=options["size"]).size
    _write_page(
        options["page"], lambda origin: defences_page(scenario, size, found, origin), options, len(known), console
    )
    console.print(defences_table(found))
    console.print(f"{engine.computed} runs computed · {folder / JSON_FILE}", highlight=False)
    problems = [(one.id, job.seed, known[job].problem) for one, of in jobs.items() for job in of]
    return _problems(console, [problem for problem in problems if problem[2]])


def _write_page(
    page: Path | None, text: Callable[[Origin], str], options: dict[str, Any], runs: int, console: Console
) -> None:
    if page is None:
        return
    replace(page, text(Origin(matrix_command_line(options), commit(), runs)))
    console.print(f"page  {page}", highlight=False)


def matrix_command_line(options: dict[str, Any]) -> str:
    """The command that gives the page."""
    typed = ["aftershock", "matrix", options["scenario"]]
    typed += ["--defences"] if options["defences"] else ["--sets-max-size", str(options["sets_max_size"])]
    typed += ["--mitigations", options["mitigations"]] if options["mitigations"] else []
    typed += ["--seeds", str(options["seeds"])]
    typed += ["--size", f"{options['size']:g}"] if options["size"] else []
    typed += [word for one in options["assignments"] for word in ("--set", one)]
    return shlex.join([*typed, "--page", str(options["page"])])


def _claim_early(options: dict[str, Any]) -> None:
    """Checks that the output folder can be written, before hours of computation."""
    if options["out"]:
        used_folder(options["out"], "matrix")


def _problems(console: Console, problems: Sequence[tuple[str, int, str]]) -> int:
    for name, seed, text in problems:
        console.print(f"{name}, seed {seed}: not measured: {text}", highlight=False)
    return BAD_INPUT if problems else EXPECTED


def _question(options: dict[str, Any]) -> Question:
    """The question to compute. The plan of every cell is made once, to find invalid input before the first run."""
    beside(options["scenario"])
    declare_folder(Path.cwd())  # of a shipped scenario
    question = Question(
        scenario=options["scenario"],
        mitigations=expand(comma_separated(options["mitigations"]) or [EVERYTHING]),
        seeds=range(1, options["seeds"] + 1),
        assignments=tuple(options["assignments"]),
        sets_max_size=options["sets_max_size"],
        size=options["size"],
    )
    require_wave("SCENARIO", load(question.scenario))
    for cell in question.cells():
        question.job(cell.mitigations, 1).plan()
    return question


def _runs(options: dict[str, Any], console: Console) -> AbstractContextManager[Runs]:
    if options["scheduler"]:
        return study_engine(CODEC, perform_apart, cluster(options["scheduler"]), console)
    return study_engine(CODEC, perform, processes(options["jobs"]), console)
