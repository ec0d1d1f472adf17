"""The `aftershock` command. Command and option names are a contract with users and CI.

Exit codes come from `exit_codes.py`: 0 as expected, 1 contradicted, 2 bad input or not judged, 3 a defect of
Aftershock, 129, 130 and 143 for signals.

A command imports what it needs when it is called: `aftershock --help` waits for none of it.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from chaos.command.elsewhere import export, watch
from chaos.command.group import Commands
from chaos.command.new import new_scenario
from chaos.command.parts import check_part, try_retries
from chaos.command.repeat import repeat_command
from chaos.command.results import results
from chaos.options import (
    JOBS,
    RUNS_MAX,
    SEED,
    SEEDS,
    STUDIED,
    FiniteRange,
    change_option,
    comma_separated,
    drop_option,
    size_option,
)
from chaos.progress.terminal import terminal
from chaos.studies.map.options import map_points
from chaos.studies.size.options import study_sizes
from services.chassis.interrupts import run as run_until_signal

if TYPE_CHECKING:
    from chaos.experiment.plan import Plan
    from chaos.scenarios.model import Scenario


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="aftershock")
def main() -> None:
    """Replays a cloud incident with real small services and answers what-if questions about it."""


@main.command()
@click.argument("scenario")
@click.option("--runtime", type=click.Choice(["virtual", "local", "compose"]), default="virtual", show_default=True)
@click.option(
    "--transport",
    type=click.Choice(["http", "direct"]),
    default="http",
    show_default=True,
    help="virtual runtime: HTTP bytes in memory, or requests passed as objects (faster, same events)",
)
@click.option("--seed", type=SEED, default=1, show_default=True)
@size_option
@click.option("--with", "mitigations", default="", metavar="R1,X5", help="mitigations enabled from the start")
@click.option("--set", "assignments", multiple=True, metavar="SECTION.FIELD=VALUE", help="override a setting")
@click.option("--policy", "policies", multiple=True, metavar="SLOT=MODULE:CLASS", help="a part of your own")
@click.option(
    "--perturb", type=FiniteRange(0, 0.9), default=0.0, help="perturb 17 parameters jointly by up to ± this fraction"
)
@click.option("--shift", "shifts", multiple=True, metavar="T07=-60m", help="move an entry of the timeline")
@drop_option
@change_option
@click.option("--traces", is_flag=True, help="keep traces of operations in traces.jsonl (virtual runtime)")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="folder of the record; default runs/…")
@click.option("--watch", is_flag=True, help="full-screen view of the run, for a second monitor")
@click.option("--json", "as_json", is_flag=True, help="print the verdict as JSON and nothing else")
@click.pass_context
def run(context: click.Context, /, **options: Any) -> None:
    """Run SCENARIO (a name or a YAML file), record it, judge the record."""
    if options["runtime"] != "virtual":
        _refuse_given(context, f"with --runtime {options['runtime']}", ("transport",))
    from chaos.command.run import run_command

    plan = _plan(options)
    sys.exit(run_command(plan, options, terminal(stderr=options["as_json"])))


def _plan(options: dict[str, Any]) -> Plan:
    from chaos.experiment.plan import make_plan, parse_assignment
    from chaos.experiment.slots import assignments_of
    from chaos.scenarios.loader import load
    from chaos.scenarios.whatif import rearrange
    from chaos.studies.campaign.perturb import perturbation
    from services.parts.declared import declare_folder

    mitigations = comma_separated(options["mitigations"])
    scenario = load(options["scenario"], size=options["size"])
    scenario = rearrange(scenario, options["shifts"], options["drops"], options["changes"])
    declare_folder(Path.cwd())  # of a shipped scenario
    scenario = _for_runtime(scenario, options["runtime"])
    overlays: list[Any] = []
    if options["perturb"]:
        overlays.append(perturbation(scenario, options["perturb"], options["seed"]))
    if options["traces"]:
        overlays.append({"tracing": {"enabled": True}})
    overlays += [parse_assignment(text) for text in (*options["assignments"], *assignments_of(options["policies"]))]
    return make_plan(
        scenario,
        options["seed"],
        overlays=overlays,
        mitigations=mitigations,
        command=repeat_command(options),
    )


def _for_runtime(scenario: Scenario, runtime: str) -> Scenario:
    """Restrict the scenario to the four regions of the compose testbed; other runtimes have all its regions."""
    if runtime != "compose":
        return scenario
    from chaos.scenarios.restrict import restrict
    from compose.render import REGIONS

    return restrict(scenario, REGIONS)


@main.command()
@click.option("--json", "as_json", is_flag=True)
def scenarios(as_json: bool) -> None:
    """List the scenarios that come with Aftershock."""
    from chaos.scenarios.loader import load, names

    known = [load(name) for name in names()]
    if as_json:
        click.echo(json.dumps([_summary(scenario) for scenario in known], indent=1))
        return
    for scenario in known:
        summary = _summary(scenario)
        click.echo(f"{summary['name']:24} {summary['duration_s']:5.0f} bench s  {summary['title']}")


def _summary(scenario: Scenario) -> dict[str, Any]:
    return {
        "name": scenario.name,
        "title": scenario.title,
        "duration_s": scenario.duration_s + scenario.warmup_s,
        "regions": [region.name for region in scenario.regions],
        "source": scenario.source,
    }


@main.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="RUN")
def report(folder: Path) -> None:
    """Judge the record in RUN again and write its verdict.json and report.html."""
    from chaos.command.run import report_command

    sys.exit(report_command(folder, terminal()))


@main.command()
@click.argument("left", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="RUN")
@click.argument("right", type=click.Path(path_type=Path, exists=True, file_okay=False), metavar="RUN")
def diff(left: Path, right: Path) -> None:
    """Compare two runs: figures side by side, claims whose verdict changed."""
    from chaos.command.run import diff_command

    sys.exit(diff_command(left, right, terminal()))


@main.command()
@click.option("--jobs", type=JOBS, help="processes; default one a core")
@click.option("--seeds", type=SEEDS, default=10, show_default=True)
@click.option("--perturbed", type=click.IntRange(0, RUNS_MAX), default=20, show_default=True, help="runs with ±20 %")
@click.option("--scenario", "name", default=STUDIED, show_default=True)
@size_option
@click.option(
    "--with",
    "mitigations",
    default="",
    metavar="defended",
    help="instead, test whether these mitigations prevent the second wave in every run",
)
@drop_option
@change_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("runs/campaign.json"),
    show_default=True,
    help="file for the results of every claim over the seeds",
)
@click.option(
    "--page", type=click.Path(path_type=Path, dir_okay=False), help="write the page of the perturbed runs here"
)
def campaign(name: str, mitigations: str, out: Path, **options: Any) -> None:
    """Judge expectations and claims over many seeds, perturbed parameters and all negative controls; print two tables.

    With `--drop` and `--change` it is another timeline that is judged: a counterfactual, without controls and --out.

    Results are cached in runs/campaign-cache; the same command resumes from there.
    """
    from chaos.studies.campaign.command import campaign_command

    sys.exit(campaign_command(name, terminal(), mitigations=comma_separated(mitigations), out=out, **options))


@main.command()
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="CAMPAIGN")
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), default=Path("docs/conformance.md"), show_default=True
)
def conformance(file: Path, out: Path) -> None:
    """Write the conformance page of all claims from CAMPAIGN, the output file of `campaign`."""
    from chaos.studies.campaign.command import conformance_command

    sys.exit(conformance_command(file, out, terminal()))


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", type=click.IntRange(0, 65535), default=8090, show_default=True)
@click.option(
    "--scenario",
    "name",
    default="azure-fnj8-vqz-short",
    show_default=True,
    help="scenario that defines regions, nodes and load",
)
def serve(host: str, port: int, name: str) -> None:
    """Start a local testbed and the chaos controller on it, until Ctrl-C.

    Reads AFTERSHOCK_OPERATE_TOKEN, AFTERSHOCK_READ_TOKEN and AFTERSHOCK_WEBHOOK_URL, as in Docker.
    """
    from chaos.controller.serve import serve_local
    from chaos.controller.settings import ControllerSettings
    from chaos.scenarios.loader import load
    from services.chassis.environment import from_environment

    settings = from_environment(
        ControllerSettings, {**os.environ, "AFTERSHOCK_HOST": host, "AFTERSHOCK_PORT": str(port)}
    )
    _require_free(host, port, settings.address)  # checked before some thirty processes are started
    run_until_signal(serve_local(settings, load(name)))


def _require_free(host: str, port: int, shown: str) -> None:
    """Check that the controller can listen on every address the host name resolves to.

    Raises:
        RuntimeUnavailable: it cannot.
    """
    from compose.runtime import RuntimeUnavailable

    try:
        for family, kind, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
            with socket.socket(family, kind) as one:
                one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                one.bind(address)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a host name"
        raise RuntimeUnavailable(f"--port {port}: cannot listen on {shown}: {reason}") from error


@main.command()
@click.argument("scenario")
@click.option("--mitigations", default="", metavar="R1,X5", help="mitigations to evaluate; default all")
@click.option("--seeds", type=SEEDS, default=5, show_default=True)
@size_option
@click.option("--jobs", type=JOBS, help="processes; default one a core")
@click.option("--scheduler", metavar="ADDRESS", help="run on a Dask cluster instead (tcp://host:8786)")
@click.option("--set", "assignments", multiple=True, metavar="SECTION.FIELD=VALUE", help="override a setting")
@click.option("--policy", "policies", multiple=True, metavar="SLOT=MODULE:CLASS", help="a part of your own")
@click.option(
    "--sets-max-size",
    type=click.IntRange(1, 13),
    default=2,
    show_default=True,
    help="search sufficient sets up to this size; 1: no extra runs",
)
@click.option(
    "--defences", is_flag=True, help="instead, evaluate single defences without operator actions after the restore"
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="folder of the files; default runs/…")
@click.option("--page", type=click.Path(path_type=Path, dir_okay=False), help="write a page in Markdown here too")
def matrix(**options: Any) -> None:
    """Evaluate mitigations in SCENARIO over many seeds: each one alone, all but each, all, and none.

    Results are cached in runs/matrix-cache; the same command resumes from there.
    """
    from chaos.experiment.slots import assignments_of
    from chaos.studies.matrix.command import matrix_command

    assignments = (*options["assignments"], *assignments_of(options["policies"]))
    sys.exit(matrix_command({**options, "assignments": assignments}, terminal()))


@main.command()
@click.argument("rows", nargs=-1, metavar="[ROW]...")
@click.option("--seeds", type=click.IntRange(2, RUNS_MAX), help="seeds of each row; default its own number")
@click.option("--jobs", type=JOBS, help="processes; default one a core")
@click.option("--set", "assignments", multiple=True, metavar="SECTION.FIELD=VALUE", help="override a setting")
@click.option("--page", type=click.Path(path_type=Path, dir_okay=False), help="write the page of all rows here")
def validate(rows: Any, seeds: int | None, jobs: int | None, assignments: Any, page: Path | None) -> None:
    """Published results against small worlds of our services: what they say, what ours give, and the pass band.

    ROW is V01 … V18; default all. Exit code 1 when a row is out of its band without a stated reason.
    """
    from chaos.experiment.plan import overrides_from
    from chaos.studies.validation.command import validate_command

    if page is not None and (rows or assignments):
        raise click.UsageError("--page: holds all rows as they are, so it takes no ROW and no --set")
    sys.exit(validate_command(rows, seeds, jobs, overrides_from(assignments), page, terminal()))


@main.command()
@click.option("--hours", type=FiniteRange(min=4.0, max=10_000.0), default=24.0, show_default=True, help="bench hours")
@click.option("--seed", type=SEED, default=1, show_default=True)
@click.option("--set", "assignments", multiple=True, metavar="SECTION.FIELD=VALUE", help="override a setting")
@click.option(
    "--docker",
    "minutes",
    type=FiniteRange(min=1.0, max=100_000.0),
    help="watch the Docker testbed for this many minutes",
)
@click.option(
    "--settle",
    type=FiniteRange(min=0.0, max=100_000.0),
    help="--docker: minutes of health at full load before a reading counts [default: what the load takes to fill "
    "bounded state]",
)
@click.option("--project", default="aftershock", show_default=True, help="--docker: the compose project")
@click.pass_context
def soak(context: click.Context, /, **options: Any) -> None:
    """Test for leaks: a day of base load in virtual time, or with --docker the memory of the running testbed.

    Exit code 1 if anything still grows after the second hour.
    """
    from chaos.experiment.plan import overrides_from

    overrides = overrides_from(options["assignments"])
    if options["minutes"] is not None:
        _refuse_given(context, "with --docker", ("hours", "seed", "assignments"))
        from chaos.soak.docker import soak_docker_command

        sys.exit(soak_docker_command(options["minutes"], options["project"], options["settle"], terminal()))
    _refuse_given(context, "without --docker", ("settle", "project"))
    from chaos.soak.memory import with_plain_allocator

    with_plain_allocator(os.environ)
    from chaos.soak.command import soak_command

    sys.exit(soak_command(options["hours"], options["seed"], overrides, terminal()))


def _refuse_given(context: click.Context, when: str, names: tuple[str, ...]) -> None:
    """Refuses options that would be ignored."""
    for option in context.command.params:
        if option.name in names and context.get_parameter_source(option.name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{option.opts[0]}: has no meaning {when}")


@main.command()
@click.option("--kills", type=click.IntRange(1, 10_000), default=100, show_default=True, help="how many SIGKILLs")
@click.option("--seed", type=SEED, default=1, show_default=True)
@click.option("--project", default="aftershock", show_default=True, help="the compose project")
def kills(**options: Any) -> None:
    """Does everything heal? Random SIGKILLs to the running Docker testbed while the short scenario is under way.

    Exit code 1 when an accepted operation had no end, a container was not healthy again, a fault outlived its lease, or
    something was left without an owner.
    """
    from chaos.kills.command import kills_command

    sys.exit(kills_command(options["kills"], options["seed"], options["project"], terminal()))


for command in (results, check_part, try_retries, map_points, study_sizes, export, watch, new_scenario):
    main.add_command(command)
