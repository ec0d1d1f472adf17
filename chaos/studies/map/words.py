"""Texts of a map: headline, cells, legend, and the commands that repeat it."""

import shlex
from collections.abc import Sequence

from chaos.studies.map.points import STALLS_S, WATCH_S, At, Map, MapCell, MapKind
from chaos.studies.map.probe import PATIENCE
from chaos.studies.words import MISSING, span

MEANINGS: dict[MapKind, str] = {
    "stable": "came back from every stall that was tried, and no collapse outlived its stall",
    "vulnerable": "a stall tipped it: the collapse outlived the stall; then it came back by itself",
    "metastable": "a stall tipped it, and it stayed down, with the load where it was before",
    "overloaded": "it does not work even before the first stall",
    "unmeasured": "could not be measured",
}
TIPPED = "Tipped: fewer than half of the attempts succeed over the 10 s that begin 5 s after the stall is over."
BACK = (
    "Back: over 10 s at least 90 % of attempts and operations succeed with at most 1.2 attempts for each operation and "
    "at most five requests waiting; and it then survives the same stall once more."
)


def cell(one: MapCell, separator: str = " ") -> str:
    """`metastable from 3 s`; with several seeds the range of thresholds and the share of seeds with that class."""
    if one.kind is None:
        return MISSING
    text = str(one.kind)
    if one.thresholds_s:
        text += f"{separator}from {span(one.thresholds_s)} s"
    return text if one.share == 1 else f"{text}{separator}({one.share:.0%} of seeds)"


def headline(one: Map) -> list[str]:
    """Number of points by class, and the number of missing points."""
    counts = [(kind, one.count([kind])) for kind in MEANINGS]
    said = ", ".join(f"{count} {kind}" for kind, count in counts if count)
    lines = [f"{said or 'nothing measured'} of {len(one.cells)} points."]
    missing = len(one.jobs) - one.done
    if missing:
        lines.append(f"Interrupted: {missing} of {len(one.jobs)} points are missing.")
    return lines


def legend(one: Map) -> list[str]:
    """The definitions of the classes on the map, and the observation times."""
    found = [kind for kind in MEANINGS if one.count([kind])]
    bound = max(one.job(at, 1).tried_s[-1] for at in one.points)
    watched = (
        f"Stalls up to {bound:g} s; each watched for {one.watch_s:g} s, "
        f"up to {PATIENCE * one.watch_s:g} s while it is on its way back."
    )
    return [f"{kind}: {MEANINGS[kind]}" for kind in found] + [watched]


def map_command(one: Map) -> str:
    """The command that repeats the map exactly."""
    return shlex.join(["aftershock", "map", "--x", str(one.x), "--y", str(one.y), *_options(one)])


def point_command(one: Map, at: At) -> str:
    """The command that repeats one point exactly."""
    words: list[str] = ["aftershock", "map"]
    for name, value in at:
        words += ["--at", f"{name}={value}"]
    return shlex.join([*words, *_options(one)])


def _options(one: Map) -> list[str]:
    words: list[str] = []
    if tuple(one.stalls_s) != STALLS_S:
        words += ["--stalls", commas(one.stalls_s)]
    if one.watch_s != WATCH_S:
        words += ["--watch", f"{one.watch_s:g}"]
    if one.size != 1.0:
        words += ["--size", f"{one.size:g}"]
    if len(one.seeds) > 1:
        words += ["--seeds", str(len(one.seeds))]
    if one.mitigations:
        words += ["--with", ",".join(one.mitigations)]
    for text in one.assignments:
        words += ["--set", text]
    return words


def commas(values: Sequence[float]) -> str:
    return ",".join(f"{value:g}" for value in values)
