"""A calm day in Docker, in real time: no alert, and no trace of it after it was aborted."""

import asyncio

import pytest

from chaos.experiment.baseline import MachineStalled
from tests.system.system_desk import ALERTS_END_S, FIRING, Desk
from tests.system.system_testbed import Stack
from tests.words.operator import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]
CALM_DAY = "calm-day"
CALM_UNTIL_T = 25.0
WARM_UP_S = 25.0


async def test_a_calm_day_fires_no_alert_and_is_aborted_without_a_trace(testbed: Stack, desk: Desk) -> None:
    await eventually(desk.no_alert_fires, within_s=ALERTS_END_S, what="no alert fires")
    run = await desk.done("POST", "/v1/runs", {"scenario": CALM_DAY, "seed": 1})
    try:
        zero_epoch_s = await _until(desk, CALM_UNTIL_T)
        second = await desk.chaos("POST", "/v1/runs", {"scenario": CALM_DAY})
        assert (second.status, run["id"] in second.json()["error"]["message"]) == (409, True)
        fired = await desk.curve(FIRING, zero_epoch_s - WARM_UP_S, zero_epoch_s + CALM_UNTIL_T)
        assert [line.labels for line in fired] == []
    finally:
        ended = await desk.chaos("DELETE", "/v1/runs/current")
    assert ended.json()["state"] == "aborted"
    status = await desk.done("GET", "/v1/status")
    assert {region["traffic"] for region in status["regions"]} == {"open"}
    assert {region["exempt_private"] for region in status["regions"]} == {0}
    assert (await desk.ask("loadgen", "/admin/load")).json()["running"]


async def _until(desk: Desk, t: float) -> float:
    """Waits until τ = `t`; returns the Unix time of τ = 0."""
    while (now := await desk.done("GET", "/v1/runs/current"))["now"].get("t", -1.0) < t:
        if now["why"].startswith(MachineStalled.__name__):
            pytest.xfail(f"THIS MACHINE CANNOT JUDGE IT, says the run's own guard: {now['why']}")
        assert now["state"] in ("starting", "running"), now
        await asyncio.sleep(1.0)
    return float(now["zero_epoch_s"])
