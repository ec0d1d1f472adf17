"""Runs are made once per session and shared by the tests that look at them, which are of one xdist group."""

from collections.abc import Callable
from functools import cache

import pytest

from chaos.experiment.plan import make_plan
from chaos.experiment.runs import carry_out
from chaos.record.record import RunRecord
from chaos.scenarios.loader import load
from chaos.scenarios.model import Scenario
from chaos.scenarios.size import sized
from chaos.scenarios.whatif import rearrange
from chaos.studies.campaign.jobs import CampaignResult, CampaignRun, perform

SHORT = "azure-fnj8-vqz-short"


@cache
def performed(job: CampaignRun) -> CampaignResult:
    return perform(job)


@pytest.fixture
def run() -> Callable[..., CampaignResult]:
    """`run(seed=2, control="no-restore", …)` on the short scenario; equal calls share one run."""
    return lambda **options: performed(CampaignRun(SHORT, options.pop("seed", 1), **options))


HALF_SEED = 2
"""A burst of alert `ManagedIdentityAvailabilityBurn` pauses for a second with seed 1: half the requests, more noise."""


def half() -> Scenario:
    """The short scenario at half its size; the nodes it adds are made even first."""
    return sized(rearrange(load(SHORT), (), (), ("T13.nodes.westus=2", "T14.nodes.eastus=4")), 0.5)


@pytest.fixture(scope="session", params=["half", pytest.param("full", marks=pytest.mark.long)])
def incident(request: pytest.FixtureRequest) -> RunRecord:
    """The short scenario, to its end. For tests of the group "incident"."""
    plan = make_plan(half(), HALF_SEED) if request.param == "half" else make_plan(load(SHORT), 1)
    finished = carry_out(plan, transport="direct")
    assert not finished.problem
    assert finished.recorder is not None
    return RunRecord.from_memory(finished.plan, finished.recorder)
