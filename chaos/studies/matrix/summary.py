"""Summary of a matrix: outcomes by cell, sufficient sets, and outcomes that became worse."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chaos.studies.matrix.cells import MatrixCell, Names
from chaos.studies.matrix.outcomes import COLUMNS, MINUTES_PER_S, Column, RunOutcome, SideNames
from chaos.studies.statistics import Estimate, Share, below, estimate, never_share, share
from chaos.verdict.model import HOLDS

Wave = str
WAVES: tuple[Wave, ...] = ("first_wave", "second_wave")
EVENTS = (*WAVES, "east_collapses", "west_collapses", "survives_replay")
"""Events that occur in a run or not; for a cell they are counted over its seeds."""


@dataclass(frozen=True)
class SummaryRow:
    """A cell with its runs, one per seed."""

    cell: MatrixCell
    runs: Mapping[int, RunOutcome]
    estimates: Mapping[str, Estimate]
    shares: Mapping[str, Share]
    """By event."""
    expected: Mapping[str, Share]
    """How often each expectation of the scenario holds, by id."""

    @classmethod
    def of(cls, cell: MatrixCell, runs: Mapping[int, RunOutcome]) -> "SummaryRow":
        rows = list(runs.values())
        estimates = {c.name: _estimate(c, rows) for c in COLUMNS}
        shares = {event: share([had(run, event) for run in rows]) for event in EVENTS}
        ids = dict.fromkeys(name for run in rows for name in run.expected)
        expected = {name: share([HOLDS.get(run.expected.get(name, "")) for run in rows]) for name in ids}
        return cls(cell, dict(runs), estimates, shares, expected)

    @property
    def problems(self) -> dict[int, str]:
        return {seed: run.problem for seed, run in self.runs.items() if run.problem}

    def is_without(self, event: str) -> bool:
        """Whether the event occurs in no seed, with all seeds measured. `Matrix.prevents` asks more."""
        return self.shares[event].never and self.shares[event].measured == len(self.runs)

    def mean(self, column: str) -> float | None:
        return self.estimates[column].mean


def _estimate(column: Column, rows: Sequence[RunOutcome]) -> Estimate:
    """The estimate of a column. No number of minutes is more than those that were counted."""
    counted = [run.counted_until_t for run in rows if run.counted_until_t is not None]
    most = max(counted) * MINUTES_PER_S if column.unit == "min" and counted else column.most
    return estimate([run.values.get(column.name) for run in rows], least=column.least, most=most)


def had(run: RunOutcome, event: str) -> bool | None:
    """Whether the event occurred in a run; None if it could not be measured."""
    found: bool | None = getattr(run, event)
    return found


@dataclass(frozen=True)
class Worse:
    """An outcome of a cell that is significantly worse than without mitigations."""

    cell: MatrixCell
    column: Column
    without: Estimate
    with_: Estimate


@dataclass(frozen=True)
class Sets:
    """The smallest sets without one wave, and the extent of the search."""

    wave: Wave
    found: Sequence[Names]
    searched_to: int
    tried: int
    of: int
    seeds: int

    @property
    def complete(self) -> bool:
        return self.searched_to >= self.of


@dataclass(frozen=True)
class Matrix:
    """The content of the three files."""

    scenario: str
    title: str
    seeds: Sequence[int]
    mitigations: Names
    titles: Mapping[str, str]
    changes: Mapping[str, str]
    """Description of each mitigation, by id."""
    expectations: Mapping[str, str]
    """What the scenario expects, by id."""
    sides: SideNames
    wave: str
    """The action from which waves are timed."""
    rows: Sequence[SummaryRow]
    sets: Sequence[Sets]
    assignments: Sequence[str] = ()
    size: float = 1.0
    code: str = ""
    commit: str = ""

    @property
    def columns(self) -> list[Column]:
        """The columns, with the names of this scenario's regions."""
        return [column.of(self.sides) for column in COLUMNS]

    @property
    def none(self) -> SummaryRow:
        return next(row for row in self.rows if row.cell.kind == "none")

    def prevents(self, row: SummaryRow, event: str) -> bool:
        """Whether the event occurs in no seed, and its interval is below that without mitigations."""
        return row.is_without(event) and below(row.shares[event], self.none.shares[event])

    def row(self, name: str) -> SummaryRow:
        return next(row for row in self.rows if row.cell.name == name)

    @property
    def worse(self) -> list[Worse]:
        """Outcomes of cells that are worse than without mitigations, with disjoint confidence intervals."""
        none = self.none
        return [
            Worse(row.cell, column, none.estimates[column.name], row.estimates[column.name])
            for row in self.rows
            if row.cell.mitigations
            for column in self.columns
            if is_worse(column, none.estimates[column.name], row.estimates[column.name])
        ]


def is_worse(column: Column, without: Estimate, with_: Estimate) -> bool:
    """Whether the intervals are apart in the worse direction: those of the means, or of how often it never occurred."""
    if with_.never or without.never:
        return below(never_share(without), never_share(with_))
    return below(without, with_) if column.better == "less" else below(with_, without)
