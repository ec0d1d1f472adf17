"""The answers of the size study with their intervals by size, and the verdict on each.

    stable            all intervals lie in a band as wide as the tolerance: a difference inside it does not matter
    depends on size   two intervals are apart
    undecided         neither: the intervals are too wide
    one size          there is nothing to compare with
    not run           nothing was measured

The tolerance is stated for each answer; nothing rests on a single seed.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from chaos.studies.matrix.outcomes import OP_SUCCESS, RunOutcome
from chaos.studies.matrix.summary import SummaryRow
from chaos.studies.size.job import SizeFinding
from chaos.studies.statistics import Bounded, MeanTime, Share, apart, estimate, mean_time, share

SizeVerdict = Literal["stable", "depends on size", "undecided", "one size", "not run"]
UNKNOWN = "cause not investigated"
TIPPING_WHY = "chance has to fill the queues of all nodes at once, which is rarer with more nodes"


@dataclass(frozen=True)
class AnswerKind:
    """A quantity, how it is written, and within which band it counts as the same answer."""

    name: str
    label: str
    spec: str = ".2f"
    unit: str = ""
    tolerance: float = 0.3
    relative: bool = False
    """Whether the tolerance is a share of the largest end of an interval."""
    most: float | None = None

    @property
    def band(self) -> str:
        return f"{self.tolerance:.0%}" if self.relative else f"{self.tolerance:g}{self.unit and f' {self.unit}'}"


FACT_LABELS = {
    "F0": "F0: healthy before the restore",
    "F1": "F1: East US collapses after its restore",
    "F2": "F2: West US collapses later",
    "F3": "F3: neither scale-out recovers",
    "F4": "F4: drain and ramp recover",
}
FACT_KINDS = tuple(AnswerKind(name, label) for name, label in FACT_LABELS.items())
NUMBERS = (
    AnswerKind("east_delay_s", "collapse delay of East US", ".1f", "s", 3.0),
    AnswerKind("west_delay_s", "collapse delay of West US", ".1f", "s", 5.0),
    AnswerKind("peak_amplification", "peak amplification", ".1f", "×", 0.1, relative=True),
)
DEFENCE_TOLERANCE = 0.1
SECOND_WAVE, FAILING = "second_wave", "impact_b_min"
FAILING_TOLERANCE_MIN = 10.0


@dataclass(frozen=True)
class SizeAnswer:
    """One row of the page."""

    kind: AnswerKind
    by_size: Mapping[float, Bounded]
    why: str = UNKNOWN

    @property
    def verdict(self) -> SizeVerdict:
        return verdict(self.kind, list(self.by_size.values()))

    @property
    def said(self) -> str:
        """The verdict, with direction and reason if it depends on the size."""
        if self.verdict != "depends on size":
            return f"*{self.verdict}*"
        return f"*depends on size*: {direction([self.by_size[size] for size in sorted(self.by_size)])}; {self.why}"


def verdict(kind: AnswerKind, intervals: Sequence[Bounded]) -> SizeVerdict:
    """The verdict from the intervals alone, by the rules above."""
    if len(intervals) < 2:
        return "one size" if intervals else "not run"
    known = [(one.low, one.high) for one in intervals if one.low is not None and one.high is not None]
    if len(known) == len(intervals):
        low, high = min(low for low, _ in known), max(high for _, high in known)
        if high - low <= kind.tolerance * (max(abs(low), abs(high)) if kind.relative else 1.0) + 1e-9:
            return "stable"
    pairs = ((one, other) for number, one in enumerate(intervals) for other in intervals[number + 1 :])
    return "depends on size" if any(apart(one, other) for one, other in pairs) else "undecided"


def direction(intervals: Sequence[Bounded]) -> str:
    """Whether the values rise or fall with the size; `not monotonic` if neither."""
    values = [value for one in intervals if (value := middle(one)) is not None]
    if values == sorted(values):
        return "rises"
    return "falls" if values == sorted(values, reverse=True) else "not monotonic"


def middle(one: Bounded) -> float | None:
    """The value of an interval; a mean time without an event is longer than its lower limit."""
    if isinstance(one, Share):
        return one.count / one.measured if one.measured else None
    if isinstance(one, MeanTime) and one.mean is None:
        return math.inf
    return one.mean


def incident_answers(found: Mapping[float, Sequence[SizeFinding]]) -> list[SizeAnswer]:
    """Facts and figures of the incident."""
    facts = [
        SizeAnswer(kind, {size: share([_held(run, kind.name) for run in runs]) for size, runs in found.items()})
        for kind in FACT_KINDS
    ]
    numbers = [
        SizeAnswer(kind, {size: estimate([run.values.get(kind.name) for run in runs]) for size, runs in found.items()})
        for kind in NUMBERS
    ]
    return [*facts, *numbers]


def _held(run: SizeFinding, fact: str) -> bool | None:
    value = run.values.get(fact)
    return None if value is None else bool(value)


def tipping_answer(load: float, found: Mapping[float, Sequence[SizeFinding]]) -> SizeAnswer:
    """Mean time until a calm region tips by itself; its tolerance is a factor of two."""
    name = "at base load" if load == 1.0 else f"at {load:g} × base load"
    kind = AnswerKind("tipped", f"mean time until a calm East US tips, {name}", ".0f", "s", 0.5, relative=True)
    return SizeAnswer(kind, {size: _time(runs) for size, runs in found.items()}, TIPPING_WHY)


def _time(runs: Sequence[SizeFinding]) -> MeanTime:
    known = [run.values for run in runs if not run.problem]
    return mean_time(
        int(sum(values["tipped"] or 0.0 for values in known)), sum(values["watched_s"] or 0.0 for values in known)
    )


def defence_answer(title: str, found: Mapping[float, Sequence[RunOutcome]]) -> SizeAnswer:
    """Operation success with one defence and without operators."""
    kind = AnswerKind(OP_SUCCESS, title, tolerance=DEFENCE_TOLERANCE, most=1.0)
    return SizeAnswer(
        kind,
        {size: estimate([run.values.get(OP_SUCCESS) for run in runs], most=kind.most) for size, runs in found.items()},
    )


def wave_answer(title: str, found: Mapping[float, SummaryRow]) -> SizeAnswer:
    """In how many seeds a region collapses."""
    return SizeAnswer(AnswerKind(SECOND_WAVE, title), {size: row.shares[SECOND_WAVE] for size, row in found.items()})


def failing_answer(title: str, found: Mapping[float, SummaryRow]) -> SizeAnswer:
    """Minutes in which the pair's attempts fail; without a mitigation 110 in the short scenario, 300 in the whole."""
    kind = AnswerKind(FAILING, title, ".1f", "min", FAILING_TOLERANCE_MIN)
    return SizeAnswer(kind, {size: row.estimates[FAILING] for size, row in found.items()})
