"""Options of `aftershock map`. Imports nothing expensive, because every command imports this module."""

import sys
from pathlib import Path
from typing import Any

import click

from chaos.options import JOBS, FiniteRange, size_option


@click.command("map")
@click.option("--x", "x", metavar="SETTING=A,B,…", help="across: load, retries, stall, nodes, with, or any setting")
@click.option("--y", "y", metavar="SETTING=A,B,…", help="down")
@click.option("--at", "at", multiple=True, metavar="SETTING=A", help="one point instead of a map; give two")
@click.option("--stalls", metavar="0.5,1,…", help="seconds to stall, from short to long")
@click.option(
    "--watch",
    "watch_s",
    type=FiniteRange(20, 180),
    default=60.0,
    show_default=True,
    help="seconds after a stall in which the region must come back",
)
@click.option("--seeds", type=click.IntRange(1, 100), default=1, show_default=True)
@size_option
@click.option("--jobs", type=JOBS, help="processes; default one a core")
@click.option("--with", "mitigations", default="", metavar="R1,X5", help="mitigations that are on everywhere")
@click.option("--set", "assignments", multiple=True, metavar="SECTION.FIELD=VALUE", help="holds everywhere")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="folder of the files; default runs/…")
def map_points(**options: Any) -> None:
    """Measure where a stall causes a collapse of one region, and whether the region recovers.

    At each point all identity nodes of the region are stalled for 0.5 s, 1 s … 12 s at constant load, until the region
    does not recover from a stall. Default: --x load --y retries. Results are cached in runs/map-cache; the same command
    resumes from there.
    """
    from chaos.progress.terminal import terminal
    from chaos.studies.map.command import run_map

    sys.exit(run_map(options, terminal()))
