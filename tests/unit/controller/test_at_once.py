"""Concurrent callers: no acknowledged change is lost, and conflicting calls are refused."""

import asyncio
import json
from typing import Any

import pytest
from redis.exceptions import RedisError

from chaos.controller.switches import Switches
from chaos.experiment.operations import change_overlay
from chaos.faults.records import INSTANCE_PREFIX, FaultRecords
from chaos.mitigations import catalogue, run_time_overlay
from chaos.remediation.rollout import Rollout
from chaos.remediation.settings import POLICY
from compose.runtime import RuntimeUnavailable
from services.chassis.background import DELAY_MAX_S
from services.chassis.settings import leaves, merge
from services.chassis.store import Keys
from tests.unit.controller.controller_desk import Desk

SUBSCRIPTION = "00000000-0000-4000-8000-00000af7e5c0"
ASSIGNMENT = f"/providers/Microsoft.Authorization/policyAssignments/{POLICY}"
SWITCHABLE = ("R1", "R4", "R7", "X1", "X5")


def remediation(name: str) -> str:
    base = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.PolicyInsights/remediations"
    return f"{base}/{name}?api-version=2021-10-01"


async def put_remediation(desk: Desk, name: str) -> Any:
    return await desk.call("PUT", remediation(name), {"properties": {"policyAssignmentId": ASSIGNMENT}})


async def overlay_of(desk: Desk) -> Any:
    return json.loads(await desk.testbed.runtime.store.get(Keys.OVERLAY) or b"{}")


def switchable() -> list[str]:
    found = []
    for row in catalogue():
        try:
            run_time_overlay([row["id"]])
        except ValueError:
            continue
        found.append(str(row["id"]))
    return found


async def test_mitigations_that_are_switched_at_once_are_all_on_and_then_all_off(desk: Desk) -> None:
    names = [name for name in switchable() if name in SWITCHABLE]
    assert len(names) >= 2
    for on in (True, False):
        replies = await asyncio.gather(*(desk.call("PUT", f"/v1/mitigations/{name}", {"on": on}) for name in names))
        assert {reply.status for reply in replies} == {200}
        assert desk.testbed.mitigations >= set(names) if on else not desk.testbed.mitigations & set(names)
        assert await overlay_of(desk) == (run_time_overlay(sorted(desk.testbed.mitigations)) if on else {})


async def test_what_a_run_laid_over_the_settings_meanwhile_is_not_lost(desk: Desk) -> None:
    testbed = desk.testbed

    async def lay(number: int) -> None:
        change = {"identity": {"workers": number}, "loadgen": {f"tenants-{number}": []}}
        await change_overlay(testbed.runtime, lambda overlay: merge(overlay, change), testbed.events)

    await asyncio.gather(*(lay(n) for n in range(1, 6)), desk.call("PUT", "/v1/mitigations/R7", {"on": True}))
    found = await overlay_of(desk)
    assert set(found["loadgen"]) >= {f"tenants-{number}" for number in range(1, 6)}
    assert dict(leaves(run_time_overlay(["R7"]))).items() <= dict(leaves(found)).items()


async def test_switching_off_leaves_what_others_laid_there(desk: Desk) -> None:
    testbed = desk.testbed
    await desk.call("PUT", "/v1/mitigations/R7", {"on": True})
    await change_overlay(testbed.runtime, lambda tree: merge(tree, {"identity": {"workers": 7}}), testbed.events)
    await desk.call("PUT", "/v1/mitigations/R7", {"on": False})
    assert await overlay_of(desk) == {"identity": {"workers": 7}}


async def test_a_controller_that_was_killed_can_switch_off_what_it_had_switched_on(desk: Desk) -> None:
    await desk.call("PUT", "/v1/mitigations/R7", {"on": True})
    on = set(desk.testbed.mitigations)
    successor = Switches(desk.testbed.runtime, desk.testbed.events, dict, 1.0)
    await successor.take_over()
    assert successor.on == on
    await successor.switch("R7", on=False)
    assert await overlay_of(desk) == {}


async def test_of_two_remediations_at_once_one_is_refused_also_after_one_that_is_over(desk: Desk) -> None:
    for round_ in range(2):
        replies = await asyncio.gather(*(put_remediation(desk, f"r{round_}-{number}") for number in range(3)))
        assert sorted(reply.status for reply in replies) == [201, 409, 409], [reply.body for reply in replies]
        started = [event for event in desk.testbed.feed.history if event["kind"] == "remediation_started"]
        assert len(started) == round_ + 1
        (name,) = [f"r{round_}-{n}" for n, reply in enumerate(replies) if reply.status == 201]
        path, _, query = remediation(name).partition("?")
        assert (await desk.call("POST", f"{path}/cancel?{query}")).status == 200


async def test_the_same_remediation_twice_at_once_is_one(desk: Desk) -> None:
    replies = await asyncio.gather(put_remediation(desk, "same"), put_remediation(desk, "same"))
    assert sorted(reply.status for reply in replies) == [200, 201]


async def test_the_two_apis_of_the_policy_job_exclude_each_other(desk: Desk) -> None:
    replies = await asyncio.gather(
        desk.call("POST", "/v1/remediation", {}), put_remediation(desk, "r"), desk.call("POST", "/v1/remediation", {})
    )
    assert sorted(reply.status // 100 for reply in replies) == [2, 4, 4]


async def test_a_remediation_that_raises_fails_does_not_block_others_and_can_be_deleted(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_self: Rollout) -> Any:
        raise KeyError("exemptions")

    with monkeypatch.context() as patched:
        patched.setattr(Rollout, "_execute", broken)
        assert (await put_remediation(desk, "broken")).status == 201
        await asyncio.sleep(1.0)
    shown = (await desk.call("GET", remediation("broken"))).json()["properties"]
    assert (shown["provisioningState"], shown["statusMessage"]) == ("Failed", "KeyError: 'exemptions'")
    assert [e["reason"] for e in desk.testbed.feed.history if e["kind"] == "remediation_failed"] == [
        "KeyError: 'exemptions'"
    ]
    path, _, query = remediation("broken").partition("?")
    assert (await desk.call("POST", f"{path}/cancel?{query}")).status == 400, "it is over"
    assert (await desk.call("DELETE", "/v1/remediation")).status == 200
    assert (await desk.call("DELETE", remediation("broken"))).status == 200
    assert (await put_remediation(desk, "next")).status == 201


async def test_accounts_that_are_switched_both_ways_at_once_end_in_one_state(desk: Desk) -> None:
    for first in (True, False):
        bodies = ({"enabled": first}, {"enabled": not first})
        await asyncio.gather(*(desk.call("PUT", "/v1/anonymous-access", body) for body in bodies))
        accounts = (await desk.call("GET", "/v1/accounts")).json()["accounts"]
        assert len({account["public"] for account in accounts if account["exempt"]}) == 1


async def test_two_scale_outs_at_once_add_both(desk: Desk) -> None:
    body = {"region": "eastus", "count": 1}
    replies = await asyncio.gather(*(desk.call("POST", "/v1/operations/scale", body) for _ in range(2)))
    assert [reply.status for reply in replies] == [200, 200], [reply.body for reply in replies]
    names = {name for reply in replies for name in reply.json()["nodes"]}
    assert names == {"identity-eastus-2", "identity-eastus-3"}


async def test_nothing_starts_while_everything_is_being_reset(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desk.testbed, "settle", lambda: asyncio.sleep(5.0))
    resetting = asyncio.create_task(desk.call("POST", "/v1/reset"))
    await asyncio.sleep(1.0)
    assert desk.testbed.resetting
    assert (await desk.call("POST", "/v1/remediation", {})).status == 409
    assert (await desk.call("PUT", "/v1/mitigations/R7", {"on": True})).status == 409
    node = {"instance": "blobstore-eastus"}
    assert (await desk.call("POST", "/v1/faults", {"kind": "freeze", "target": node, "lease_s": 5})).status == 409
    assert (await desk.call("POST", "/v1/operations/scale", {"region": "eastus", "count": 1})).status == 409
    assert (await desk.call("POST", "/v1/operations/repair", node)).status == 409
    assert (await resetting).status == 200


async def test_faults_that_are_started_at_once_after_a_reset_have_numbers_of_their_own(desk: Desk) -> None:
    body = {"kind": "latency", "target": {"service": "router"}, "lease_s": 60, "parameters": {"delay_s": 0.01}}
    for _ in range(3):
        await desk.call("POST", "/v1/faults", body)
    await desk.testbed.runtime.store.flushall()
    replies = await asyncio.gather(*(desk.call("POST", "/v1/faults", body) for _ in range(3)))
    ids = {reply.json()["id"] for reply in replies}
    assert len(ids) == 3
    assert not ids & {"f1", "f2", "f3"}


async def test_a_fault_that_could_not_start_leaves_no_record_although_the_store_fails_meanwhile(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, runtime = desk.testbed.runtime.store, desk.testbed.runtime
    dropping = FaultRecords.drop
    tries = []

    async def refuse(_name: str) -> None:
        raise RuntimeUnavailable("cannot be paused")

    async def drop(records: FaultRecords, fault_id: str, expires_at: float) -> bool:
        tries.append(fault_id)
        if len(tries) < 3:
            raise RedisError("away")
        return await dropping(records, fault_id, expires_at)

    monkeypatch.setattr(runtime, "pause", refuse)
    monkeypatch.setattr(FaultRecords, "drop", drop)
    body = {"kind": "freeze", "target": {"service": "router", "region": "eastus"}, "lease_s": 60}
    assert (await desk.call("POST", "/v1/faults", body)).status == 501
    await asyncio.sleep(DELAY_MAX_S)
    assert not await store.keys(INSTANCE_PREFIX + "*")
    assert tries == ["f1"] * 3
