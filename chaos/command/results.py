"""`aftershock results`: makes every generated page."""

import os
import sys
from pathlib import Path

import click

from chaos.options import JOBS
from chaos.progress.terminal import terminal


@click.command()
@click.option("--plan", type=click.Path(path_type=Path, dir_okay=False), help="another plan; default all pages")
@click.option("--jobs", type=JOBS, help="processes; default one a core")
def results(plan: Path | None, jobs: int | None) -> None:
    """Make every generated page, by the commands of docs/results.yaml in their order.

    A step that is done for this code is skipped, and cached runs are not repeated: the same command resumes. The exit
    code is that of the first step that failed.
    """
    from chaos.studies.results.command import results_command
    from chaos.studies.results.plan import PLAN_FILE, load_plan
    from services.chassis.clock import system_clock

    sys.exit(results_command(load_plan(plan or PLAN_FILE), jobs or os.cpu_count() or 1, terminal(), system_clock()))
