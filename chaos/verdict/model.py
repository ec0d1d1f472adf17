"""Claims, predicates and findings.

A predicate is a list of conditions on measured values. A condition whose value could not be measured makes the claim
`not_judged`; it is never taken as true.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import yaml

from chaos.verdict.times import NEVER, Window

ClaimStatus = Literal["reproduced", "contradicted", "underspecified", "narrative", "not_judged"]
STATUSES: tuple[ClaimStatus, ...] = ("reproduced", "contradicted", "underspecified", "narrative", "not_judged")
NEVER_WORD = "never"
HOLDS: dict[str, bool] = {"reproduced": True, "contradicted": False}
"""Whether an expectation holds, by its status; it was not measured with any other one."""


@dataclass(frozen=True)
class Claim:
    """One row of the conformance table. `testable`: yes, partly (thresholds unknown), or no (people and intent)."""

    id: str
    statement: str
    kind: str
    source: str
    testable: Literal["yes", "partly", "no"] = "yes"
    rests_on: str = ""
    note: str = ""


@dataclass(frozen=True)
class ClaimFinding:
    """The result of a predicate on one record."""

    status: ClaimStatus
    measured: dict[str, Any] = field(default_factory=dict)
    window: Window | None = None
    note: str = ""

    @property
    def holds(self) -> bool:
        return self.status == "reproduced"


Predicate = Callable[[Any], ClaimFinding]
"""Takes the view of its claim set."""
NO_ACTION = "this run's plan lacks the operator action that opens the window"


@dataclass(frozen=True)
class ControlExperiment:
    """A negative control: the difference from the incident, the expected outcome, and the claims it supports."""

    name: str
    differs: str
    text: str
    proves: tuple[str, ...]
    judge: Predicate


Figures = Mapping[str, Any]


@dataclass(frozen=True)
class Pair:
    """A claim about two runs: the control compared with the incident of the same seed, and the predicate on both."""

    control: str
    text: str
    judge: Callable[[Figures, Figures], ClaimFinding]


@dataclass(frozen=True)
class Check:
    """A predicate and its text. `control` names the control run for the counterfactual part, if there is one."""

    text: str
    judge: Predicate
    control: str = ""


class CheckTable(dict[str, Check]):
    """The predicates of a claim set by claim."""

    def check(
        self, claim_id: str, text: str, *, control: str = "", needs: Sequence[str] = ()
    ) -> Callable[[Callable[..., ClaimFinding]], Predicate]:
        """Registers the predicate of a claim.

        `needs` names times (`view.at`) and windows (`view`) passed to the predicate after the view. If the plan of a
        run lacks one of them, the claim is not judged.
        """

        def register(judge: Callable[..., ClaimFinding]) -> Predicate:
            if claim_id in self:
                raise ValueError(f"{claim_id}: already has a predicate")

            @wraps(judge)
            def judged(view: Any) -> ClaimFinding:
                given = [getattr(view.at if hasattr(view.at, name) else view, name) for name in needs]
                return not_judged(NO_ACTION) if None in given else judge(view, *given)

            self[claim_id] = Check(text, judged, control)
            return judged

        return register


class Conditions:
    """Collects conditions and gives the finding. Names become the keys of `measured`."""

    def __init__(self, window: Window | None = None) -> None:
        self._window = window
        self._measured: dict[str, Any] = {}
        self._failed: list[str] = []
        self._missing: list[str] = []

    def _take(self, name: str, value: Any, holds: bool | None, rule: str) -> "Conditions":
        self._measured[name] = plain(value)
        if holds is None:
            self._missing.append(name)
        elif not holds:
            self._failed.append(f"{name} is {plain(value)}, not {rule}")
        return self

    def below(self, name: str, value: float | None, bound: float) -> "Conditions":
        return self._take(name, value, None if value is None else value < bound, f"< {bound:g}")

    def above(self, name: str, value: float | None, bound: float) -> "Conditions":
        return self._take(name, value, None if value is None else value > bound, f"> {bound:g}")

    def at_least(self, name: str, value: float | None, bound: float) -> "Conditions":
        return self._take(name, value, None if value is None else value >= bound, f"≥ {bound:g}")

    def at_most(self, name: str, value: float | None, bound: float) -> "Conditions":
        return self._take(name, value, None if value is None else value <= bound, f"≤ {bound:g}")

    def true(self, name: str, value: bool | None) -> "Conditions":
        return self._take(name, value, value, "true")

    def order(self, name: str, *times: float | None) -> "Conditions":
        """All times were observed, each later than the one before; `NEVER` violates the order."""
        known = [t for t in times if t is not None]
        rising = all(a < b for a, b in pairwise(known)) and NEVER not in known
        return self._take(name, list(times), None if len(known) < len(times) else rising, "rising")

    def in_turn(self, name: str, *times: float | None) -> "Conditions":
        """Like `order`, but adjacent times may be equal (one sample)."""
        known = [t for t in times if t is not None]
        rising = all(a <= b for a, b in pairwise(known)) and NEVER not in known
        return self._take(name, list(times), None if len(known) < len(times) else rising, "in this order")

    def ever(self, name: str, t: float | None) -> "Conditions":
        """It was observed and happened."""
        return self._take(name, t, None if t is None else t != NEVER, "at some time")

    def show(self, name: str, value: Any) -> "Conditions":
        """Adds a value for information, without a condition."""
        self._measured[name] = plain(value)
        return self

    def finding(self, note: str = "") -> ClaimFinding:
        if self._failed:
            return ClaimFinding("contradicted", self._measured, self._window, "; ".join(self._failed))
        if self._missing:
            return ClaimFinding("not_judged", self._measured, self._window, f"not measured: {', '.join(self._missing)}")
        return ClaimFinding("reproduced", self._measured, self._window, note)


def plain(value: Any) -> Any:
    """The value for JSON: rounded to four decimals, `never` for infinity."""
    if isinstance(value, bool) or value is None or isinstance(value, str | int):
        return value
    if isinstance(value, float):
        return NEVER_WORD if math.isinf(value) else None if math.isnan(value) else round(value, 4)
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, set | frozenset):
        return sorted(plain(inner) for inner in value)
    return [plain(inner) for inner in value]


def per(part: float | None, whole: float | None) -> float | None:
    """`part / whole`; None if one of them was not measured, or if `whole` is 0."""
    return part / whole if part is not None and whole else None


def not_judged(reason: str) -> ClaimFinding:
    return ClaimFinding("not_judged", note=reason)


def read_claims(file: Path) -> tuple[Claim, ...]:
    """A conformance table, in the order of the file.

    Raises:
        ValueError: an id occurs twice.
        TypeError: a field is unknown.
    """
    rows = yaml.safe_load(file.read_text(encoding="utf-8"))
    table = tuple(Claim(**row) for row in rows)
    twice = sorted({claim.id for claim in table if sum(claim.id == other.id for other in table) > 1})
    if twice:
        raise ValueError(f"{file.name}: duplicate ids: {', '.join(twice)}")
    return table
