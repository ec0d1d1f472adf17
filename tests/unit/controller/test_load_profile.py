"""How much load the idle testbed has, over the API."""

import asyncio

import pytest

from chaos.controller.testbed import Testbed
from tests.unit.controller.controller_desk import Desk

PROFILE = "/v1/load"


async def arrivals(desk: Desk, seconds: float) -> float:
    """Operations begun a second, over so long."""

    async def started() -> float:
        page = (await desk.get("http://loadgen:8080/metrics")).body.decode()
        name = "loadgen_operations_started_total{"
        return sum(float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if line.startswith(name))

    before = await started()
    await asyncio.sleep(seconds)
    return (await started() - before) / seconds


WATCHED_S = 30.0
BASE_PER_S = 19.7
"""Of both regions; the desk's two nodes could not carry it, so users send a tenth until the reset forgets that."""


@pytest.mark.parametrize("world", ["direct"], indirect=True)  # much load, and no matter of HTTP
async def test_rest_is_a_tenth_and_outlives_mitigations_and_a_reset(desk: Desk) -> None:
    assert (await desk.call("GET", "/v1/status")).json()["load"] == {"profile": "base"}
    for region in ("eastus", "westus"):
        assert (await desk.call("POST", "/v1/operations/load", {"region": region, "factor": 0.1})).status == 200
    await desk.testbed.operations.ensure_load()
    assert 0.7 * BASE_PER_S / 10 < await arrivals(desk, WATCHED_S) < 1.3 * BASE_PER_S / 10
    reply = await desk.call("PUT", PROFILE, {"profile": "rest"})
    assert (reply.status, reply.json()) == (200, {"profile": "rest"})
    await asyncio.sleep(1.0)
    assert 0 < await arrivals(desk, WATCHED_S) < BASE_PER_S / 50
    assert (await desk.call("PUT", "/v1/mitigations/R1", {"on": True})).status == 200
    await asyncio.sleep(1.0)
    assert await arrivals(desk, WATCHED_S) < BASE_PER_S / 50, "a mitigation must not bring the load back"
    assert (await desk.call("POST", "/v1/reset")).status == 200
    assert (await desk.call("GET", "/v1/status")).json()["load"] == {"profile": "rest"}
    assert 0 < await arrivals(desk, WATCHED_S) < BASE_PER_S / 5, "nor must a reset"


async def test_an_unknown_profile_is_refused_by_name(desk: Desk) -> None:
    reply = await desk.call("PUT", PROFILE, {"profile": "none"})
    assert reply.status == 422
    assert "profile" in reply.json()["error"]["message"]


async def test_a_run_keeps_its_scenarios_load(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Testbed, "run_is_on", True)
    reply = await desk.call("PUT", PROFILE, {"profile": "rest"})
    assert reply.status == 409
    assert desk.testbed.load_profile == "base"


async def test_a_scenarios_plan_says_base_whatever_the_testbed_has(desk: Desk) -> None:
    assert desk.plan.settings["loadgen"]["profile"] == "base"
