"""`aftershock campaign`: seeds, perturbations and controls in parallel, then a table and `campaign.json`.

With mitigations it tests whether these prevent the second wave (`defended.py`). Results are cached; the same command
resumes an interrupted campaign.
"""

import shlex
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from chaos.experiment.runs import RUNS, commit, output_file, replace
from chaos.mitigations import expand
from chaos.progress.terminal import table
from chaos.scenarios.loader import load
from chaos.studies.campaign import draws
from chaos.studies.campaign.collect import collect, read, write
from chaos.studies.campaign.conformance import render, unexplained
from chaos.studies.campaign.expected import expectations_table
from chaos.studies.campaign.jobs import CODEC, CampaignResult, CampaignRun, perform
from chaos.studies.engine import study_engine
from chaos.studies.needs import require_expectations, with_controls
from chaos.studies.pool import processes
from chaos.studies.words import span
from services.chassis.exit_codes import CONTRADICTED, EXPECTED

PERTURBATION = 0.2
PERTURBED_MAY_FAIL = 0.05
DEFENDED_MAY_FAIL = 0.025
FIGURES = {"peak_amplification": "peak ×", "peak_attempts_per_s": "att/s", "recovered_t": "well at τ"}
DEFENDED_FIGURES = {
    "worst_op_success": "worst 10 s",
    "peak_amplification": "peak ×",
    "peak_attempts_per_s": "att/s",
    "peak_nodes": "nodes",
}
CAMPAIGN_FILE = RUNS / "campaign.json"
CONTROL_SEEDS = 5
"""Number of seeds also run as each control."""


def campaign_jobs(
    scenario: str,
    seeds: int,
    perturbed: int,
    mitigations: Sequence[str] = (),
    size: float | None = None,
    drops: Sequence[str] = (),
    changes: Sequence[str] = (),
) -> list[CampaignRun]:
    """All jobs, longest first for good utilisation. Controls run only for the scenario as it is."""
    run = partial(
        CampaignRun, scenario, size=size, mitigations=expand(mitigations), drops=tuple(drops), changes=tuple(changes)
    )
    claims = with_controls(load(scenario))
    controls = (
        []
        if mitigations or drops or changes or claims is None
        else [run(seed, control=name) for name in claims.controls for seed in range(1, min(seeds, CONTROL_SEEDS) + 1)]
    )
    plain = [run(seed) for seed in range(1, seeds + 1)]
    shaken = [run(seed, perturb=PERTURBATION) for seed in range(1, perturbed + 1)]
    return [*controls, *plain, *shaken]


def campaign_command(
    scenario: str,
    console: Console,
    *,
    seeds: int,
    perturbed: int,
    jobs: int | None,
    mitigations: Sequence[str] = (),
    out: Path = CAMPAIGN_FILE,
    size: float | None = None,
    drops: Sequence[str] = (),
    changes: Sequence[str] = (),
    page: Path | None = None,
) -> int:
    """Runs the campaign; returns exit code 0 if every group holds as often as required, else 1.

    `page`: where the page of the perturbed runs is written.

    Raises:
        ScenarioError, SettingsError: invalid input, before the first run.
        click.UsageError: a page without perturbed runs, or of other ones than the scenario's own.
    """
    wanted = campaign_jobs(scenario, seeds, perturbed, mitigations, size, drops, changes)
    as_it_is = not (mitigations or drops or changes)
    if page is not None and not (perturbed and as_it_is):
        rule = "takes --perturbed, and no --with, --drop or --change"
        raise click.UsageError(f"--page: shows perturbed runs of the scenario as it is: {rule}")
    told = load(scenario, size=size)
    require_expectations("--scenario", told)
    wanted[0].plan()
    with output_file(out if as_it_is else None), output_file(page):
        results = _run(wanted, jobs, console)
        summary, good = summarise(results)
        console.print(summary)
        if not mitigations:
            console.print(expectations_table(told.expect, results))
        if as_it_is:
            write(collect(told, commit(), results), out)
            console.print(f"claims  {out}  (a page from it: aftershock conformance {out})", highlight=False)
        if page is not None:
            replace(page, draws.render(told, results, _typed(scenario, seeds, perturbed, size, page), commit()))
            console.print(f"page    {page}", highlight=False)
    return EXPECTED if good else CONTRADICTED


def _typed(scenario: str, seeds: int, perturbed: int, size: float | None, page: Path) -> str:
    words = ["aftershock", "campaign", "--scenario", scenario, *(["--size", f"{size:g}"] if size else [])]
    return shlex.join([*words, "--seeds", str(seeds), "--perturbed", str(perturbed), "--page", str(page)])


def conformance_command(campaign: Path, out: Path, console: Console) -> int:
    """Writes the page; returns exit code 1 if a row that does not hold has no explanation.

    Raises:
        RecordError: the file is not a campaign.
        OSError: the page (named in the error) cannot be written.
    """
    document = read(campaign)
    replace(out, render(document))
    missing = unexplained(document)
    console.print(f"page  {out}", highlight=False)
    if missing:
        console.print(f"without an explanation: {', '.join(missing)}", highlight=False)
    return CONTRADICTED if missing else EXPECTED


def _run(jobs: Sequence[CampaignRun], count: int | None, console: Console) -> list[CampaignResult]:
    def done(job: CampaignRun, result: CampaignResult) -> None:
        if not result.holds:
            console.print(f"{job.group}, seed {job.seed}: {result.note}", highlight=False)

    with study_engine(CODEC, perform, processes(count), console) as engine:
        return list(engine.outcomes(jobs, "campaign", done).values())


def summarise(results: Sequence[CampaignResult]) -> tuple[Table, bool]:
    """The table with one row per group, and whether every group holds as often as required."""
    groups: dict[str, list[CampaignResult]] = defaultdict(list)
    for result in sorted(results, key=lambda result: (bool(result.job.control), result.job.perturb, result.job.seed)):
        groups[result.job.group].append(result)
    figures = DEFENDED_FIGURES if any(result.job.mitigations for result in results) else FIGURES
    summary = table(
        Column("runs", overflow="fold", min_width=18),
        Column("holds", no_wrap=True),
        Column("needed", no_wrap=True),
        Column("failed", overflow="fold"),
        *(Column(title, overflow="fold") for title in figures.values()),
        title="campaign",
    )
    good = True
    for name, rows in groups.items():
        holds, needed = sum(row.holds for row in rows), _needed(rows)
        good &= holds >= needed
        mark = "green" if holds >= needed else "red"
        summary.add_row(
            name,
            Text(f"{holds} of {len(rows)}", mark),
            str(needed),
            ", ".join(f"seed {row.job.seed}: {' '.join(row.failed)}" for row in rows if not row.holds),
            *(_span(rows, figure) for figure in figures),
        )
    return summary, good


def _needed(rows: Sequence[CampaignResult]) -> int:
    """Required number of runs that hold: all; of perturbed runs 95 %, or 97.5 % with mitigations."""
    job = rows[0].job
    may_fail = DEFENDED_MAY_FAIL if job.mitigations else PERTURBED_MAY_FAIL
    return len(rows) - (int(may_fail * len(rows)) if job.perturb else 0)


def _span(rows: Sequence[CampaignResult], figure: str) -> str:
    values = [value for row in rows if isinstance(value := row.figures.get(figure), int | float)]
    return span(values, ".3f" if max(values, default=0) < 2 else ".0f")
