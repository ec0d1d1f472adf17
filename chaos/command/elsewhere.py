"""The commands `export` and `watch`, which take a run elsewhere. They import what they need when they are called."""

import sys
from pathlib import Path

import click

from chaos.progress.terminal import terminal


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="RUN")
@click.option("--format", "form", type=click.Choice(["openmetrics", "parquet", "csv", "otlp"]), required=True)
@click.option(
    "--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="new or empty folder for the files"
)
def export(folder: Path, form: str, out: Path) -> None:
    """Write the record in RUN in an open format; docs/export.md describes every file and column."""
    from chaos.command.export import export_command

    sys.exit(export_command(folder, form, out, terminal()))


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="RUN")
@click.option("--project", default="aftershock", show_default=True, help="the compose project")
def watch(folder: Path, project: str) -> None:
    """Load the record in RUN into the running Docker testbed's Prometheus, as if it had ended now.

    Prints the address of each dashboard with the run in it.
    """
    from chaos.watch.command import watch_command

    sys.exit(watch_command(folder, project, terminal()))
