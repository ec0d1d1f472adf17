"""What a matrix says, in sentences a manager reads in a minute, and its numbers as people read them."""

from collections.abc import Sequence

from chaos.matrix.cells import PUBLISHER
from chaos.matrix.outcomes import Column
from chaos.matrix.statistics import Estimate, Share
from chaos.matrix.summary import Matrix, Row, Sets

WAVE_WORDS = {"first": "first wave (storage)", "second": "second wave (identity)"}


def headline(matrix: Matrix) -> list[str]:
    """Which repairs alone prevent the second wave, which do not, which make something worse."""
    return [_preventing(matrix), *_publisher(matrix), _worse(matrix)]


def _preventing(matrix: Matrix) -> str:
    none = matrix.none.waves["second"]
    if not none.measured:
        return "Whether there is a second wave could not be measured in this scenario."
    if none.never:
        return "Without any repair there is no second wave in this scenario: there is nothing to prevent."
    alone = [row for row in matrix.rows if row.cell.kind == "alone"]
    good = [row.cell.of for row in alone if row.prevents("second")]
    unmeasured = [row.cell.of for row in alone if row.waves["second"].measured < len(row.runs)]
    some = [row for row in alone if row.cell.of not in (*good, *unmeasured)]
    bad = [row.cell.of for row in some if row.waves["second"].always]
    luck = [row.cell.of for row in some if not row.waves["second"].always]
    parts = [f"Alone, {listed(good)} prevent{_s(good)} the second wave" if good else "Alone, no repair prevents it"]
    if bad:
        parts.append(f"{listed(bad)} {'does' if len(bad) == 1 else 'do'} not")
    if luck:
        parts.append(f"{listed(luck)} {'does' if len(luck) == 1 else 'do'} in some seeds only")
    if unmeasured:
        parts.append(f"{listed(unmeasured)} could not be measured in every seed")
    return "; ".join(parts) + "."


def _publisher(matrix: Matrix) -> list[str]:
    row = matrix.row(PUBLISHER)
    wave = row.waves["second"]
    if matrix.none.waves["second"].never or not wave.measured:
        return []
    if row.prevents("second"):
        return ["The publisher's seven repair items together prevent it."]
    return [f"The publisher's seven repair items together do not: it comes in {wave.count} of {wave.measured} seeds."]


def _worse(matrix: Matrix) -> str:
    if len(matrix.seeds) < 2:
        return "Whether something makes an outcome worse takes at least two seeds to say."
    surprises: dict[str, list[str]] = {}
    for one in matrix.worse:
        if one.cell.kind == "alone":
            surprises.setdefault(one.cell.of, []).append(one.column.label)
    if not surprises:
        return "No repair alone makes any outcome measurably worse than doing nothing."
    return (
        "Worse than doing nothing in something: "
        + "; ".join(f"{name} ({', '.join(labels)})" for name, labels in surprises.items())
        + "."
    )


def _s(names: Sequence[str]) -> str:
    return "s" if len(names) == 1 else ""


def listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def number(column: Column, value: float) -> str:
    """A value with its unit."""
    if column.unit == "%":
        return f"{value:.1%}".replace("%", " %")
    text = f"{value:.1f}" if abs(value) < 100 else f"{value:,.0f}".replace(",", " ")
    return f"×{text}" if column.unit == "×" else f"{text} {column.unit}".strip()


def mean(column: Column, one: Estimate) -> str:
    if one.never:
        return f"never ({one.never} of {one.measured})"
    return "–" if one.mean is None else number(column, one.mean)


def interval(column: Column, one: Estimate) -> str:
    """The confidence interval, or nothing where there is none."""
    if one.low is None or one.high is None:
        return ""
    return f"{number(column, one.low)} to {number(column, one.high)}"


def seeds(wave: Share) -> str:
    return f"{wave.count} of {wave.measured}" if wave.measured else "–"


def sets(one: Sets) -> str:
    """What was found, and what was not searched."""
    what = WAVE_WORDS[one.wave]
    if () in one.found:
        return f"Without any mitigation there is no {what}: nothing is needed."
    if one.found:
        found = f"Smallest combinations without a {what}: " + "; ".join("+".join(names) for names in one.found) + "."
    else:
        found = f"No combination without a {what} was found."
    return f"{found} {unsearched(one)}"


def unsearched(one: Sets) -> str:
    if one.complete:
        return f"All {one.tried} combinations that could be minimal were tried."
    larger = f"{one.searched_to + 1}" if one.searched_to + 1 == one.of else f"{one.searched_to + 1} to {one.of}"
    return f"{one.tried} combinations of at most {one.searched_to} were tried; combinations of {larger} were not."


def name(matrix: Matrix, row: Row) -> str:
    """The row's name with what it is."""
    cell = row.cell
    if cell.kind == "none":
        return "nothing"
    if cell.kind == "publisher":
        return "the publisher's seven, R1–R7"
    if cell.kind == "all":
        return "everything" if len(cell.mitigations) > 1 else matrix.titles[cell.mitigations[0]]
    if cell.kind == "all-but":
        return f"everything but {matrix.titles[cell.of]}"
    return " + ".join(matrix.titles[one] for one in cell.mitigations)
