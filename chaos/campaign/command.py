"""`aftershock campaign`: seeds, perturbations and controls on all cores, then one table."""

import os
from collections import defaultdict
from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from chaos.campaign.jobs import Job, Result, perform_all
from chaos.claims.controls import CONTROLS

PERTURBATION = 0.2
PERTURBED_MAY_FAIL = 0.05


def campaign_jobs(scenario: str, seeds: int, perturbed: int) -> list[Job]:
    """The whole campaign, longest jobs first so that no core idles at the end."""
    controls = [Job(scenario, 1, control=name) for name in CONTROLS]
    shaken = [Job(scenario, seed, perturb=PERTURBATION) for seed in range(1, perturbed + 1)]
    return [*controls, *(Job(scenario, seed) for seed in range(1, seeds + 1)), *shaken]


def campaign_command(scenario: str, seeds: int, perturbed: int, jobs: int | None, console: Console) -> int:
    """Runs the campaign; 0 when every group holds as often as it must, else 1."""
    results = _run(campaign_jobs(scenario, seeds, perturbed), jobs or os.cpu_count() or 1, console)
    table, good = summarise(results)
    console.print(table)
    return 0 if good else 1


def _run(jobs: Sequence[Job], processes: int, console: Console) -> list[Result]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    results = []
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("campaign", total=len(jobs))
        for result in perform_all(jobs, processes):
            results.append(result)
            progress.advance(bar)
            if not result.holds:
                progress.console.print(f"{result.job.group}, seed {result.job.seed}: {result.note}", highlight=False)
    return results


def summarise(results: Sequence[Result]) -> tuple[Table, bool]:
    """One row a group, and whether each group holds as often as it must."""
    groups: dict[str, list[Result]] = defaultdict(list)
    for result in sorted(results, key=lambda result: (bool(result.job.control), result.job.perturb, result.job.seed)):
        groups[result.job.group].append(result)
    table = Table("runs", "holds", "needed", "failed", "peak ×", "peak att/s", "recovered τ", title="campaign")
    good = True
    for name, rows in groups.items():
        holds, needed = sum(row.holds for row in rows), _needed(rows)
        good &= holds >= needed
        mark = "green" if holds >= needed else "red"
        table.add_row(
            name,
            f"[{mark}]{holds} of {len(rows)}[/]",
            str(needed),
            ", ".join(f"seed {row.job.seed}: {' '.join(row.failed)}" for row in rows if not row.holds),
            *(_span(rows, figure) for figure in ("peak_amplification", "peak_attempts_per_s", "recovered_t")),
        )
    return table, good


def _needed(rows: Sequence[Result]) -> int:
    """All, except that one perturbed run in twenty may fail."""
    return len(rows) - (int(PERTURBED_MAY_FAIL * len(rows)) if rows[0].job.perturb else 0)


def _span(rows: Sequence[Result], figure: str) -> str:
    values = [value for row in rows if isinstance(value := row.figures.get(figure), int | float)]
    return f"{min(values):.0f}–{max(values):.0f}" if values else "–"
