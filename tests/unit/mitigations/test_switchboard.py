"""Mitigations on and off during a planned run: the overlay that makes running services follow."""

import pytest

from chaos.experiment.plan import make_plan
from chaos.experiment.switching import Switchboard
from chaos.scenarios.loader import load
from services.chassis.settings import SettingsError, merge, resolve
from services.clients.identity.client import IdentityClientSettings
from services.identity.settings import IdentitySettings
from services.provisioner.settings import ProvisionerSettings

FULL = load("azure-fnj8-vqz")


def test_switched_on_it_is_laid_over_the_settings_of_the_run() -> None:
    board = Switchboard(make_plan(FULL, 1))
    assert board.switch(["R1"], []) == {"identity": {"bounded": True, "wait_budget_s": 0.5, "fair": True}}
    assert board.on == ("R1",)
    assert repr(board) == "<Switchboard R1 on>"


def test_switched_off_again_every_field_has_its_own_value() -> None:
    plan = make_plan(FULL, 1)
    board = Switchboard(plan)
    board.switch(["R6", "X1"], [])
    tree = merge(plan.settings, board.switch([], ["R6", "X1"]))
    for model, section in ((IdentityClientSettings, "identity_client"), (ProvisionerSettings, "provisioner")):
        for region in ("", "eastus", "westus"):
            assert resolve(model, tree, section, region) == resolve(model, plan.settings, section, region)


def test_what_was_on_from_the_start_can_be_switched_off() -> None:
    plan = make_plan(FULL, 1, mitigations=["R1"])
    overlay = Switchboard(plan).switch([], ["R1"])
    assert overlay["identity"]["bounded"] is False
    settings = resolve(IdentitySettings, merge(plan.settings, overlay), "identity", "eastus")
    assert settings == resolve(IdentitySettings, make_plan(FULL, 1).settings, "identity", "eastus")


def test_what_a_user_has_set_is_left_alone() -> None:
    plan = make_plan(FULL, 1, overlays=[{"identity": {"wait_budget_s": 0.3}}])
    assert Switchboard(plan).switch(["R1"], [])["identity"]["wait_budget_s"] == 0.3


@pytest.mark.parametrize(("on", "off"), [(["R3"], []), ([], ["R3"]), (["R1", "R3"], [])])
def test_what_cannot_be_switched_switches_nothing(on: list[str], off: list[str]) -> None:
    board = Switchboard(make_plan(FULL, 1, mitigations=["R3"]))
    with pytest.raises(SettingsError, match="R3: cannot be switched"):
        board.switch(on, off)
    assert board.on == ("R3",)


def test_an_unknown_name_switches_nothing() -> None:
    board = Switchboard(make_plan(FULL, 1))
    with pytest.raises(SettingsError, match="known: R1"):
        board.switch(["R1", "R0"], [])
    assert board.on == ()


def test_the_settings_of_the_run_follow() -> None:
    board = Switchboard(make_plan(FULL, 1))
    assert board.tree()["remediation"]["inventory"]["defect"] == "missing_exemptions"
    board.switch(["R2"], [])
    assert board.tree()["remediation"]["inventory"]["defect"] == "none"
