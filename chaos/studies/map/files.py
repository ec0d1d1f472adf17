"""The map as `map.json`, `map.csv` and `map.html`; each is replaced atomically."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from chaos.experiment.runs import commit, replace
from chaos.studies.files import csv_text, json_text
from chaos.studies.map import words
from chaos.studies.map.page import render
from chaos.studies.map.points import Map, MapCell

JSON_FILE, CSV_FILE, PAGE_FILE = "map.json", "map.csv", "map.html"
COLUMNS = ("seed", "class", "tips_at_s", "stays_at_s", "longest_stall_s", "problem", "command")


def write(folder: Path, one: Map) -> list[Path]:
    return [
        write_document(folder, one),
        replace(folder / CSV_FILE, as_csv(one)),
        replace(folder / PAGE_FILE, render(one)),
    ]


def write_document(folder: Path, one: Map) -> Path:
    """Writes `map.json` only; called after every point, so that an interruption keeps the results so far."""
    return replace(folder / JSON_FILE, json_text(as_document(one)))


def as_csv(one: Map) -> str:
    """One line per point and seed; an empty field was not measured, or there is no such stall."""
    return csv_text([one.x.name, one.y.name, *COLUMNS], _lines(one))


def _lines(one: Map) -> Iterator[list[Any]]:
    for at, cell in one.cells.items():
        for seed, found in sorted(cell.findings.items()):
            longest_s = found.probes[-1].stall_s if found.probes else None
            figures = [found.kind, found.tips_at_s, found.stays_at_s, longest_s, found.problem]
            yield [*(value for _, value in at), seed, *figures, words.point_command(one, at)]


def as_document(one: Map) -> dict[str, Any]:
    return {
        "x": asdict(one.x),
        "y": asdict(one.y),
        "seeds": list(one.seeds),
        "stalls_s": list(one.stalls_s),
        "watch_s": one.watch_s,
        "mitigations": list(one.mitigations),
        "assignments": list(one.assignments),
        "size": one.size,
        "commit": commit(),
        "command": words.map_command(one),
        "complete": one.complete,
        "meanings": {**words.MEANINGS, "tipped": words.TIPPED, "back": words.BACK},
        "points": [_point(one, cell) for cell in one.cells.values() if cell.findings],
    }


def _point(one: Map, cell: MapCell) -> dict[str, Any]:
    return {
        "at": dict(cell.at),
        "class": cell.kind,
        "share_of_seeds": cell.share,
        "escape_threshold_s": cell.threshold_s,
        "command": words.point_command(one, cell.at),
        "seeds": {
            str(seed): {
                "class": found.kind,
                "tips_at_s": found.tips_at_s,
                "stays_at_s": found.stays_at_s,
                "problem": found.problem,
                "probes": [asdict(probe) for probe in found.probes],
            }
            for seed, found in sorted(cell.findings.items())
        },
    }
