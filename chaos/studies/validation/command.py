"""`aftershock validate`: runs rows, prints the table, writes the page; exit code 1 when a row is out of its band."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from chaos.experiment.runs import output_file, replace
from chaos.progress.terminal import table
from chaos.report.templates import fill
from chaos.studies.page import TEMPLATES
from chaos.studies.pool import processes
from chaos.studies.validation import (
    balancing,
    cascade,
    collapse,
    contention,
    orbit,
    queueing,
    retries,
    shedding,
    tipping,
    trigger,
)
from chaos.studies.validation.rows import JudgedFigure, JudgedRow, Row
from services.chassis.exit_codes import CONTRADICTED, EXPECTED
from services.chassis.settings import Tree

FAMILIES = (queueing, retries, contention, balancing, shedding, collapse, cascade, tipping, trigger, orbit)
ROWS: dict[str, Row] = dict(sorted((row.id, row) for of in FAMILIES for row in of.ROWS))
TEMPLATE = "validation.md.j2"


def validate_command(
    ids: Sequence[str], seeds: int | None, jobs: int | None, overrides: Tree, page: Path | None, console: Console
) -> int:
    """Judges the rows named by `ids`, or all.

    Raises:
        click.UsageError: an id is unknown.
        RunFolderError: the page cannot be written; raised before the first run.
    """
    with output_file(page):
        return _validate(_chosen(ids), seeds, jobs, overrides, page, console)


def _validate(
    rows: Sequence[Row], seeds: int | None, jobs: int | None, overrides: Tree, page: Path | None, console: Console
) -> int:
    with processes(jobs) as executor:  # one for each row: it takes longer to start a process than to run a world
        running = [executor.submit(judge_apart, row.id, seeds, overrides) for row in rows]
        judged = [JudgedRow(row, *one.result()) for row, one in zip(rows, running, strict=True)]
    console.print(_table(judged))
    broken = [one.row.id for one in judged if not one.expected]
    differing = [one.row.id for one in judged if any(figure.verdict == "differs" for figure in one.figures)]
    console.print(
        f"{len(judged) - len(broken)} of {len(judged)} rows as published"
        + (f", of which with an explained difference: {', '.join(differing)}" if differing else "")
        + (f"; out of band: {', '.join(broken)}" if broken else "")
    )
    if page is not None:
        replace(page, render(judged))
        console.print(str(page))
    return CONTRADICTED if broken else EXPECTED


def _chosen(ids: Sequence[str]) -> list[Row]:
    unknown = [id_ for id_ in ids if id_ not in ROWS]
    if unknown:
        raise click.UsageError(f"unknown row {unknown[0]!r}; known: {', '.join(ROWS)}")
    return [ROWS[id_] for id_ in dict.fromkeys(ids)] if ids else list(ROWS.values())


def judge_apart(id_: str, seeds: int | None, overrides: Tree) -> tuple[int, tuple[JudgedFigure, ...]]:
    """`judge` in a process of its own; the row itself stays where it is."""
    judged = judge(id_, seeds, overrides)
    return judged.seeds, judged.figures


def judge(id_: str, seeds: int | None, overrides: Tree) -> JudgedRow:
    """Runs a row over its seeds, 1 to `seeds`."""
    row = ROWS[id_]
    return row.judged([row.measure(seed, overrides) for seed in range(1, (seeds or row.seeds) + 1)])


def _table(judged: Sequence[JudgedRow]) -> Any:
    found = table("row", "figure", "source", "published", "ours (t, 99.9 %)", "pass band", "verdict")
    for one in judged:
        for number, figure in enumerate(one.figures):
            published = figure.published
            first = number == 0
            found.add_row(
                one.row.id if first else "",
                published.name,
                one.row.source if first else "",
                published.text,
                figure.measured,
                figure.band,
                figure.said,
                end_section=figure is one.figures[-1],
            )
    return found


def render(judged: Sequence[JudgedRow]) -> str:
    """`docs/validation.md`."""
    return fill(TEMPLATES / TEMPLATE, {"judged": judged})
