"""Computation of the matrix: first its cells, then the smallest sufficient sets, by size and seed.

A set suffices if the wave occurs in no seed, so the first seed with the wave excludes a set; most are excluded by the
first seed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from chaos.scenarios.loader import load
from chaos.studies.engine import StudyEngine
from chaos.studies.matrix.cells import MatrixCell, Names, candidates, cells, minimal
from chaos.studies.matrix.job import MatrixRun
from chaos.studies.matrix.outcomes import RunOutcome
from chaos.studies.matrix.summary import WAVES, Sets, SummaryRow, Wave, had

Runs = StudyEngine[MatrixRun, RunOutcome]


@dataclass(frozen=True)
class Question:
    """The parameters of a matrix."""

    scenario: str
    mitigations: Names
    seeds: Sequence[int]
    assignments: tuple[str, ...] = ()
    sets_max_size: int = 2
    size: float | None = None
    """Of the scenario, instead of its own."""

    def cells(self) -> list[MatrixCell]:
        return cells(self.mitigations, published=load(self.scenario, size=self.size).claims is not None)

    def jobs(self, names: Names) -> list[MatrixRun]:
        return [self.job(names, seed) for seed in self.seeds]

    def job(self, names: Names, seed: int) -> MatrixRun:
        return MatrixRun(self.scenario, seed, names, self.assignments, size=self.size)


def rows(question: Question, engine: Runs) -> list[SummaryRow]:
    """The rows of all cells over all seeds."""
    table = question.cells()
    known = engine.outcomes((job for cell in table for job in question.jobs(cell.mitigations)), "cells")
    return [SummaryRow.of(cell, {job.seed: known[job] for job in question.jobs(cell.mitigations)}) for cell in table]


def sufficient_sets(
    question: Question, table: Sequence[SummaryRow], engine: Runs
) -> tuple[list[Sets], list[SummaryRow]]:
    """The minimal sufficient sets for each wave, and the rows of those that are not yet cells.

    None is sought for a wave that cannot be measured without mitigations: that of storage, if nothing is provisioned.
    """
    none = next(row for row in table if row.cell.kind == "none")
    waves = [wave for wave in WAVES if none.shares[wave].measured]
    found: dict[Wave, list[Names]] = {wave: _small(table, wave) for wave in waves}
    tried = dict.fromkeys(waves, 1 + len(question.mitigations))
    largest = min(question.sets_max_size, len(question.mitigations))
    for size in range(2, largest + 1):
        for wave in waves:
            if () in found[wave]:
                continue
            left = candidates(question.mitigations, found[wave], size)
            tried[wave] += len(left)
            found[wave] += _holding(question, wave, left, engine)
    kept = {wave: minimal(found[wave]) for wave in waves}
    known = {frozenset(row.cell.mitigations) for row in table}
    new = [names for names in _together(kept.values()) if frozenset(names) not in known]
    extra = [_row(question, names, engine) for names in new]
    total = len(question.mitigations)
    seeds = len(question.seeds)
    return [
        Sets(wave, kept[wave], max(largest, 1) if kept[wave] != [()] else total, tried[wave], total, seeds)
        for wave in waves
    ], extra


def _together(groups: Iterable[Sequence[Names]]) -> list[Names]:
    """The sets of all groups without duplicates, smallest first."""
    every = {names for group in groups for names in group}
    return sorted(every, key=lambda names: (len(names), names))


def _small(table: Sequence[SummaryRow], wave: Wave) -> list[Names]:
    """The sufficient sets with no or one mitigation, which are cells."""
    return [row.cell.mitigations for row in table if row.cell.kind in ("none", "alone") and row.is_without(wave)]


def _holding(question: Question, wave: Wave, left: list[Names], engine: Runs) -> list[Names]:
    for number, seed in enumerate(question.seeds, 1):
        if not left:
            break
        jobs = {names: question.job(names, seed) for names in left}
        name = f"sets of {len(left[0])} without a {wave} wave, seed {number} of {len(question.seeds)}"
        known = engine.outcomes(jobs.values(), name)
        left = [names for names, job in jobs.items() if had(known[job], wave) is False]
    return left


def _row(question: Question, names: Names, engine: Runs) -> SummaryRow:
    known = engine.outcomes(question.jobs(names))
    return SummaryRow.of(MatrixCell("set", names), {job.seed: outcome for job, outcome in known.items()})
