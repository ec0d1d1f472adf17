"""Texts of a matrix: headline, verdicts and formatted numbers.

That something prevents, shortens or worsens is said only if the intervals of the seeds with and without it are apart.
One seed is enough to say that something does not prevent it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from chaos.studies.matrix.cells import PUBLISHER
from chaos.studies.matrix.outcomes import Column
from chaos.studies.matrix.summary import Matrix, Sets, SummaryRow, Wave
from chaos.studies.statistics import Estimate, Share, below
from chaos.studies.words import MISSING, count_of
from chaos.verdict.words import listed

WAVE_WORDS = {"first_wave": "first wave (storage)", "second_wave": "second wave (identity)"}
_WHAT = {"first_wave": "tries are blocked", "second_wave": "attempts fail"}
_IMPACT = {"first_wave": "impact_a_min", "second_wave": "impact_b_min"}
"""The column with the minutes of a wave."""
SEEDS_TO_COMPARE = 4
"""From this number on the interval of an event in no seed can be apart from that of one in every seed."""
FELT_MIN = 1.0
"""Minutes of impact from which a prevented wave is still reported as felt."""
HOLLOW = 0.5
"""A prevented wave with more than this share of the minutes without repairs is prevented in name only."""
EFFECT_HEAT, FAINTEST = 28.0, 0.2
"""Colour of a full effect, in percent, and the share of it that the smallest one has."""
EffectTone = Literal["", "better", "worse"]


@dataclass(frozen=True)
class MitigationEffect:
    """The effect of one mitigation alone: a row of the first table."""

    id: str
    title: str
    first: str
    first_tone: EffectTone
    first_heat: float
    second: str
    second_tone: EffectTone
    second_heat: float
    worse: str


def headline(matrix: Matrix) -> list[str]:
    """Sentences on the waves, the repairs that prevent them alone, and those that make an outcome worse."""
    return [
        _preventing(matrix, "second_wave"),
        *_in_name_only(matrix, "second_wave"),
        _preventing(matrix, "first_wave"),
        *_in_name_only(matrix, "first_wave"),
        *_publisher(matrix),
        _worse(matrix),
    ]


def baseline(matrix: Matrix) -> str:
    """The impact without mitigations."""
    first, second = (matrix.none.mean(impact) for impact in _IMPACT.values())
    if first is None or second is None:
        return ""
    return f"With none of them the first wave hits customers for {first:.0f} minutes and the second for {second:.0f}."


def _preventing(matrix: Matrix, wave: Wave) -> str:
    what, none = WAVE_WORDS[wave], matrix.none.shares[wave]
    if not none.measured:
        return f"Whether there is a {what} could not be measured in this scenario."
    if none.never:
        return f"Without any repair there is no {what} in this scenario: there is nothing to prevent."
    alone = alone_rows(matrix)
    good = [row.cell.of for row in alone if matrix.prevents(row, wave)]
    unmeasured = [row.cell.of for row in alone if row.shares[wave].measured < len(row.runs)]
    open_ = [row.cell.of for row in alone if row.is_without(wave) and not matrix.prevents(row, wave)]
    some = [row for row in alone if row.cell.of not in (*good, *unmeasured, *open_)]
    bad = [row.cell.of for row in some if row.shares[wave].always]
    luck = [row.cell.of for row in some if not row.shares[wave].always]
    parts = []
    if good:
        parts.append(f"{listed(good)} prevent{_s(good)} the {what}")
    elif open_:
        parts.append(f"no repair is shown to prevent the {what}")
    if open_:
        parts.append(f"with {listed(open_)} it occurs in no seed, but {too_few(matrix)}")
    if bad:
        parts.append(f"{listed(bad)} {_do(bad)} not" + ("" if parts else f" prevent the {what}"))
    if luck:
        some_do = f"{listed(luck)} {_do(luck)}" if parts else f"{listed(luck)} prevent{_s(luck)} the {what}"
        parts.append(f"{some_do} in some seeds only")
    if unmeasured:
        parts.append(f"{listed(unmeasured)} could not be measured in every seed")
    return f"Alone, {'; '.join(parts)}."


def _in_name_only(matrix: Matrix, wave: Wave) -> list[str]:
    """The repairs without a collapse whose minutes, with their interval, are most of those without repairs."""
    impact = _IMPACT[wave]
    before = matrix.none.mean(impact)
    rows = [row for row in alone_rows(matrix) if matrix.prevents(row, wave)]
    hollow = [row for row in rows if before and (row.estimates[impact].low or 0.0) > HOLLOW * before]
    if not hollow:
        return []
    minutes = listed([f"{row.mean(impact):.0f}" for row in hollow])
    names = listed([row.cell.of for row in hollow])
    return [f"With {names} that is so in name only: over 5 % of {_WHAT[wave]} for {minutes} of {before:.0f} minutes."]


def _do(names: Sequence[str]) -> str:
    return "does" if len(names) == 1 else "do"


def _publisher(matrix: Matrix) -> list[str]:
    row = next((row for row in matrix.rows if row.cell.kind == PUBLISHER), None)
    if row is None:
        return []
    wave = row.shares["second_wave"]
    if matrix.none.shares["second_wave"].never or not wave.measured:
        return []
    if matrix.prevents(row, "second_wave"):
        return ["The publisher's seven repair items together prevent the second wave."]
    if row.is_without("second_wave"):
        return [f"With the publisher's seven repair items it occurs in no seed, but {too_few(matrix)}."]
    return [f"The publisher's seven repair items together do not: it comes in {seeds(wave)} seeds."]


def _worse(matrix: Matrix) -> str:
    if len(matrix.seeds) < SEEDS_TO_COMPARE:
        return f"Whether something makes an outcome worse takes at least {SEEDS_TO_COMPARE} seeds to say."
    found = [f"{row.cell.of} ({text})" for row in alone_rows(matrix) if (text := worse_in(matrix, row))]
    if not found:
        return "No repair alone makes any outcome measurably worse than doing nothing."
    return f"Worse than doing nothing in something: {'; '.join(found)}."


def expectations(matrix: Matrix) -> list[str]:
    """What the scenario expects, with each cell: one sentence for what holds in every seed, and what does not."""
    return [_expected(matrix, row) for row in matrix.rows if row.expected]


def _expected(matrix: Matrix, row: SummaryRow) -> str:
    measured = {name: one for name, one in row.expected.items() if one.measured}
    broken = [f"{name} in {seeds(one)}" for name, one in measured.items() if not one.always]
    unjudged = [name for name in row.expected if name not in measured]
    parts = [f"{len(measured) - len(broken)} of {len(row.expected)} expectations hold in every seed"]
    if broken:
        parts.append(f"{listed(broken)} seeds")
    if unjudged:
        parts.append(f"{listed(unjudged)} not judged")
    return f"{row.cell.name} ({name(matrix, row)}): {'; '.join(parts)}."


def too_few(matrix: Matrix) -> str:
    return f"{count_of(len(matrix.seeds), 'seed')} cannot tell that from chance"


def alone_rows(matrix: Matrix) -> list[SummaryRow]:
    return [row for row in matrix.rows if row.cell.kind == "alone"]


def worse_in(matrix: Matrix, row: SummaryRow) -> str:
    """Labels of the outcomes in which a cell is worse than without mitigations."""
    return ", ".join(one.column.label for one in matrix.worse if one.cell == row.cell)


def repairs(matrix: Matrix) -> list[MitigationEffect]:
    """The effect of every mitigation alone, in catalogue order."""
    return [_repair(matrix, row) for row in alone_rows(matrix)]


def _repair(matrix: Matrix, row: SummaryRow) -> MitigationEffect:
    first, first_tone = _wave_verdict(matrix, row, "first_wave")
    second, second_tone = _wave_verdict(matrix, row, "second_wave")
    return MitigationEffect(
        id=row.cell.of,
        title=matrix.titles[row.cell.of],
        first=first,
        first_tone=first_tone,
        first_heat=_heat(matrix, row, "first_wave", first_tone),
        second=second,
        second_tone=second_tone,
        second_heat=_heat(matrix, row, "second_wave", second_tone),
        worse=worse_in(matrix, row),
    )


def _heat(matrix: Matrix, row: SummaryRow, wave: Wave, tone: EffectTone) -> float:
    """How strong the colour is: the share of the minutes that is gone. 109 of 112 minutes are not as good as none."""
    minutes, before = row.mean(_IMPACT[wave]), matrix.none.mean(_IMPACT[wave])
    if tone != "better" or minutes is None or not before:
        return EFFECT_HEAT
    return EFFECT_HEAT * max(FAINTEST, 1.0 - minutes / before)


def _wave_verdict(matrix: Matrix, row: SummaryRow, wave: Wave) -> tuple[str, EffectTone]:
    impact = _IMPACT[wave]
    share, minutes, before = row.shares[wave], row.mean(impact), matrix.none.mean(impact)
    with_, without = row.estimates[impact], matrix.none.estimates[impact]
    if not share.measured:
        return "not measured", ""
    if matrix.none.shares[wave].never and share.never:
        return "none to prevent", ""
    felt = _felt(wave, minutes, before)
    if matrix.prevents(row, wave):
        return f"prevented{felt and ', but ' + felt}", "better"
    if not share.always:
        fewer = below(share, matrix.none.shares[wave])
        shorter = len(matrix.seeds) >= SEEDS_TO_COMPARE and below(with_, without)
        return f"in {seeds(share)} seeds{felt and '; ' + felt}", "better" if fewer or shorter else ""
    spared = _spared(matrix, row) if wave == "second_wave" else ""
    if minutes is None or not before:
        return spared or "not prevented", "better" if spared else ""
    length = f"{minutes:.0f} of {before:.0f} min"
    if below(with_, without):
        return f"{spared or 'shorter'}: {length}", "better"
    if below(without, with_):
        return f"longer: {minutes:.0f} instead of {before:.0f} min", "worse"
    return (f"{spared}: {length}", "better") if spared else (f"not prevented: {length}", "")


def _felt(wave: Wave, minutes: float | None, before: float | None) -> str:
    """The impact that is left although a region does not collapse in every seed; empty if there is none."""
    if minutes is None or minutes < FELT_MIN:
        return ""
    of = f"{minutes:.0f} of {before:.0f}" if before else f"{minutes:.0f}"
    return f"over 5 % of {_WHAT[wave]} for {of} min"


def _spared(matrix: Matrix, row: SummaryRow) -> str:
    """The region of the pair whose collapse is prevented, if the other collapses."""
    saved = [name for side, name in matrix.sides.items() if matrix.prevents(row, f"{side}_collapses")]
    return f"{saved[0]} is spared" if len(saved) == 1 else ""


def _s(names: Sequence[str]) -> str:
    return "s" if len(names) == 1 else ""


def number(column: Column, value: float) -> str:
    """A value with its unit."""
    if column.unit == "%":
        return f"{value:.1%}".replace("%", " %")
    text = f"{value:.1f}" if abs(value) < 100 else f"{value:,.0f}".replace(",", " ")
    return f"×{text}" if column.unit == "×" else f"{text} {column.unit}".strip()


def mean(column: Column, one: Estimate) -> str:
    if one.never:
        return f"never ({one.never} of {one.measured})"
    return MISSING if one.mean is None else number(column, one.mean)


def interval(column: Column, one: Estimate) -> str:
    """The confidence interval; empty if there is none."""
    if one.low is None or one.high is None:
        return ""
    return f"{number(column, one.low)} to {number(column, one.high)}"


def of_how_many(one: Estimate, seeds: int) -> str:
    """Empty for all or none of them. Seeds that lack a value are no random ones, so a mean over the others says so."""
    return "" if one.measured in (0, seeds) else f", n = {one.measured}"


def seeds(share: Share) -> str:
    return f"{share.count} of {share.measured}" if share.measured else MISSING


def sets(one: Sets) -> str:
    """The sets found, and the extent of the search."""
    what = f"{WAVE_WORDS[one.wave]} in {'the seed' if one.seeds == 1 else f'any of {one.seeds} seeds'}"
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


def name(matrix: Matrix, row: SummaryRow) -> str:
    """The description of a row."""
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
