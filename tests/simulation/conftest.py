"""Runs are made once per session and shared by the tests that look at them, which are of one xdist group."""

from collections.abc import Callable
from functools import cache

import pytest

from chaos.experiment.plan import make_plan
from chaos.experiment.runs import carry_out
from chaos.record.record import RunRecord
from chaos.scenarios.loader import load
from chaos.studies.campaign.jobs import CampaignResult, CampaignRun, perform

SHORT = "azure-fnj8-vqz-short"


@cache
def performed(job: CampaignRun) -> CampaignResult:
    return perform(job)


@pytest.fixture
def run() -> Callable[..., CampaignResult]:
    """`run(seed=2, control="no-restore", …)` on the short scenario; equal calls share one run."""
    return lambda **options: performed(CampaignRun(SHORT, options.pop("seed", 1), **options))


@pytest.fixture(scope="session")
def incident() -> RunRecord:
    """The short scenario with seed 1, to its end. For tests of the group "incident"."""
    finished = carry_out(make_plan(load(SHORT), 1), transport="direct")
    assert not finished.problem
    assert finished.recorder is not None
    return RunRecord.from_memory(finished.plan, finished.recorder)
