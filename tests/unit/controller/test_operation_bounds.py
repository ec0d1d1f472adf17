"""What the controller keeps has a bound."""

import asyncio
from typing import Any

import pytest

from chaos.controller.routes import policy_insights
from chaos.remediation.settings import POLICY
from tests.unit.controller.controller_desk import Desk

BASE = "/subscriptions/s/providers/Microsoft.PolicyInsights/remediations"
VERSION = "?api-version=2021-10-01"
BODY: dict[str, Any] = {
    "properties": {"policyAssignmentId": f"/subscriptions/s/providers/x/policyAssignments/{POLICY}"}
}


async def test_of_too_many_remediations_the_oldest_is_forgotten_and_said(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy_insights, "REMEDIATIONS_MAX", 3)
    for number in range(6):
        made = await desk.call("PUT", f"{BASE}/r{number}{VERSION}", BODY)
        assert made.status == 201, made.body
        await desk.call("POST", f"{BASE}/r{number}/cancel{VERSION}")
        await asyncio.sleep(5.0)
    listed = (await desk.call("GET", f"{BASE}{VERSION}")).json()["value"]
    assert [item["name"] for item in listed] == ["r3", "r4", "r5"]
    told = [event for event in desk.testbed.feed.history if event["kind"] == "remediation_forgotten"]
    assert [event["remediation"].rsplit("/", 1)[1] for event in told] == ["r0", "r1", "r2"]


async def test_the_one_under_way_is_never_forgotten(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_insights, "REMEDIATIONS_MAX", 1)
    for name in ("first", "second"):
        await desk.call("PUT", f"{BASE}/{name}{VERSION}", BODY)
        if name == "first":
            await desk.call("POST", f"{BASE}/{name}/cancel{VERSION}")
    listed = (await desk.call("GET", f"{BASE}{VERSION}")).json()["value"]
    assert [item["name"] for item in listed] == ["second"]
