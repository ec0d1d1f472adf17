"""The same calls against the real blob service: what the stand-in of the other tests assumes is what it does."""

from typing import Any

from chaos.remediation.accounts import Audit, StorageAccounts
from compose.virtual.world import EPOCH_S, VirtualWorld
from services.blobstore.app import create_app
from services.chassis.clock import Clock
from services.chassis.env import Env, Peers, make_env
from services.chassis.http import HttpClient
from services.chassis.registry import Instance

URL = "http://blobstore-eastus:8080"


def blobstore_env(world: VirtualWorld, lines: list[dict[str, Any]]) -> Env:
    return make_env(
        Instance("blobstore", "eastus", "blobstore-eastus", URL),
        seed=1,
        clock=Clock(world.loop.time, EPOCH_S),
        http=HttpClient(world.session("blobstore-eastus")),
        store=world.redis.client(),
        sink=lines.append,
        tree={},
        peers=Peers(),
    )


async def test_list_switch_restore_and_audit(world: VirtualWorld) -> None:
    lines: list[dict[str, Any]] = []
    await world.serve(create_app(blobstore_env(world, lines)), "blobstore-eastus", 8080)
    storage = StorageAccounts(HttpClient(world.session("controller")), Peers())

    accounts = await storage.list("eastus")
    assert accounts is not None
    assert [(a.name, a.public, a.exempt) for a in accounts] == [
        ("msdiageastus", True, False),
        ("mslogseastus", True, False),
        ("vmextarceastus", True, True),
        ("vmextlinuxeastus", True, True),
        ("vmextmieastus", True, True),
        ("vmextwineastus", True, True),
    ]

    for account in accounts[:5]:
        assert (await storage.set_public(account, False, actor="run-1")).ok
    assert await storage.audit(["eastus"]) == Audit(6, 1, 3, ())

    restored = await storage.restore(["eastus"], ["vmextmi*", "*"], actor="T09")
    assert [a.name for a in restored.accounts] == ["vmextmieastus", "vmextarceastus", "vmextlinuxeastus"]
    assert await storage.audit(["eastus"]) == Audit(6, 4, 0, ())
    changes = [(e["account"], e["public"], e["exempt"], e["actor"]) for e in lines if e["kind"] == "account_changed"]
    assert changes[-1] == ("vmextlinuxeastus", True, True, "T09")
    assert ("vmextmieastus", False, True, "run-1") in changes
