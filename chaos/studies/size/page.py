"""`docs/size.md`: the answers by size with their intervals, and what was not run."""

from collections.abc import Sequence
from dataclasses import dataclass

from chaos.report.templates import fill
from chaos.studies.page import TEMPLATES
from chaos.studies.size.answers import AnswerKind, SizeAnswer
from chaos.studies.statistics import Bounded, MeanTime, Share
from chaos.studies.words import MISSING, bounds, figure, share_text

TEMPLATE = "size.md.j2"


@dataclass(frozen=True)
class SizeGroup:
    """One table: a title, a note on how it was measured, and its rows."""

    title: str
    note: str
    rows: Sequence[SizeAnswer]

    @property
    def sizes(self) -> list[float]:
        return sorted({size for row in self.rows for size in row.by_size})


@dataclass(frozen=True)
class SizePage:
    """Everything the page shows."""

    scenario: str
    command: str
    commit: str
    wall: str
    groups: Sequence[SizeGroup]
    not_run: Sequence[str]


def render(page: SizePage) -> str:
    return fill(TEMPLATES / TEMPLATE, {"page": page, "cell": cell})


def cell(answer: SizeAnswer, size: float) -> str:
    """Value, interval and number of runs at a size."""
    one = answer.by_size.get(size)
    return MISSING if one is None else interval_text(answer.kind, one)


def interval_text(kind: AnswerKind, one: Bounded) -> str:
    """`0.95 (0.91 to 0.99), n = 10`."""
    if isinstance(one, Share):
        return share_text(one)
    interval = bounds(one.low, one.high, kind.spec)
    if isinstance(one, MeanTime):
        hours = f"{one.count} in {one.watched / 3600:.1f} h"
        if one.mean is None:
            return MISSING if one.low is None else f"> {figure(one.low, kind.spec, kind.unit)}, {hours}"
        return f"{figure(one.mean, kind.spec, kind.unit)}{interval}, {hours}"
    if one.never:
        return f"never in {one.never} of {one.measured}"
    return f"{figure(one.mean, kind.spec, kind.unit)}{interval}, n = {one.measured}"
