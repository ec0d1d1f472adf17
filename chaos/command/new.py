"""`aftershock new`: writes a commented scenario that runs and is judged."""

import re
import sys
from importlib.resources import files
from pathlib import Path

import click
from rich.console import Console

from chaos.progress.terminal import terminal
from services.chassis.exit_codes import EXPECTED

TEMPLATE = "template.yaml"
PLACE = "NAME"
NAME = re.compile(r"(?!(?:null|true|false|[0-9]+(?:e[0-9]+)?)$)[a-z0-9][a-z0-9-]{0,39}")
"""No text that YAML reads as something else."""


@click.command("new")
@click.argument("name")
@click.option(
    "--out",
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=Path(),
    help="folder of the file; default the current one",
)
def new_scenario(name: str, folder: Path) -> None:
    """Write NAME.yaml: a scenario of your own, commented, that runs and is judged."""
    sys.exit(new_command(name, folder, terminal()))


def scenario_text(name: str) -> str:
    template = (files("chaos.scenarios.worlds") / TEMPLATE).read_text(encoding="utf-8")
    return re.sub(rf"\b{PLACE}\b", name, template)


def new_command(name: str, folder: Path, console: Console) -> int:
    """Writes the file and says how to run it; a file that exists is not overwritten.

    Raises:
        UsageError: the name cannot be that of a scenario, or the file exists.
        OSError: the file cannot be written; named in the error.
    """
    from chaos.experiment.runs import replace

    if not NAME.fullmatch(name):
        raise click.UsageError(
            f"NAME: should be up to 40 small letters, digits and hyphens, and no number (got {name!r})"
        )
    path = folder / f"{name}.yaml"
    if path.exists():
        raise click.UsageError(f"{path}: exists already")
    replace(path, scenario_text(name))
    console.print(f"scenario  {path}", highlight=False)
    console.print(f"run it    aftershock run {path}", highlight=False, soft_wrap=True)
    return EXPECTED
