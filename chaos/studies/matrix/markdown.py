"""The matrix and the single defences as pages of `docs/`: values with intervals, and what they allow to be said."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from chaos.report.templates import fill
from chaos.studies.matrix import words
from chaos.studies.matrix.defences import Defence, DefenceOutcomes
from chaos.studies.matrix.outcomes import COLUMNS, OP_SUCCESS, Column, RunOutcome
from chaos.studies.matrix.page import EVENT_LABELS
from chaos.studies.matrix.summary import Matrix, SummaryRow
from chaos.studies.page import TEMPLATES
from chaos.studies.statistics import Estimate, Share, estimate, share
from chaos.studies.words import MISSING, bounds, count_of, share_text

SHOWN = ("impact_a_min", "impact_b_min", "failed_operations", "peak_amplification", "backlog_job_min")
"""The columns of the page; the other ones are in `matrix.html`."""
BY_NAME = {column.name: column for column in COLUMNS}
SUCCESS = Column(OP_SUCCESS, "operation success", "", "", "more", most=1.0)
MODEL_BAND = 0.1
"""How far operation success may be from the model's to agree with it."""


@dataclass(frozen=True)
class Origin:
    """How a page was made."""

    command: str
    commit: str
    runs: int


@dataclass(frozen=True)
class DefenceRow:
    """One defence with its intervals."""

    title: str
    success: str
    model: str
    verdict: str
    second_wave: str
    peak: str
    wasted: str


def matrix_page(matrix: Matrix, origin: Origin) -> str:
    columns = [column for column in matrix.columns if column.name in SHOWN]
    values = {
        "matrix": matrix,
        "origin": origin,
        "sentences": [*words.headline(matrix), *(words.sets(one) for one in matrix.sets)],
        "baseline": words.baseline(matrix),
        "repairs": words.repairs(matrix),
        "columns": columns,
        "events": {name: label.format(**matrix.sides) for name, label in EVENT_LABELS.items()},
        "share": _events,
        "cell": lambda row, column: _cell(column, row.estimates[column.name], len(row.runs)),
        "name": lambda row: words.name(matrix, row),
        "problems": [_problem(row, seed, text) for row in matrix.rows for seed, text in row.problems.items()],
        "count_of": count_of,
    }
    return fill(TEMPLATES / "matrix.md.j2", values)


def defences_page(scenario: str, size: float, found: DefenceOutcomes, origin: Origin) -> str:
    seeds = max(len(runs) for runs in found.values())
    rows = [defence_row(one, runs) for one, runs in found.items()]
    judged = [row.verdict for row in rows if row.model != MISSING]
    values = {
        "scenario": scenario,
        "size": size,
        "seeds": count_of(seeds, "seed"),
        "rows": rows,
        "agree": judged.count("agrees"),
        "judged": len(judged),
        "band": MODEL_BAND,
        "origin": origin,
    }
    return fill(TEMPLATES / "defences.md.j2", values)


def defence_row(one: Defence, runs: Sequence[RunOutcome]) -> DefenceRow:
    peak, wasted = BY_NAME["peak_amplification"], BY_NAME["wasted_ratio"]
    success = _of(runs, SUCCESS)
    return DefenceRow(
        title=one.title,
        success=f"{estimate_text(SUCCESS, success, '.2f')}, n = {success.measured}",
        model=MISSING if one.model is None else f"{one.model:.2f}",
        verdict=against_model(success, one.model),
        second_wave=_events(share([run.second_wave for run in runs])),
        peak=estimate_text(peak, _of(runs, peak)),
        wasted=estimate_text(wasted, _of(runs, wasted)),
    )


def against_model(success: Estimate, model: float | None) -> str:
    """*agrees* if the whole interval lies within the band around the model's value, *differs* if none of it does."""
    if model is None or success.low is None or success.high is None:
        return MISSING
    if model - MODEL_BAND <= success.low and success.high <= model + MODEL_BAND:
        return "agrees"
    outside = success.high < model - MODEL_BAND or success.low > model + MODEL_BAND
    return "differs" if outside else "undecided"


def _of(runs: Sequence[RunOutcome], column: Column) -> Estimate:
    return estimate([run.values.get(column.name) for run in runs], least=column.least, most=column.most)


def _events(one: Share) -> str:
    return share_text(one) if one.measured else MISSING


def _cell(column: Column, one: Estimate, seeds: int) -> str:
    return estimate_text(column, one) + words.of_how_many(one, seeds)


def estimate_text(column: Column, one: Estimate, spec: str = "") -> str:
    """The mean and its interval, with the unit once."""
    if one.mean is None or one.low is None or one.high is None:
        return words.mean(column, one)
    if spec:
        return f"{one.mean:{spec}}{bounds(one.low, one.high, spec)}"
    plain = replace(column, unit="" if column.unit not in ("%", "×") else column.unit)
    low, high = (words.number(plain, value) for value in (one.low, one.high))
    return f"{words.number(column, one.mean)} ({low} to {high})"


def _problem(row: SummaryRow, seed: int, text: str) -> str:
    return f"{row.cell.name}, seed {seed}: not measured: {text}"
