"""Runs are made once per session and process and shared by the tests that look at them."""

from collections.abc import Callable
from functools import cache

import pytest

from chaos.studies.campaign.jobs import CampaignResult, CampaignRun, perform

SHORT = "azure-fnj8-vqz-short"


@cache
def performed(job: CampaignRun) -> CampaignResult:
    return perform(job)


@pytest.fixture
def run() -> Callable[..., CampaignResult]:
    """`run(seed=1, control="no-restore", …)` on the short scenario; equal calls share one run."""
    return lambda **options: performed(CampaignRun(SHORT, options.pop("seed", 1), **options))
