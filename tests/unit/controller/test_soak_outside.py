"""What the soak test of a running testbed asks of the controller."""

from chaos.soak.outside import Outside
from tests.unit.controller.controller_desk import Desk

LOAD = "http://loadgen:8080/admin/load"
REGIONS = ("eastus", "westus")


async def test_load_and_traffic_are_set_through_the_api(desk: Desk) -> None:
    outside = Outside(desk, desk.testbed.runtime.clock.epoch, REGIONS)
    await outside.set_load("eastus", 0.1)
    await outside.set_traffic("westus", {"mode": "drain"})
    load = (await desk.get(LOAD)).json()["regions"]
    assert load == {"eastus": 0.1, "westus": 1.0}
    state = (await desk.call("GET", "/v1/status")).json()
    assert [region["traffic"] for region in state["regions"]] == ["open", "drain"]
    assert await outside.down() == {}
