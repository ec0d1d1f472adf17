"""The five facts emerge from the services, and go away when their causes do."""

from collections.abc import Callable

import pytest

from chaos.studies.campaign.jobs import CampaignResult
from chaos.verdict import CONTROLS, PAIRS

Run = Callable[..., CampaignResult]


@pytest.mark.parametrize("seed", [1, 2])
def test_all_five_facts_hold(run: Run, seed: int) -> None:
    result = run(seed=seed)
    assert result.holds, (result.failed, result.note)


def test_the_facts_do_not_hang_on_one_set_of_numbers(run: Run) -> None:
    result = run(seed=1, perturb=0.2)
    assert result.holds, (result.failed, result.note)


# The control of a pair needs the incident beside it: `make campaign` runs both, and tests/unit/claims proves the rest.
@pytest.mark.parametrize("control", sorted(set(CONTROLS) - {pair.control for pair in PAIRS.values()}))
def test_a_control_shows_what_is_missing(run: Run, control: str) -> None:
    result = run(control=control)
    assert result.holds, result.note
