"""One published result: its set-up, its figures, how ours are measured, and the verdict.

A figure agrees when our mean lies in the pass band: the published value, the rounding of its last digit, and the
statistical error of the runs. An error too wide to tell is no agreement. A difference that is understood carries its
reason and the range that the reason predicts for ours; outside that range it is unexpected again.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from chaos.studies.statistics import Estimate, estimate
from services.chassis.settings import Tree

RowVerdict = Literal["agrees", "differs", "contradicted", "undecided"]
RowFigures = dict[str, float]
Measure = Callable[[int, Tree], RowFigures]

CONFIDENCE = 0.999
"""Of each interval: with some seventy figures, fewer than one table in ten has one that is off by chance."""


@dataclass(frozen=True)
class Difference:
    """Why ours is another value than the published one, and the range in which the reason puts it."""

    reason: str
    low: float
    high: float


@dataclass(frozen=True)
class Published:
    """One published figure. `low` to `high` is what its printed digits can stand for."""

    name: str
    text: str
    low: float
    high: float
    precision: float
    """The largest statistical error that may decide; with a wider one the figure is undecided."""
    runs: float = math.inf
    """How many runs like ours the published value rests on: it has their spread, too."""
    differs: Difference | None = None


def formula(name: str, value: float, precision: float, differs: Difference | None = None) -> Published:
    """A figure that follows from arithmetic: no rounding and no error of its own."""
    return Published(name, f"{value:.4g}", value, value, precision, differs=differs)


def printed(
    name: str, text: str, precision: float, *, runs: float = math.inf, differs: Difference | None = None
) -> Published:
    """A figure as printed: half a unit of the last digit."""
    half = 0.5 * 10.0 ** -len(text.partition(".")[2])
    return Published(name, text, float(text) - half, float(text) + half, precision, runs, differs)


def between(name: str, low: float, high: float, precision: float, runs: float = math.inf) -> Published:
    """A published range."""
    return Published(name, f"{low:.4g} to {high:.4g}" if low < high else f"{low:g}", low, high, precision, runs)


@dataclass(frozen=True)
class Row:
    """One row of the table. `measure(seed, overrides)` runs the small world once and gives every figure."""

    id: str
    source: str
    setup: str
    sure: str
    band: str
    seeds: int
    published: tuple[Published, ...]
    measure: Measure = field(repr=False)

    def judged(self, runs: Sequence[RowFigures]) -> "JudgedRow":
        ours = {one.name: estimate((run[one.name] for run in runs), CONFIDENCE) for one in self.published}
        return JudgedRow(self, len(runs), tuple(JudgedFigure(one, ours[one.name]) for one in self.published))


@dataclass(frozen=True)
class JudgedFigure:
    """A published figure beside ours."""

    published: Published
    ours: Estimate

    @property
    def interval(self) -> float:
        """Half the confidence interval of our mean; inf where there is none."""
        ours = self.ours
        return math.inf if ours.mean is None or ours.high is None else ours.high - ours.mean

    @property
    def error(self) -> float:
        """The statistical error of the difference: ours, and that of the runs the published value rests on."""
        return self.interval * math.sqrt(1.0 + self.ours.measured / self.published.runs)

    @property
    def verdict(self) -> RowVerdict:
        mean, published, why = self.ours.mean, self.published, self.published.differs
        if mean is None:
            return "undecided"
        if published.low - self.error - ROUND_OFF <= mean <= published.high + self.error + ROUND_OFF:
            return "agrees" if self.error <= published.precision else "undecided"
        return "differs" if why is not None and why.low <= mean <= why.high else "contradicted"

    @property
    def said(self) -> str:
        """The verdict with its reason."""
        why = self.published.differs
        match self.verdict:
            case "differs" if why is not None:
                return f"differs ({why.reason}: {why.low:.4g} to {why.high:.4g})"
            case "undecided":
                return f"UNDECIDED: the error is above {self.published.precision:.3g}"
            case "agrees":
                return "agrees"
        return "DIFFERS, unexplained"

    @property
    def measured(self) -> str:
        """Our mean with its interval."""
        return "never" if self.ours.mean is None else f"{self.ours.mean:.4g} ± {self.interval:.2g}"

    @property
    def band(self) -> str:
        """The pass band in figures."""
        published = self.published
        return f"{published.low - self.error:.4g} to {published.high + self.error:.4g}"


ROUND_OFF = 1e-9
"""Of floating-point sums; matters only where every seed gives the same figure."""


@dataclass(frozen=True)
class JudgedRow:
    """A row with its verdict."""

    row: Row
    seeds: int
    figures: tuple[JudgedFigure, ...]

    @property
    def expected(self) -> bool:
        """Whether every figure agrees or differs for a stated reason."""
        return all(figure.verdict in ("agrees", "differs") for figure in self.figures)
