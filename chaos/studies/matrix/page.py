"""The matrix as one HTML page."""

from dataclasses import dataclass

from chaos.studies.matrix import words
from chaos.studies.matrix.outcomes import Column
from chaos.studies.matrix.summary import Matrix, SummaryRow, is_worse
from chaos.studies.page import page
from chaos.studies.statistics import Estimate

GROUPS = (
    ("none", "None"),
    ("alone", "Single mitigations"),
    ("all-but", "All but one"),
    ("all", "All"),
    ("publisher", "The publisher's seven"),
    ("set", "Sufficient sets"),
)
EVENT_LABELS = {
    "first_wave": "first wave",
    "east_collapses": "{east} collapses",
    "west_collapses": "{west} collapses",
    "survives_replay": "survives a replay",
}
"""Labels of the columns that count seeds. `{east}` and `{west}` as in `Column`."""
GOOD_EVENT = "survives_replay"
HEAT_MAX = 42.0
"""Colour share in percent of a cell with the largest possible difference from no mitigation."""


@dataclass(frozen=True)
class Field:
    """One cell of the table: text and shading."""

    mean: str
    interval: str
    tone: str
    heat: float


def render(matrix: Matrix) -> str:
    values = {
        "matrix": matrix,
        "headline": words.headline(matrix),
        "groups": [(title, rows) for kind, title in GROUPS if (rows := _of_kind(matrix, kind))],
        "columns": matrix.columns,
        "baseline": words.baseline(matrix),
        "repairs": words.repairs(matrix),
        "events": {name: label.format(**matrix.sides) for name, label in EVENT_LABELS.items()},
        "good_event": GOOD_EVENT,
        "fields": {row.cell.name: _fields(matrix, row) for row in matrix.rows},
        "worse": [(one, _text(one.column, one.without), _text(one.column, one.with_)) for one in matrix.worse],
        "few": words.SEEDS_TO_COMPARE,
        "sets": [words.sets(one) for one in matrix.sets],
        "seeds_text": words.seeds,
        "name": lambda row: words.name(matrix, row),
        "value": words.number,
        "infinity": float("inf"),
    }
    return page("matrix.html.j2", values)


def _of_kind(matrix: Matrix, kind: str) -> list[SummaryRow]:
    return [row for row in matrix.rows if row.cell.kind == kind]


def _fields(matrix: Matrix, row: SummaryRow) -> dict[str, Field]:
    none = matrix.none.estimates
    seeds = len(row.runs)
    return {
        column.name: _field(column, none[column.name], row.estimates[column.name], seeds) for column in matrix.columns
    }


def _field(column: Column, none: Estimate, here: Estimate, seeds: int) -> Field:
    change = relative(column, none, here)
    tone = "better" if change < 0 else "worse" if change > 0 else ""
    interval = words.interval(column, here) + words.of_how_many(here, seeds)
    return Field(words.mean(column, here), interval.removeprefix(", "), tone, abs(change) * HEAT_MAX)


def relative(column: Column, none: Estimate, here: Estimate) -> float:
    """Relative change against no mitigation, from -1 (eliminated) to 1 (worse); 0 if the intervals are not apart."""
    if not (is_worse(column, none, here) or is_worse(column, here, none)):
        return 0.0
    if here.never or none.never:
        return float(bool(here.never)) - float(bool(none.never))
    if here.mean is None or none.mean is None:
        return 0.0
    scale = max(abs(here.mean), abs(none.mean))
    change = (here.mean - none.mean) / scale if scale else 0.0
    return change if column.better == "less" else -change


def _text(column: Column, one: Estimate) -> str:
    interval = words.interval(column, one)
    return words.mean(column, one) + (f" ({interval})" if interval else "")
