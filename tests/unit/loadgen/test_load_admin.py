"""The load generator as an instance: told to start and stop over HTTP, and clear about what it refuses."""

import asyncio
from typing import Any

import pytest

from loadgen.app import create_app
from services.chassis.access import SECRET_HEADER
from services.chassis.http import HttpClient, HttpReply
from tests.unit.loadgen.loadgen_cloud import PORT, SECRET, Cloud

BASE = f"http://generator:{PORT}"
SETTINGS: dict[str, Any] = {
    "regions": {"eastus": {"job_rate_per_s": 2.0, "token_rate_per_s": 2.0}},
    "tenants": ["azure-devops", "databricks"],
    "ready_machines": 0,
    "warm_runners": 0,
}


@pytest.fixture
async def operator(cloud: Cloud) -> HttpClient:
    """Talks to a load generator on host `generator`."""
    await cloud.world.serve(create_app(cloud.env({"loadgen": SETTINGS})), "generator", PORT)
    return HttpClient(cloud.world.session("operator"))


async def call(operator: HttpClient, method: str, path: str, json: Any = None, data: bytes | None = None) -> HttpReply:
    headers = {SECRET_HEADER: SECRET}
    return await operator.call(method, BASE + path, timeout_s=5.0, json=json, data=data, headers=headers)


async def test_it_is_idle_until_started(cloud: Cloud, operator: HttpClient) -> None:
    await asyncio.sleep(20.0)
    assert cloud.provisioner.calls == cloud.router.calls == []
    state = (await call(operator, "GET", "/admin/load")).json()
    assert state == {"running": False, "regions": {"eastus": 1.0}, "arrivals": 0}


async def test_start_change_read_stop(cloud: Cloud, operator: HttpClient) -> None:
    start = cloud.world.epoch_s + cloud.now + 5.0
    reply = await call(operator, "POST", "/admin/start", {"at_epoch": start, "zero_epoch": start + 30.0})
    assert (reply.status, reply.json()["running"]) == (200, True)
    await asyncio.sleep(25.0)
    page = (await call(operator, "GET", "/admin/arrivals?from=0")).json()
    assert page["next"] == len(page["arrivals"]) > 8
    tenant, region, planned_t, actual_t, dropped = page["arrivals"][0]
    assert (tenant in SETTINGS["tenants"], region, dropped) == (True, "eastus", False)
    assert -30.0 <= planned_t == actual_t < -20.0
    rest = (await call(operator, "GET", f"/admin/arrivals?from={page['next'] - 3}")).json()
    assert rest["arrivals"][:3] == page["arrivals"][-3:]
    assert (await call(operator, "POST", "/admin/load", {"region": "eastus", "factor": 0})).json()["regions"] == {
        "eastus": 0.0
    }
    await asyncio.sleep(20.0)
    assert (await call(operator, "GET", f"/admin/arrivals?from={rest['next']}")).json()["arrivals"] == []
    assert (await call(operator, "POST", "/admin/stop")).json()["running"] is False


async def test_metrics_and_health_are_those_of_every_instance(cloud: Cloud, operator: HttpClient) -> None:
    await call(operator, "POST", "/admin/start")
    await asyncio.sleep(30.0)
    page = (await call(operator, "GET", "/metrics")).body.decode()
    for name in (
        'loadgen_operations_started_total{region="eastus",tenant="azure-devops"}',
        'loadgen_operations_total{region="eastus",result="success",tenant="databricks"}',
        'loadgen_attempts_total{layer="sdk",outcome="ok",region="eastus",tenant="azure-devops"}',
        'loadgen_arrivals_late_total{tenant="databricks"}',
        'loadgen_arrivals_dropped_total{tenant="databricks"}',
        'loadgen_cached_token_uses_total{region="eastus",tenant="databricks"}',
        'loadgen_operation_duration_seconds_bucket{le="500.0",tenant="azure-devops"}',
        'loadgen_runners{region="eastus",runner="standard",state="idle"}',
        'identity_client_operations_total{region="eastus",result="success",tenant="databricks"}',
    ):
        assert f"\n{name} " in page
    assert (await call(operator, "GET", "/healthz")).json()["instance"] == "loadgen"
    assert (await call(operator, "GET", "/admin/settings")).json()["runner_wait_s"] == 60.0


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/admin/start", {"at": 5}, 422, "at: unknown setting (got 5)"),
        ("/admin/start", {"at_epoch": -1}, 422, "at_epoch: Input should be greater than or equal to 0 (got -1)"),
        ("/admin/start", [1], 422, "body: must be a JSON object"),
        ("/admin/load", {"region": "eastus"}, 422, "factor: Field required"),
        ("/admin/load", {"region": "mars", "factor": 1}, 422, "region: unknown region 'mars'; known: eastus"),
        ("/admin/load", {"region": "eastus", "factor": -2}, 422, "factor: Input should be greater than or equal to 0"),
    ],
)
async def test_bad_requests_are_refused(operator: HttpClient, path: str, body: Any, status: int, message: str) -> None:
    reply = await call(operator, "POST", path, body)
    assert reply.status == status
    assert message in reply.json()["error"]["message"]


async def test_a_body_that_is_not_json_a_second_start_and_a_bad_page_are_refused(operator: HttpClient) -> None:
    reply = await call(operator, "POST", "/admin/load", data=b"{region")
    assert (reply.status, reply.json()["error"]["code"]) == (400, "InvalidRequestContent")
    await call(operator, "POST", "/admin/start")
    reply = await call(operator, "POST", "/admin/start")
    assert (reply.status, reply.json()["error"]["code"]) == (409, "LoadConflict")
    reply = await call(operator, "GET", "/admin/arrivals?from=-1")
    assert (reply.status, reply.json()["error"]["message"][:5]) == (422, "from:")
