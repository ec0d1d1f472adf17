"""Faults end for good: after failed attempts, when the store answers late, and when somebody else has ended them."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from chaos.faults import leases
from chaos.faults.freeze import Freeze
from chaos.faults.leases import FaultLeases
from chaos.faults.model import Asked
from chaos.faults.records import FaultRecords
from compose.runtime import Runtime, RuntimeUnavailable
from tests.unit.controller.controller_desk import Desk

NAME = "blobstore-eastus"
BASE = f"http://{NAME}:8080"
BLOB = f"{BASE}/vmextmieastus/packages/GitHub.Actions.LargerRunner/1.0/package.zip"


async def inject(desk: Desk, kind: str, lease_s: float, target: dict[str, str] | None = None, **parameters: Any) -> str:
    where = {"instance": NAME} if target is None else target
    body = {"kind": kind, "target": where, "parameters": parameters, "lease_s": lease_s}
    reply = await desk.call("POST", "/v1/faults", body)
    assert reply.status == 201, reply.body
    await asyncio.sleep(0.1)
    return str(reply.json()["id"])


async def listed(desk: Desk) -> list[str]:
    return [fault["kind"] for fault in (await desk.call("GET", "/v1/faults")).json()["faults"]]


async def is_frozen(desk: Desk) -> bool:
    return (await desk.get(f"{BASE}/healthz", timeout_s=0.5)).failure == "timeout"


def another(desk: Desk) -> FaultLeases:
    """The faults of another process on the testbed."""
    testbed = desk.testbed
    return FaultLeases(testbed.runtime, testbed.events, testbed.env.streams["other"], testbed.env.background)


@pytest.fixture
def stuck(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """While not empty, no frozen instance can be resumed."""
    apply, failing = Freeze.apply, [True]

    async def fail(kind: Freeze, runtime: Runtime, name: str, asked: Sequence[Asked]) -> None:
        if failing and not asked:
            raise RuntimeUnavailable("the engine does not answer")
        await apply(kind, runtime, name, asked)

    monkeypatch.setattr(Freeze, "apply", fail)
    return failing


async def test_a_fault_that_cannot_be_reverted_blocks_neither_its_end_nor_a_reset(
    desk: Desk, stuck: list[bool]
) -> None:
    fault = await inject(desk, "freeze", 5.0)
    await asyncio.sleep(6.0)
    before = desk.now()
    assert (await desk.call("DELETE", f"/v1/faults/{fault}")).status == 501
    assert (await desk.call("DELETE", "/v1/faults")).json() == {"ended": 0}
    assert desk.now() - before < 1.0
    assert await listed(desk) == ["freeze"]
    assert (await desk.call("POST", "/v1/reset")).status == 200
    assert desk.testbed.faults.counts() == {}, "every process is new, so no fault is left"
    assert await listed(desk) == []
    assert not await is_frozen(desk)


async def test_a_fault_of_another_process_whose_end_failed_can_be_ended_again(desk: Desk, stuck: list[bool]) -> None:
    fault = await inject(desk, "freeze", 60.0)
    theirs = another(desk)
    for _ in range(2):
        with pytest.raises(RuntimeUnavailable):
            await theirs.stop(fault)
    stuck.clear()
    await theirs.stop(fault)
    assert not await is_frozen(desk)
    await theirs.close()


async def test_a_fault_that_another_process_has_ended_keeps_nothing_down(desk: Desk) -> None:
    fault = await inject(desk, "freeze", 600.0)
    theirs = another(desk)
    await theirs.stop(fault)
    assert not await is_frozen(desk)
    await inject(desk, "freeze", 5.0)
    assert await is_frozen(desk)
    await asyncio.sleep(5.0)
    assert not await is_frozen(desk)
    await theirs.close()


@pytest.mark.parametrize("kind", ["latency", "freeze"])
async def test_a_refused_fault_does_not_begin_when_the_store_is_back(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    number = FaultRecords.next_number

    async def then_stall(records: FaultRecords, above: int) -> int:
        found = await number(records, above)
        desk.world.redis.stall(10.0)
        return found

    monkeypatch.setattr(FaultRecords, "next_number", then_stall)
    parameters = {"delay_s": 1.0} if kind == "latency" else {}
    body = {"kind": kind, "target": {"instance": NAME}, "parameters": parameters, "lease_s": 600}
    assert (await desk.call("POST", "/v1/faults", body)).status == 503
    await asyncio.sleep(15.0)
    assert await listed(desk) == []
    assert not await is_frozen(desk)


async def test_a_stall_without_effect_hides_no_other_fault(desk: Desk) -> None:
    body = {"kind": "redis_stall", "probability": 0, "lease_s": 60}
    assert (await desk.call("POST", "/v1/faults", body)).status == 201
    await inject(desk, "freeze", 60.0)
    assert await listed(desk) == ["redis_stall", "freeze"]


async def test_the_number_of_active_faults_is_bounded_and_the_bound_is_said(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "ACTIVE_MAX", 2)
    await inject(desk, "freeze", 5.0)
    fault = await inject(desk, "latency", 60.0, delay_s=1.0)
    body = {"kind": "blackhole", "target": {"instance": NAME}, "lease_s": 5}
    refused = await desk.call("POST", "/v1/faults", body)
    assert refused.status == 422
    assert "at most 2 faults" in refused.json()["error"]["message"]
    await desk.call("DELETE", f"/v1/faults/{fault}")
    assert (await desk.call("POST", "/v1/faults", body)).status == 201


@pytest.mark.parametrize(
    ("kind", "parameters", "field"),
    [
        ("http_error", {"status": "503"}, "parameters.status"),
        ("http_error", {"status": 503.0}, "parameters.status"),
        ("http_error", {"status": 503, "retry_after_s": "5"}, "parameters.retry_after_s"),
        ("latency", {"delay_s": True}, "parameters.delay_s"),
        ("fail_first", {"count": "2"}, "parameters.count"),
    ],
)
async def test_parameters_have_the_type_that_services_read(
    desk: Desk, kind: str, parameters: dict[str, Any], field: str
) -> None:
    body = {"kind": kind, "target": {"instance": NAME}, "parameters": parameters, "lease_s": 5}
    refused = await desk.call("POST", "/v1/faults", body)
    assert refused.status == 422
    assert field in refused.json()["error"]["message"]


@pytest.mark.parametrize("query", ["", "?dry_run=1"])
async def test_a_misspelt_account_is_refused_with_the_known_ones(desk: Desk, query: str) -> None:
    body = {"kind": "blackhole", "target": {"account": "vmextmieast"}, "lease_s": 60}
    refused = await desk.call("POST", f"/v1/faults{query}", body)
    assert refused.status == 404
    assert "vmextmieastus" in refused.json()["error"]["message"]


async def test_an_account_of_a_silent_store_is_taken_as_given(desk: Desk) -> None:
    await inject(desk, "crash", 60.0)
    await inject(desk, "latency", 60.0, {"account": "vmextmieast"}, delay_s=1.0)


@pytest.mark.parametrize("query", ["", "?dry_run=1"])
@pytest.mark.parametrize(("kind", "parameters"), [("cpu_limit", {"cpus": 0.1}), ("partition", {"peer": "redis"})])
async def test_what_the_runtime_does_not_offer_is_refused_in_a_dry_run_too(
    desk: Desk, kind: str, parameters: dict[str, Any], query: str
) -> None:
    body = {"kind": kind, "target": {"instance": NAME}, "parameters": parameters, "lease_s": 5}
    refused = await desk.call("POST", f"/v1/faults{query}", body)
    assert refused.status == 501
    assert "supported by: compose" in refused.json()["error"]["message"]


async def test_a_throttle_below_one_request_a_second_admits_some(desk: Desk) -> None:
    await inject(desk, "throttle", 60.0, rate_per_s=0.25)
    began = desk.now()
    statuses = []
    for second in range(9):
        await asyncio.sleep(began + second - desk.now())
        statuses.append((await desk.get(BLOB)).status)
    assert statuses == [200, 429, 429, 429, 200, 429, 429, 429, 200]


@pytest.mark.parametrize(("kind", "parameters"), [("http_error", {"status": 500}), ("blackhole", {})])
async def test_an_effect_whose_fault_ends_during_a_delay_does_not_happen(
    desk: Desk, kind: str, parameters: dict[str, Any]
) -> None:
    await inject(desk, "latency", 60.0, delay_s=10.0)
    await inject(desk, kind, 5.0, **parameters)
    assert (await desk.get(BLOB)).status == 200
    await inject(desk, kind, 5.0, **parameters)
    await inject(desk, "http_error", 60.0, status=418)
    assert (await desk.get(BLOB)).status == 418, "a later fault that lasts takes its place"


async def test_a_blackhole_holds_no_request_whose_caller_has_gone(desk: Desk) -> None:
    await inject(desk, "blackhole", 600.0)
    replies = await asyncio.gather(*(desk.get(BLOB, timeout_s=2.0) for _ in range(3)))
    assert {reply.failure for reply in replies} == {"timeout"}
    await asyncio.sleep(6.0)
    page = (await desk.get(f"{BASE}/metrics")).body.decode()
    assert "http_requests_in_flight 0.0" in page
