"""Operators' actions on accounts: restore those that are wrongly private, audit all."""

import asyncio

from chaos.remediation.accounts import Audit, to_switch
from chaos.remediation.inventory import InventoryAccount
from tests.unit.remediation.storage_provider import Bench

ALL = ("centraluseuap", "westus", "eastus")


def switch_off_everything(bench: Bench) -> None:
    for accounts in bench.provider.accounts.values():
        for name in accounts:
            bench.provider.switch(name, False)


async def test_a_restore_makes_matching_exempt_accounts_public_region_by_region(bench: Bench) -> None:
    switch_off_everything(bench)

    restored = await bench.storage().restore(["eastus", "westus"], ["vmextmi*"], actor="T09")

    assert [account.name for account in restored.accounts] == ["vmextmieastus", "vmextmiwestus"]
    assert [(name, public, actor) for _, name, public, actor in bench.provider.flips] == [
        ("vmextmieastus", True, "T09"),
        ("vmextmiwestus", True, "T09"),
    ]


async def test_accounts_that_need_not_be_public_stay_private_even_for_everything(bench: Bench) -> None:
    switch_off_everything(bench)

    await bench.storage().restore(list(ALL), ["*"], actor="T12")

    assert bench.provider.private() == sorted(f"{family}{region}" for family in ("msdiag", "mslogs") for region in ALL)


async def test_accounts_that_are_public_already_are_left_alone(bench: Bench) -> None:
    bench.provider.switch("vmextmieastus", False)

    restored = await bench.storage().restore(["eastus"], ["*"], actor="T12")

    assert [account.name for account in restored.accounts] == ["vmextmieastus"]
    assert len(bench.provider.flips) == 1


async def test_the_spacing_lies_between_two_changes(bench: Bench) -> None:
    switch_off_everything(bench)

    await bench.storage().restore(["eastus", "westus"], ["vmextlinux*", "vmextarc*"], actor="T08", spacing_s=2.0)

    assert [(t, name) for t, name, *_ in bench.provider.flips] == [
        (0.0, "vmextlinuxeastus"),
        (2.0, "vmextarceastus"),
        (4.0, "vmextlinuxwestus"),
        (6.0, "vmextarcwestus"),
    ]
    assert bench.now() == 6.0


async def test_what_cannot_be_restored_is_named_and_the_rest_is_done(bench: Bench) -> None:
    switch_off_everything(bench)
    bench.provider.deaf.add("westus")
    bench.provider.refuse.add("vmextmieastus")

    restored = await bench.storage().restore(["westus", "eastus"], ["vmextmi*", "vmextarc*"], actor="T09")

    assert [account.name for account in restored.accounts] == ["vmextarceastus"]
    assert restored.failed == ("westus", "vmextmieastus")


async def test_a_provider_that_does_not_answer_is_given_up_after_the_timeout(bench: Bench) -> None:
    switch_off_everything(bench)
    bench.provider.patch_s = 60.0

    restored = await bench.storage().restore(["eastus"], ["vmextmi*"], actor="T09")

    assert bench.now() == 5.0
    assert restored.failed == ("vmextmieastus",)
    await asyncio.sleep(60)


async def test_the_audit_counts_what_should_be_public_and_is_not(bench: Bench) -> None:
    assert await bench.storage().audit(ALL) == Audit(18, 12, 0, ())
    bench.provider.switch("vmextmieastus", False)
    bench.provider.switch("mslogseastus", False)

    assert await bench.storage().audit(ALL) == Audit(18, 11, 1, ())
    bench.provider.deaf.add("westus")
    assert await bench.storage().audit(ALL) == Audit(12, 7, 1, ("westus",))


def test_matching_accounts_come_in_the_order_of_the_patterns_each_once() -> None:
    private = [InventoryAccount(name, "r", False, True, "") for name in ("vmextarcr", "vmextlinuxr", "vmextmir")]

    found = to_switch(private, ["vmextmi*", "vmext*"], public=True)

    assert [account.name for account in found] == ["vmextmir", "vmextarcr", "vmextlinuxr"]
