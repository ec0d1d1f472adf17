"""Claim sets: the claims of a published report, with all that is needed to judge runs by them.

A scenario names a set (`claims`). Each set is a package in `claim_sets/`, which has its `CLAIM_SET`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any

from chaos.record.record import RunRecord
from chaos.scenarios.model import Scenario
from chaos.verdict.model import Check, Claim, ClaimFinding, ControlExperiment, Pair
from chaos.verdict.view import View
from services.chassis.settings import Tree


@dataclass(frozen=True)
class Variant:
    """A scenario and a settings overlay."""

    scenario: Scenario
    overlay: Tree


@dataclass(frozen=True)
class ClaimHeading:
    """Claims whose ids have the same first letter: heading in reports, word in a tally."""

    letter: str
    title: str
    word: str


@dataclass(frozen=True)
class Explanations:
    """Texts by ambiguity of the report (A1–A9), and by row that does not simply hold."""

    ambiguities: dict[str, str]
    rows: dict[str, str]


@dataclass(frozen=True)
class ClaimSet:
    """The claims of one report."""

    name: str
    regions: tuple[str, ...]
    """The regions that the claims are about; without one of them no claim is judged."""
    wave: str
    """The row of the report from which the overload is timed."""
    groups: tuple[ClaimHeading, ...]
    claims: Callable[[], tuple[Claim, ...]]
    checks: Mapping[str, Check]
    view: type[View]
    controls: Mapping[str, ControlExperiment]
    variant: Callable[[str, Scenario], Variant]
    """The scenario of a control."""
    judge_control: Callable[[str, RunRecord], ClaimFinding]
    pairs: Mapping[str, Pair]
    explanations: Callable[[], Explanations]
    story: Callable[[Mapping[str, str]], str]
    """One sentence on a run that is as expected, from statuses by id; empty if the set has none for it."""

    def acts_on(self, scenario: Scenario) -> bool:
        """Whether the scenario is a replay of the incident, not a day without it: the row of the wave acts."""
        return any(entry.row == self.wave for entry in scenario.actions)


@lru_cache
def claim_set(name: str) -> ClaimSet:
    """The claim set of that name; scenarios are checked for it when they are loaded."""
    package = f"chaos.verdict.claim_sets.{name.replace('-', '_')}"
    found: ClaimSet = import_module(package).CLAIM_SET
    return found


def claim_set_of(plan: Mapping[str, Any]) -> ClaimSet | None:
    """The claim set that the scenario of a plan names."""
    name = plan.get("claims")
    return claim_set(str(name)) if name else None


def view_of(record: RunRecord) -> View:
    """The record as its claim set sees it."""
    claims = claim_set_of(record.plan)
    return View(record) if claims is None else claims.view(record)
