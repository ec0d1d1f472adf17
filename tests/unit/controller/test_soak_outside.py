"""What the soak test of a running testbed asks of the controller and the services."""

import asyncio
from typing import Any

import pytest

from chaos.controller.other_run import INTERVAL_S
from chaos.soak.outside import Outside, status_troubles
from compose.run_lease import KEY, LEASE_S
from services.chassis.store import Keys
from tests.unit.controller.controller_desk import Desk

LOAD = "http://loadgen:8080/admin/load"
REGIONS = ("eastus", "westus")


async def test_load_and_traffic_are_set_through_the_api(desk: Desk) -> None:
    outside = Outside(desk, desk.testbed.runtime, REGIONS)
    await outside.set_load("eastus", 0.1)
    await outside.set_traffic("westus", {"mode": "drain"})
    load = (await desk.get(LOAD)).json()["regions"]
    assert load == {"eastus": 0.1, "westus": 1.0}
    state = (await desk.call("GET", "/v1/status")).json()
    assert [region["traffic"] for region in state["regions"]] == ["open", "drain"]
    assert await outside.down() == {}


async def test_what_keeps_a_testbed_from_being_healthy_at_full_load_is_said(desk: Desk) -> None:
    outside = Outside(desk, desk.testbed.runtime, REGIONS)
    assert await outside.trouble() == "the load is off"
    await desk.testbed.operations.ensure_load()
    assert await outside.trouble() == ""
    await outside.set_load("eastus", 0.1)
    await outside.set_traffic("westus", {"mode": "drain"})
    assert await outside.trouble() == "eastus has 0.1 of its load; westus: drain"
    await outside.set_load("eastus", 1.0)
    await outside.set_traffic("westus", {"mode": "open"})
    fault = {"kind": "crash", "target": {"service": "router", "region": "eastus"}, "lease_s": 60}
    await desk.done("POST", "/v1/faults", fault)
    assert await outside.trouble() == "fault crash is active; eastus does not answer"
    await desk.done("DELETE", "/v1/faults")
    await desk.testbed.runtime.store.set(KEY, "another process", ex=LEASE_S)
    await asyncio.sleep(INTERVAL_S)
    assert await outside.trouble() == "a run of another process is in progress"


async def test_the_settings_are_those_of_the_compose_file_with_the_overlay(desk: Desk) -> None:
    await desk.testbed.runtime.store.set(Keys.OVERLAY, '{"loadgen": {"profile": "rest"}}')
    tree = await Outside(desk, desk.testbed.runtime, REGIONS).settings()
    assert (tree["loadgen"]["profile"], "northeurope" in tree["loadgen"]["regions"]) == ("rest", True)


REGION = {"name": "eastus", "down_since": None, "reachable": True}
CALM = {"banner": None, "run": None, "remediation": None, "faults": [], "regions": [REGION]}


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, []),
        ({"banner": {"kind": "run"}, "faults": [{"kind": "freeze"}]}, ["a run of another process is in progress"]),
        ({"banner": {"kind": "stall"}}, []),
        ({"run": {"id": "r1", "state": "running", "runtime": "compose"}}, ["run r1 is in progress"]),
        ({"run": {"id": "r1", "state": "done", "runtime": "compose"}}, []),
        ({"run": {"id": "r1", "state": "running", "runtime": "virtual"}}, []),
        ({"remediation": {"provisioningState": "Evaluating"}}, ["the policy job is running"]),
        ({"remediation": {"provisioningState": "Complete"}}, []),
        ({"regions": [{**REGION, "down_since": "2026-11-30T00:00:00Z"}]}, ["eastus is down"]),
    ],
)
def test_what_the_status_says_against_it(change: dict[str, Any], found: list[str]) -> None:
    assert status_troubles({**CALM, **change}) == found
