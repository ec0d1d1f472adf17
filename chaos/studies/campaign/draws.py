"""The perturbed runs of a campaign as a page: how many draws begin healthy, how many of those show every fact, and
which parameters drive the others.

The correlation is Spearman's between the drawn value and what the run did. What a run did is yes or no, whose ranks are
two numbers, so it is Pearson's between the ranks of the values and the flags.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, StatisticsError, correlation
from typing import Any

import numpy as np

from chaos.experiment.baseline import CollapsedInWarmup
from chaos.report.templates import fill
from chaos.scenarios.model import Scenario
from chaos.studies.campaign.jobs import CampaignResult
from chaos.studies.campaign.perturb import perturbation
from chaos.studies.page import TEMPLATES
from chaos.studies.statistics import CONFIDENCE, share
from chaos.studies.words import count_of, share_text

TEMPLATE = "draws.md.j2"
BASELINE = ("baseline", "run")
HEALTHY_FACT = "F0"
"""The expectation of a scenario of FNJ8-VQZ that the service is healthy until the restore."""


@dataclass(frozen=True)
class Draw:
    """One perturbed run: what was drawn, and what came of it."""

    seed: int
    drawn: Mapping[str, float]
    collapsed: bool
    """A region collapsed under its base load, before anything was injected."""
    unmeasured: str
    failed: Sequence[str]
    """Expectations that do not hold."""

    @property
    def healthy(self) -> bool:
        return not (self.collapsed or self.unmeasured or HEALTHY_FACT in self.failed)


@dataclass(frozen=True)
class Driver:
    """A parameter and its rank correlation with an outcome."""

    parameter: str
    rho: float
    apart: bool
    """Whether so large a correlation is unlikely by chance, over all parameters together."""


def draws(scenario: Scenario, results: Sequence[CampaignResult]) -> list[Draw]:
    """The perturbed runs among the results, by seed."""
    shaken = sorted((one for one in results if one.job.perturb), key=lambda one: one.job.seed)
    return [_draw(one, scenario) for one in shaken]


def _draw(result: CampaignResult, scenario: Scenario) -> Draw:
    job = result.job
    drawn = dict(_leaves(perturbation(scenario, job.perturb, job.seed)))
    if not set(result.failed) & set(BASELINE):
        return Draw(job.seed, drawn, False, "", result.failed)
    collapsed = result.note.startswith(CollapsedInWarmup.__name__)
    return Draw(job.seed, drawn, collapsed, "" if collapsed else result.note, ())


def _leaves(tree: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, float]]:
    for name, value in tree.items():
        where = f"{path}.{name}".removeprefix(".")
        if isinstance(value, Mapping):
            yield from _leaves(value, where)
        elif isinstance(value, int | float):
            yield where, float(value)


def drivers(found: Sequence[Draw], flags: Sequence[bool]) -> list[Driver]:
    """Every parameter, the strongest first; none if all draws did the same.

    A correlation is told apart from chance by the normal approximation of Spearman's, at 95 % over all parameters
    together (Bonferroni).
    """
    if len(set(flags)) < 2:
        return []
    names = list(found[0].drawn)
    least = NormalDist().inv_cdf(1 - (1 - CONFIDENCE) / 2 / len(names)) / math.sqrt(len(found) - 1)
    rhos = {name: rank_correlation([one.drawn[name] for one in found], flags) for name in names}
    known = [Driver(name, rho, abs(rho) > least) for name, rho in rhos.items()]
    return sorted(known, key=lambda one: -abs(one.rho))


def rank_correlation(values: Sequence[float], flags: Sequence[bool]) -> float:
    """Spearman's correlation of values and yes-or-no outcomes; 0 if one of both never varies."""
    _, place, count = np.unique(np.asarray(values), return_inverse=True, return_counts=True)
    ranks = np.cumsum(count) - (count - 1) / 2  # equal values share the mean of their ranks
    try:
        return correlation([float(ranks[one]) for one in place], [float(flag) for flag in flags])
    except StatisticsError:
        return 0.0


def render(told: Scenario, results: Sequence[CampaignResult], command: str, commit: str) -> str:
    """The page of the perturbed runs."""
    found = draws(told, results)
    healthy = [one for one in found if one.healthy]
    measured = [one for one in found if not one.unmeasured]
    facts = [one.id for one in told.expect]
    values = {
        "scenario": told,
        "fraction": max((one.job.perturb for one in results), default=0.0),
        "command": command,
        "commit": commit,
        "count": count_of(len(found), "draw"),
        "rows": [
            ("collapses by itself, before anything is injected", _share([one.collapsed for one in measured])),
            ("begins healthy, and is so until the restore", _share([one.healthy for one in measured])),
            ("of those: every fact holds", _share([not one.failed for one in healthy])),
            *((f"of those: {fact} holds", _share([fact not in one.failed for one in healthy])) for fact in facts),
        ],
        "questions": [
            ("which draws collapse by themselves", drivers(measured, [one.collapsed for one in measured])),
            ("which healthy draws lack a fact", drivers(healthy, [bool(one.failed) for one in healthy])),
        ],
        "odd": [one for one in found if one.failed or one.collapsed or one.unmeasured],
    }
    return fill(TEMPLATES / TEMPLATE, values)


def _share(flags: Sequence[bool]) -> str:
    return share_text(share(flags))
