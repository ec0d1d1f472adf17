"""`aftershock map`: measures a map and writes a table and three files, or measures one point probe by probe."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from chaos.experiment.runs import used_folder
from chaos.mitigations import expand
from chaos.options import comma_separated
from chaos.progress.terminal import table
from chaos.studies.engine import study_engine
from chaos.studies.map import words
from chaos.studies.map.axes import STALL_MAX_S, STALL_MIN_S, Axis, number, parse_at, parse_axis
from chaos.studies.map.files import PAGE_FILE, write, write_document
from chaos.studies.map.points import CODEC, STALLS_S, Map, MapCell, MapFinding, MapKind, MapRun, perform
from chaos.studies.map.probe import Probe
from chaos.studies.pool import processes
from chaos.studies.words import MISSING, figure
from services.chassis.exit_codes import BAD_INPUT, EXPECTED
from services.chassis.interrupts import postponed
from services.chassis.settings import SettingsError
from services.parts.declared import declare_folder

COLOURS: dict[MapKind, str] = {
    "stable": "green",
    "vulnerable": "yellow",
    "metastable": "red",
    "overloaded": "magenta",
    "unmeasured": "dim",
}
ENDS = {
    "recovered": "came back",
    "returned": "tipped, came back",
    "stayed": "stayed down",
    "failing": "does not work",
    "unmeasured": "not measured",
}


def run_map(options: dict[str, Any], console: Console) -> int:
    """Measures the map; returns exit code 2 if a point could not be measured.

    Raises:
        SettingsError: invalid input, before the first run.
    """
    question = ask(options)
    folder = None if options["at"] else used_folder(options["out"], "map")
    try:
        _measure(question, options["jobs"], console, folder)
    except KeyboardInterrupt:
        with postponed():
            _show(question, folder, console)
        raise
    _show(question, folder, console)
    return BAD_INPUT if question.count(["unmeasured"]) else EXPECTED


def _show(question: Map, folder: Path | None, console: Console) -> None:
    """Writes and prints what has been measured so far."""
    if folder is None:
        print_points(question, console)
    else:
        write(folder, question)
        print_map(question, console)
        console.print(f"page    {folder / PAGE_FILE}", highlight=False, soft_wrap=True)
        console.print(f"repeat  {words.map_command(question)}", highlight=False, soft_wrap=True)
    for problem in question.problems:
        console.print(f"note    {problem}", highlight=False, soft_wrap=True)


def ask(options: dict[str, Any]) -> Map:
    """The map to measure. The plan of every point is made once, to find invalid input before the first run.

    Raises:
        SettingsError: an option or setting is invalid; the message names the rule.
    """
    declare_folder(Path.cwd())
    axes = _point(options) if options["at"] else _axes(options)
    question = Map(
        *axes,
        seeds=tuple(range(1, options["seeds"] + 1)),
        stalls_s=_stalls(options["stalls"]),
        watch_s=options["watch_s"],
        mitigations=expand(comma_separated(options["mitigations"])),
        assignments=tuple(options["assignments"]),
        size=options["size"] or 1.0,
    )
    for at in question.points:
        question.job(at, 1).plan()
    return question


def _axes(options: dict[str, Any]) -> tuple[Axis, Axis]:
    x, y = parse_axis(options["x"] or "load"), parse_axis(options["y"] or "retries")
    if x.name == y.name:
        raise SettingsError(f"{x.name}: is on both axes")
    return x, y


def _point(options: dict[str, Any]) -> tuple[Axis, Axis]:
    """A single point, as a map with one value per axis."""
    if options["x"] or options["y"]:
        raise SettingsError("--at: names one point; --x and --y make a map; give one or the other")
    if options["out"]:
        raise SettingsError("--out: one point has no files; leave it out")
    at = parse_at(options["at"])
    if len(at) != 2:
        raise SettingsError(f"--at: a point has two settings, e.g. --at load=0.4 --at retries=12 (got {len(at)})")
    x, y = (Axis(name, (value,)) for name, value in at)
    return x, y


def _stalls(text: str | None) -> tuple[float, ...]:
    if text is None:
        return STALLS_S
    values = [number("stalls", value.strip(), STALL_MIN_S, STALL_MAX_S) for value in text.split(",") if value.strip()]
    if not values:
        raise SettingsError("stalls: should be seconds, e.g. 1,3,6 (got nothing)")
    return tuple(sorted(set(values)))


def _measure(question: Map, count: int | None, console: Console, folder: Path | None) -> None:
    """Measures all points; each finding is written to disk before waiting for the next."""

    def done(job: MapRun, finding: MapFinding) -> None:
        question.add(job, finding)
        if folder is not None:
            write_document(folder, question)

    with study_engine(CODEC, perform, processes(count), console) as engine:
        engine.outcomes(question.jobs, "points", done)


def print_map(question: Map, console: Console) -> None:
    """Prints the map: one row per value of y, one column per value of x."""
    head = Column(f"{question.y.name} ↓  {question.x.name} →", justify="right")
    shown = table(head, *(Column(x, overflow="fold") for x in question.x.values))
    for y in question.y.values:
        shown.add_row(y, *(_coloured(question.cell(x, y), "\n") for x in question.x.values))
    console.print(shown)
    axes = f"across: {question.x.label} · down: {question.y.label}"
    for line in (axes, *words.headline(question), *words.legend(question)):
        console.print(line, highlight=False, soft_wrap=True)


def _coloured(cell: MapCell, separator: str = " ") -> Text:
    return Text(words.cell(cell, separator), COLOURS[cell.kind] if cell.kind is not None else "")


def print_points(question: Map, console: Console) -> None:
    """Prints the effect of every stall at a point, by seed."""
    for at, cell in question.cells.items():
        where = ", ".join(f"{name}={value}" for name, value in at)
        console.print(Text.assemble(f"{where}: ", _coloured(cell)))
        for seed, finding in sorted(cell.findings.items()):
            console.print(_probes(seed, finding))
    for line in words.legend(question):
        console.print(line, highlight=False, soft_wrap=True)


def _probes(seed: int, finding: MapFinding) -> Table:
    heads = ("stall", "end", "ok after", "back after", "ops/s", "att/s", "waiting")
    columns = (Column(name, justify="left" if name == "end" else "right", no_wrap=True) for name in heads)
    shown = table(*columns, title=f"seed {seed}" if seed > 1 else None)
    for one in finding.probes:
        shown.add_row(*_row(one))
    return shown


def _row(one: Probe) -> tuple[str, ...]:
    last, before = one.last, one.before
    return (
        f"{one.stall_s:g} s",
        ENDS[one.end] + (" (2nd time)" if one.end == "stayed" and one.shots > 1 else ""),
        figure(one.success_after, ".0%"),
        figure(one.back_after_s, unit="s"),
        MISSING if before is None or last is None else f"{before.operations_per_s:.0f} → {last.operations_per_s:.0f}",
        figure(None if last is None else last.attempts_per_s, ".0f"),
        figure(None if last is None else last.queue, ".0f"),
    )
