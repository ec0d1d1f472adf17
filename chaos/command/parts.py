"""The commands for parts and retry configurations of the user's own."""

import sys
from pathlib import Path
from typing import Any

import click

from chaos.options import JOBS, SEEDS
from chaos.progress.terminal import terminal


@click.command("try-retries")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="CONFIG")
@click.option("--as", "library", help="whose configuration it is; default by its fields")
@click.option("--seeds", type=SEEDS, default=5, show_default=True)
@click.option("--jobs", type=JOBS, help="processes; default one a core")
@click.option("--keep-workflow", is_flag=True, help="keep the incident's three workflow tries around your retries")
@click.option("--json", "as_json", is_flag=True, help="print the result as JSON and nothing else")
def try_retries(**options: Any) -> None:
    """Does your retry configuration collapse? Does it recover, and what does it cost?

    CONFIG is an Envoy retry policy, a gRPC service config, an AWS SDK configuration, Resilience4j or Polly properties
    (YAML, JSON or INI), or a Python file with a tenacity decorator. Fields that are not understood are refused.
    Exit code 1 if it stays down in some seed.
    """
    from chaos.studies.trial.command import try_retries_command

    sys.exit(try_retries_command(options, terminal(stderr=options["as_json"])))


@click.command("check-part")
@click.argument("name", metavar="MODULE:CLASS")
@click.option("--kind", help="its kind; default the one whose methods it has")
@click.option("--option", "given", multiple=True, metavar="NAME=VALUE", help="an argument of its constructor")
def check_part(name: str, kind: str | None, given: tuple[str, ...]) -> None:
    """Contract test of a part of your own: pure, deterministic, bounded, never blocking.

    Exit code 1 if it breaks a rule. Protocols and templates: docs/extending.
    """
    from chaos.check_part.command import check_part_command
    from chaos.experiment.plan import overrides_from

    options = overrides_from(f"part.{text}" for text in given).get("part", {})
    sys.exit(check_part_command(name, kind, options, terminal()))
