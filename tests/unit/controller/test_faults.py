"""Every fault in both directions: its effect is there, it ends on time, and without it nothing changes."""

import asyncio
from random import Random
from typing import Any

import aiohttp
import pytest

from chaos.faults.leases import FaultLeases
from tests.unit.controller.controller_desk import Desk

BLOB = "http://blobstore-eastus:8080/vmextmieastus/packages/GitHub.Actions.LargerRunner/1.0/package.zip"
OTHER_BLOB = BLOB.replace("eastus", "westus")
EAST_BLOBSTORE = {"service": "blobstore", "region": "eastus"}
LEASE_S = 5.0
PROPAGATION_S = 0.1


async def start(desk: Desk, kind: str, target: dict[str, str], **parameters: Any) -> str:
    body = {"kind": kind, "target": target, "parameters": parameters, "lease_s": LEASE_S}
    reply = await desk.call("POST", "/v1/faults", body)
    assert reply.status == 201, reply.body
    await asyncio.sleep(PROPAGATION_S)
    return str(reply.json()["id"])


async def elapsed(desk: Desk, url: str) -> float:
    before = desk.now()
    await desk.get(url)
    return desk.now() - before


async def test_without_a_fault_nothing_is_different(desk: Desk) -> None:
    assert (await desk.get(BLOB)).status == 200
    assert (await desk.call("GET", "/v1/faults")).json() == {"faults": []}


async def test_latency_delays_by_its_parameter_and_ends_with_its_lease(desk: Desk) -> None:
    calm_s = await elapsed(desk, BLOB)
    await start(desk, "latency", EAST_BLOBSTORE, delay_s=2.0)
    assert await elapsed(desk, BLOB) >= 2.0
    assert await elapsed(desk, OTHER_BLOB) < 1.0, "another region is not meant"
    await asyncio.sleep(LEASE_S)
    assert await elapsed(desk, BLOB) < calm_s + 1.0


async def test_http_error_answers_in_the_dialect_of_the_service(desk: Desk) -> None:
    fault = await start(desk, "http_error", EAST_BLOBSTORE, status=503, code="ServerBusy")
    reply = await desk.get(BLOB)
    assert (reply.status, reply.headers["x-ms-error-code"]) == (503, "ServerBusy")
    await desk.call("DELETE", f"/v1/faults/{fault}")
    assert (await desk.get(BLOB)).status == 200


async def test_fail_first_fails_exactly_so_many(desk: Desk) -> None:
    await start(desk, "fail_first", EAST_BLOBSTORE, count=2)
    assert [(await desk.get(BLOB)).status for _ in range(4)] == [503, 503, 200, 200]


async def test_throttle_lets_its_rate_pass_and_says_when_to_come_back(desk: Desk) -> None:
    await start(desk, "throttle", EAST_BLOBSTORE, rate_per_s=1)
    replies = [await desk.get(BLOB) for _ in range(3)]
    assert [reply.status for reply in replies] == [200, 429, 429]
    assert replies[1].headers["Retry-After"] == "1"


async def test_connection_reset_gives_no_answer(desk: Desk) -> None:
    await start(desk, "connection_reset", EAST_BLOBSTORE)
    assert (await desk.get(BLOB)).failure == "reset"
    await asyncio.sleep(LEASE_S)
    assert (await desk.get(BLOB)).status == 200


async def test_blackhole_leaves_the_caller_to_its_own_timeout(desk: Desk) -> None:
    await start(desk, "blackhole", EAST_BLOBSTORE)
    before = desk.now()
    assert (await desk.get(BLOB, timeout_s=3.0)).failure == "timeout"
    assert desk.now() - before == 3.0


async def test_an_account_can_be_singled_out(desk: Desk) -> None:
    await start(desk, "http_error", {"account": "vmextmieastus"}, status=500)
    assert (await desk.get(BLOB)).status == 500
    assert (await desk.get(BLOB.replace("vmextmieastus", "vmextlinuxeastus"))).status == 404


@pytest.mark.parametrize(
    "account", ["adminstuff", "admin", "metrics", "metricsx", "healthz", "healthz2", "readyz1", "openapi.jsonx"]
)
async def test_no_account_escapes_a_fault_by_its_name(desk: Desk, account: str) -> None:
    path = f"http://blobstore-eastus:8080/{account}/box/blob"
    assert (await desk.get(path)).status in (400, 404)
    await start(desk, "http_error", EAST_BLOBSTORE, status=503)
    assert (await desk.get(path)).status == 503


@pytest.mark.parametrize("page", ["healthz", "readyz", "metrics", "openapi.json", "admin/settings", "admin/accounts"])
async def test_operator_endpoints_are_exempt_from_faults(desk: Desk, page: str) -> None:
    await start(desk, "http_error", EAST_BLOBSTORE, status=503)
    assert (await desk.get(f"http://blobstore-eastus:8080/{page}")).status == 200


async def test_a_crash_kills_and_the_end_of_the_lease_revives(desk: Desk) -> None:
    await start(desk, "crash", EAST_BLOBSTORE)
    assert (await desk.get(BLOB)).failure == "refused"
    await asyncio.sleep(LEASE_S + 0.5)
    assert (await desk.get(BLOB)).status == 200


async def test_freeze_holds_requests_and_lets_them_go_on(desk: Desk) -> None:
    await start(desk, "freeze", EAST_BLOBSTORE)
    before = desk.now()
    assert (await desk.get(BLOB)).status == 200
    assert desk.now() - before >= LEASE_S - 1.0, "it answered only when the lease was over"


async def test_partition_cuts_two_instances_and_no_others(desk: Desk) -> None:
    await start(desk, "partition", {"instance": "blobstore-eastus"}, peer="provisioner-eastus")
    assert (await desk.get(BLOB)).status == 200
    caller = desk.world.session("provisioner-eastus")
    with pytest.raises((aiohttp.ClientError, TimeoutError)):
        await caller.get(BLOB, timeout=aiohttp.ClientTimeout(total=1.0))


async def test_a_stalled_store_holds_writes_and_the_lease_ends_it(desk: Desk) -> None:
    await start(desk, "redis_stall", {})
    before = desk.now()
    await desk.testbed.runtime.store.ping()
    assert desk.now() - before >= LEASE_S - 1.0


async def test_what_virtual_time_cannot_do_is_said(desk: Desk) -> None:
    body = {"kind": "cpu_limit", "target": EAST_BLOBSTORE, "parameters": {"cpus": 0.1}, "lease_s": 5}
    assert (await desk.call("POST", "/v1/faults", body)).status == 501


async def test_effects_are_counted_and_a_dry_run_has_none(desk: Desk) -> None:
    body = {"kind": "http_error", "target": EAST_BLOBSTORE, "parameters": {"status": 500}, "lease_s": 60}
    dry = await desk.call("POST", "/v1/faults?dry_run=1", body)
    assert dry.json() == {"dry_run": True, "instances": ["blobstore-eastus"]}
    assert (await desk.get(BLOB)).status == 200
    fault = (await desk.call("POST", "/v1/faults", body)).json()["id"]
    await asyncio.sleep(PROPAGATION_S)
    for _ in range(3):
        await desk.get(BLOB)
    await asyncio.sleep(1.0)
    assert (await desk.call("GET", f"/v1/faults/{fault}")).json()["effects"] == 3


async def test_a_controller_that_was_killed_finds_and_reverts_its_faults(desk: Desk) -> None:
    await start(desk, "freeze", EAST_BLOBSTORE)
    await desk.testbed.faults.close()  # what SIGKILL leaves: the record in the store, nobody watching
    await asyncio.sleep(LEASE_S + 10)
    successor = FaultLeases(desk.testbed.runtime, desk.testbed.events, Random(1), desk.testbed.env.background)
    await successor.adopt()
    await asyncio.sleep(0.1)
    assert await successor.active() == []
    assert (await desk.get(BLOB)).status == 200


async def test_service_faults_end_without_any_controller(desk: Desk) -> None:
    await start(desk, "http_error", EAST_BLOBSTORE, status=500)
    await desk.testbed.faults.close()
    await asyncio.sleep(LEASE_S)
    assert (await desk.get(BLOB)).status == 200
