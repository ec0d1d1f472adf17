"""Recovery: faults that cannot be undone at once, a reset from any state, and the return of the load."""

import asyncio
from typing import Any

import pytest

from chaos.controller.load_keeper import INTERVAL_S, LoadKeeper
from chaos.faults import leases
from compose.runtime import RuntimeUnavailable
from loadgen.arrivals import Arrivals
from tests.unit.controller.controller_desk import Desk

BLOB = "http://blobstore-eastus:8080/vmextmieastus/packages/GitHub.Actions.LargerRunner/1.0/package.zip"
LOAD = "http://loadgen:8080/admin/load"
EAST_BLOBSTORE = {"service": "blobstore", "region": "eastus"}
LEASE_S = 5.0


async def inject(desk: Desk, kind: str, target: dict[str, str], **more: Any) -> dict[str, Any]:
    reply = await desk.call("POST", "/v1/faults", {"kind": kind, "target": target, "lease_s": LEASE_S, **more})
    assert reply.status == 201, reply.body
    await asyncio.sleep(0.1)
    document: dict[str, Any] = reply.json()
    return document


def kinds(desk: Desk, kind: str) -> list[dict[str, Any]]:
    return [event for event in desk.testbed.feed.history if event["kind"] == kind]


@pytest.mark.parametrize("kind", ["crash", "freeze", "redis_stall"])
async def test_with_probability_0_an_instance_fault_affects_no_instance(desk: Desk, kind: str) -> None:
    assert (await inject(desk, kind, {}, probability=0))["effects"] == 0
    assert (await desk.get(BLOB, timeout_s=1.0)).status == 200


async def test_with_probability_0_a_service_fault_changes_no_request(desk: Desk) -> None:
    fault = await inject(desk, "http_error", EAST_BLOBSTORE, parameters={"status": 500}, probability=0)
    assert [(await desk.get(BLOB)).status for _ in range(20)] == [200] * 20
    assert (await desk.call("GET", f"/v1/faults/{fault['id']}")).json()["effects"] == 0


async def test_a_probability_draws_among_the_targets_of_an_instance_fault(desk: Desk) -> None:
    drawn = (await inject(desk, "freeze", {}, probability=0.5))["instances"]
    assert 0 < len(drawn) < len(desk.testbed.runtime.instances())
    await asyncio.sleep(LEASE_S)
    assert (await desk.call("GET", "/v1/faults")).json() == {"faults": []}


async def test_an_injected_error_says_when_to_come_back(desk: Desk) -> None:
    await inject(desk, "http_error", EAST_BLOBSTORE, parameters={"status": 503, "retry_after_s": 6.2})
    reply = await desk.get(BLOB)
    assert (reply.status, reply.headers["Retry-After"]) == (503, "7")


async def test_a_fault_that_could_not_start_leaves_nothing_behind(desk: Desk) -> None:
    body = {"kind": "cpu_limit", "target": EAST_BLOBSTORE, "parameters": {"cpus": 0.1}, "lease_s": 60}
    assert (await desk.call("POST", "/v1/faults", body)).status == 501
    assert (await desk.call("GET", "/v1/faults")).json() == {"faults": []}


async def test_undoing_is_repeated_until_it_succeeds(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = desk.testbed.runtime
    revive, refused = runtime.revive, 3

    async def reluctant(name: str) -> None:
        nonlocal refused
        refused -= 1
        if refused >= 0:
            raise RuntimeUnavailable("Docker: not now")
        await revive(name)

    monkeypatch.setattr(runtime, "revive", reluctant)
    await inject(desk, "crash", EAST_BLOBSTORE)
    await asyncio.sleep(LEASE_S + 2 * leases.REVERT_RETRY_S)
    assert (await desk.get(BLOB)).failure == "refused"
    await asyncio.sleep(leases.REVERT_RETRY_S)
    assert (await desk.get(BLOB)).status == 200
    assert [event["error"] for event in kinds(desk, "fault_not_reverted")] == ["Docker: not now"] * 3


async def test_a_call_that_cannot_undo_a_fault_leaves_it_to_its_lease(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = await inject(desk, "freeze", EAST_BLOBSTORE)

    async def refuse(_name: str) -> None:
        raise RuntimeUnavailable("Docker: not now")

    with monkeypatch.context() as patched:
        patched.setattr(desk.testbed.runtime, "resume", refuse)
        assert (await desk.call("DELETE", f"/v1/faults/{fault['id']}")).status == 501
    await asyncio.sleep(LEASE_S)
    assert (await desk.get(BLOB)).status == 200


async def test_faults_are_listed_while_the_store_does_not_answer(desk: Desk) -> None:
    started = desk.now()
    stall = await inject(desk, "redis_stall", {})
    listed = (await desk.call("GET", "/v1/faults")).json()["faults"]
    assert [fault["id"] for fault in listed] == [stall["id"]]
    assert desk.now() - started < LEASE_S


async def test_reset_restarts_dead_instances_and_the_load(desk: Desk) -> None:
    for name in ("loadgen", "router-eastus", "identity-westus-1"):
        await desk.testbed.runtime.kill(name)
    await desk.call("POST", "/v1/operations/scale", {"region": "eastus", "count": 1})
    reply = await desk.call("POST", "/v1/reset")
    assert reply.status == 200, reply.body
    expected = {spec.name for spec in desk.plan.topology.instances()}
    assert {spec.name for spec in desk.testbed.runtime.instances()} == expected
    assert [(await desk.get(f"http://{name}:8080/readyz")).status for name in sorted(expected)] == [200] * len(expected)
    assert (await desk.get(LOAD)).json()["running"]


async def test_reset_recovers_a_testbed_without_any_live_instance(desk: Desk) -> None:
    for spec in desk.testbed.runtime.instances():
        await desk.testbed.runtime.kill(spec.name)
    assert (await desk.call("POST", "/v1/reset")).status == 200
    assert (await desk.get(BLOB)).status == 200


async def test_a_second_reset_and_a_run_are_refused_while_one_is_under_way(desk: Desk) -> None:
    testbed = desk.testbed
    testbed.make_runtime = lambda: testbed.runtime
    calls = [("/v1/reset", None), ("/v1/reset", None), ("/v1/runs", {"scenario": "calm-day"})]
    replies = await asyncio.gather(*(desk.call("POST", path, body) for path, body in calls))
    assert [reply.status for reply in replies] == [200, 409, 409]
    for reply in replies[1:]:
        assert "a reset is in progress" in reply.json()["error"]["message"]


async def test_a_silent_load_generator_gets_its_load(desk: Desk) -> None:
    """That is how one comes back that was killed."""
    keeper = LoadKeeper(desk.testbed)
    await asyncio.sleep(0.1)
    assert (await desk.get(LOAD)).json()["running"]
    await desk.testbed.operations.stop_load()
    await asyncio.sleep(2 * INTERVAL_S)
    assert (await desk.get(LOAD)).json()["running"]
    await keeper.close()


async def test_a_killed_load_generator_stops_sending_and_the_run_still_ends(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = 0
    due = Arrivals._due

    def counted(arrivals: Arrivals) -> None:
        nonlocal sent
        sent += 1
        due(arrivals)

    monkeypatch.setattr(Arrivals, "_due", counted)
    keeper = LoadKeeper(desk.testbed)
    await asyncio.sleep(5.0)
    await keeper.close()
    assert sent > 0
    await desk.testbed.runtime.kill("loadgen")
    before = sent
    await asyncio.sleep(5.0)
    assert sent == before


async def test_the_load_of_somebody_elses_run_is_left_alone(desk: Desk) -> None:
    await desk.testbed.runtime.store.set("run", "another-host/1", ex=3600)
    keeper = LoadKeeper(desk.testbed)
    await asyncio.sleep(3 * INTERVAL_S)
    assert not (await desk.get(LOAD)).json()["running"]
    await keeper.close()
