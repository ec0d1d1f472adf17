"""The five facts emerge from the services, and go away when their causes do."""

from collections.abc import Callable

import pytest

from chaos.record.record import RunRecord
from chaos.studies.campaign.jobs import CampaignResult
from chaos.verdict import judge
from chaos.verdict.claim_sets.fnj8_vqz import CONTROLS, PAIRS

Run = Callable[..., CampaignResult]


@pytest.mark.xdist_group("incident")
def test_all_five_facts_hold(incident: RunRecord) -> None:
    status = {fact.id: fact.status for fact in judge(incident).expected}
    assert status == dict.fromkeys(("F0", "F1", "F2", "F3", "F4"), "reproduced")


@pytest.mark.long
@pytest.mark.parametrize("options", [{"seed": 2}, {"seed": 1, "perturb": 0.2}], ids=["seed 2", "other parameters"])
def test_the_facts_depend_neither_on_the_seed_nor_on_one_set_of_parameters(run: Run, options: dict[str, float]) -> None:
    result = run(**options)
    assert result.holds, (result.failed, result.note)


# The control of a pair needs the incident beside it: `make campaign` runs both, and tests/unit/claims proves the rest.
@pytest.mark.long
@pytest.mark.parametrize("control", sorted(set(CONTROLS) - {pair.control for pair in PAIRS.values()}))
def test_a_negative_control_has_its_expected_outcome(run: Run, control: str) -> None:
    result = run(control=control)
    assert result.holds, result.note
