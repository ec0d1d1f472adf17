"""Options of `aftershock size`. Imports nothing expensive, because every command imports this module."""

import sys
from pathlib import Path
from typing import Any

import click

from chaos.options import JOBS, STUDIED, FiniteRange


@click.command("size")
@click.argument("scenario", default=STUDIED)
@click.option(
    "--sizes",
    default="0.5:10,1:10,2:10,4:10",
    show_default=True,
    metavar="S:SEEDS,…",
    help="the facts; none: not run",
)
@click.option("--defence-sizes", "defence", metavar="S:SEEDS,…", help="single defences; default as --sizes")
@click.option("--mitigation-sizes", "mitigation", metavar="S:SEEDS,…", help="single mitigations; default as --sizes")
@click.option("--calm-sizes", "calm", metavar="S:SEEDS,…", help="a calm region; default as --sizes")
@click.option(
    "--calm-minutes",
    type=FiniteRange(1, 10_000),
    default=30.0,
    show_default=True,
    help="bench minutes for which it is watched in each run",
)
@click.option("--calm-loads", "loads", default="1", show_default=True, metavar="1,1.5", help="factors on its load")
@click.option("--jobs", type=JOBS, help="processes; default one a core")
@click.option("--cached", is_flag=True, help="run nothing: answers from what earlier commands left")
@click.option("--page", type=click.Path(path_type=Path, dir_okay=False), help="write the page here")
def study_sizes(**options: Any) -> None:
    """Which answers hold at every size: facts, delays, tipping by itself, defences and mitigations, with intervals.

    Results are cached in runs/size-cache and runs/matrix-cache; the same command resumes from there.
    """
    from chaos.progress.terminal import terminal
    from chaos.studies.size.command import size_command

    sys.exit(size_command(options, terminal()))
