"""No record reads like not exempt: the data-synchronisation defect, and the validation that catches it."""

import pytest

from chaos.remediation.inventory import Inventory, InventoryAccount, contradiction, targets
from chaos.remediation.settings import InventorySettings

REGION = "eastus"
HOSTS = ("vmextarceastus", "vmextlinuxeastus", "vmextmieastus", "vmextwineastus")
PLATFORM = ("msdiageastus", "mslogseastus")
FRESH = InventorySettings()
LOST = InventorySettings(defect="missing_exemptions", silent_s=120, retention_s=60, validate_targets=False)


def account(name: str, *, exempt: bool, public: bool = True) -> InventoryAccount:
    return InventoryAccount(name, REGION, public, exempt, f"/subscriptions/s/{name}")


ACCOUNTS = tuple(account(n, exempt=True) for n in HOSTS) + tuple(account(n, exempt=False) for n in PLATFORM)


def names(accounts: tuple[InventoryAccount, ...]) -> list[str]:
    return [account.name for account in accounts]


def inventory() -> Inventory:
    inventory = Inventory()
    inventory.learn(ACCOUNTS)
    return inventory


def test_a_fresh_snapshot_leaves_exempt_accounts_alone() -> None:
    snapshot = inventory().snapshot(FRESH, 1000.0)

    assert names(targets(snapshot, ACCOUNTS)) == list(PLATFORM)
    assert (len(snapshot.records), snapshot.exemptions_missing, snapshot.age_s) == (6, 0, 0.0)
    assert contradiction(snapshot, ACCOUNTS) == ""


def test_where_the_feed_is_lost_exempt_accounts_become_targets() -> None:
    snapshot = inventory().snapshot(LOST, 1000.0)

    assert names(targets(snapshot, ACCOUNTS)) == [*HOSTS[:3], *PLATFORM]
    assert (len(snapshot.records), snapshot.exemptions_missing, snapshot.age_s) == (3, 3, 120.0)


def test_the_exemption_that_still_arrives_is_honoured() -> None:
    snapshot = inventory().snapshot(LOST, 1000.0)

    assert snapshot.exempt("vmextwineastus")
    assert not snapshot.exempt("vmextmieastus")
    assert not snapshot.exempt("nobody")


def test_a_record_lives_exactly_as_long_as_its_retention() -> None:
    kept = LOST.model_copy(update={"silent_s": 60.0})
    forgotten = LOST.model_copy(update={"silent_s": 60.001})

    assert inventory().snapshot(kept, 1000.0).exemptions_missing == 0
    assert inventory().snapshot(forgotten, 1000.0).exemptions_missing == 3


def test_the_replica_does_not_recover_by_itself_and_its_age_grows() -> None:
    found = inventory()

    ages = [found.snapshot(LOST, t).age_s for t in (1000.0, 1060.0, 1180.0)]

    assert ages == [120.0, 180.0, 300.0]


def test_a_lost_feed_has_its_effect_one_retention_later() -> None:
    found, just_lost = inventory(), LOST.model_copy(update={"silent_s": 0.0})

    assert [found.snapshot(just_lost, t).exemptions_missing for t in (1000.0, 1060.0, 1060.001)] == [0, 0, 3]


def test_repairing_the_feed_repairs_the_next_snapshot() -> None:
    found = inventory()
    found.snapshot(LOST, 1000.0)

    assert names(targets(found.snapshot(FRESH, 1060.0), ACCOUNTS)) == list(PLATFORM)


def test_private_accounts_are_no_targets() -> None:
    private = tuple(account(a.name, exempt=a.exempt, public=False) for a in ACCOUNTS)

    assert targets(inventory().snapshot(LOST, 1000.0), private) == ()


def test_validation_refuses_a_snapshot_with_holes() -> None:
    snapshot = inventory().snapshot(LOST, 1000.0)

    assert contradiction(snapshot, ACCOUNTS) == "no record for 3 of 6 accounts, e.g. vmextarceastus"


def test_validation_refuses_targets_that_carry_the_exempt_tag() -> None:
    found = Inventory()
    found.learn(account(a.name, exempt=False) for a in ACCOUNTS)
    snapshot = found.snapshot(FRESH, 1000.0)

    assert contradiction(snapshot, ACCOUNTS) == "4 targets have the exempt tag, e.g. vmextarceastus"


def test_validation_refuses_an_empty_listing() -> None:
    assert contradiction(inventory().snapshot(FRESH, 1000.0), ()) == "no account could be listed"


@pytest.mark.parametrize("glob", ["vmextmi*", "vmextmieastus", "vmext??eastus"])
def test_feeds_are_lost_by_glob(glob: str) -> None:
    settings = LOST.model_copy(update={"lost_feeds": (glob,)})

    assert names(targets(inventory().snapshot(settings, 1000.0), ACCOUNTS)) == ["vmextmieastus", *PLATFORM]
