"""The banner of the console: a collapse or a stall, since when, and its remedy."""

import asyncio
from typing import Any

import pytest

from chaos.controller.annotations import OTHER_RUN
from chaos.controller.banner import REMEDY, SHOWN_S, banner
from chaos.controller.collapse import RegionWatch
from chaos.record.machine import STALLS, Stall
from chaos.soak.outside import Outside
from compose.run_lease import KEY, LEASE_S
from tests.unit.controller.controller_desk import Desk

NAMES = {"eastus": "East US", "westus": "West US"}
NOW = 1_770_055_380.0
WOULD_CHANGE_SETTINGS = [
    ("POST", "/v1/runs", {"scenario": "calm-day"}),
    ("PUT", "/v1/mitigations/R1", {"on": True}),
    ("PUT", "/v1/load", {"profile": "rest"}),
]


def shown(**changes: Any) -> dict[str, Any] | None:
    return banner(NOW, **{"down": {}, "stall": None, "faults": (), "names": NAMES, **changes})


def test_a_calm_testbed_has_no_banner() -> None:
    assert shown() is None


def test_a_collapse_says_where_since_when_and_what_ends_it() -> None:
    found = shown(down={"westus": NOW - 60, "eastus": NOW - 90})
    assert found is not None
    assert (found["kind"], found["since"], found["remedy"]) == ("collapse", "2026-02-02T18:01:30Z", REMEDY)
    assert found["text"].startswith("East US and West US are down since 18:01:30 UTC")
    assert found["text"].endswith("Back to calm ends it.")


def test_a_collapse_right_after_a_stall_tells_of_it() -> None:
    stall = Stall(NOW - 100, 3.2)
    near = shown(down={"eastus": NOW - 95}, stall=stall)
    far = shown(down={"eastus": NOW - 30}, stall=stall)
    assert near is not None
    assert far is not None
    assert "The machine stalled for 3.2 s just before." in near["text"]
    assert "stalled" not in far["text"]


def test_a_fault_under_way_is_named() -> None:
    found = shown(down={"eastus": NOW - 5}, faults=("f1", "f2"))
    assert found is not None
    assert "Active faults: f1, f2." in found["text"]


def test_a_stall_is_shown_for_a_while_and_needs_no_remedy() -> None:
    found = shown(stall=Stall(NOW - 10, 4.0))
    assert found is not None
    assert (found["kind"], found["since"], found["remedy"]) == ("stall", "2026-02-02T18:02:46Z", None)
    assert shown(stall=Stall(NOW - SHOWN_S, 4.0)) is None


def test_a_region_is_down_from_its_first_bad_reading_and_up_when_nearly_all_succeeds() -> None:
    seen = RegionWatch()
    readings = [(20, 20), (20, 20), (20, 9), (20, 0), (0, 0), (20, 0), (20, 0), (20, 12), *[(20, 20)] * 5]
    changes = [seen.add(2.0 * n, attempts, good) for n, (attempts, good) in enumerate(readings)]
    assert [(n, change) for n, change in enumerate(changes) if change is not None] == [(5, True), (11, False)]
    assert seen.down_since is None


def test_a_region_that_is_down_says_since_when() -> None:
    seen = RegionWatch()
    for n, good in enumerate([20, 20, 9, 0, 0, 0]):
        seen.add(2.0 * n, 20, good)
    assert seen.down_since == 4.0


def test_too_few_attempts_are_not_judged() -> None:
    seen = RegionWatch()
    assert [seen.add(2.0 * n, 1, 0) for n in range(10)] == [None] * 10


@pytest.mark.parametrize("world", ["direct"], indirect=True)  # much load, and no matter of HTTP
async def test_the_status_tells_of_a_collapse_until_the_testbed_is_calm(desk: Desk) -> None:
    for region in NAMES:
        body = {"region": region, "factor": 0.1}
        assert (await desk.call("POST", "/v1/operations/load", body)).status == 200
    await desk.testbed.operations.ensure_load()
    await asyncio.sleep(15.0)
    assert (await desk.call("GET", "/v1/status")).json()["banner"] is None
    for region in NAMES:
        assert (await desk.call("POST", "/v1/operations/load", {"region": region, "factor": 1.0})).status == 200
    fault = {"kind": "blackhole", "target": {"service": "identity"}, "lease_s": 10}
    assert (await desk.call("POST", "/v1/faults", fault)).status == 201
    began = desk.testbed.runtime.clock.epoch()
    await asyncio.sleep(18.0)
    found = (await desk.call("GET", "/v1/status")).json()["banner"]
    assert (found["kind"], found["remedy"]) == ("collapse", REMEDY)
    since = min(desk.testbed.monitor.down.values())
    assert began <= since < began + 10.0
    down = await Outside(desk, desk.testbed.runtime, list(NAMES)).down()
    assert down == {name: float(int(down_t)) for name, down_t in desk.testbed.monitor.down.items()}
    kinds = [event["kind"] for event in desk.testbed.feed.history]
    assert "collapse_began" in kinds
    assert b'kind="collapse"' in (await desk.call("GET", "/metrics")).body
    assert (await desk.call(REMEDY["method"], REMEDY["path"])).status == 200
    assert (await desk.call("GET", "/v1/status")).json()["banner"] is None


async def stall(desk: Desk, seconds: float) -> None:
    """The controller's event loop loses time, right after a sample; its metrics tell so."""
    await asyncio.sleep(3.0)
    desk.testbed.env.metrics.registry._names_to_collectors[STALLS].inc(seconds)  # type: ignore[attr-defined]
    await asyncio.sleep(2.0)


async def test_a_stalled_controller_is_an_event_an_annotation_and_a_banner(desk: Desk) -> None:
    await stall(desk, 4.0)
    found = (await desk.call("GET", "/v1/status")).json()["banner"]
    assert (found["kind"], found["remedy"]) == ("stall", None)
    events = [event for event in desk.testbed.feed.history if event["kind"] == "machine_stalled"]
    assert [event["stalled_s"] for event in events] == [4.0]
    lines = (await desk.call("GET", "/metrics")).body.splitlines()
    assert [line for line in lines if b'kind="stall"' in line and b'title="the machine stalled for 4.0 s"' in line]
    await asyncio.sleep(SHOWN_S)
    assert (await desk.call("GET", "/v1/status")).json()["banner"] is None


@pytest.mark.parametrize("lost", [0.0, 0.9])
async def test_less_than_a_second_is_not_a_stall(desk: Desk, lost: float) -> None:
    await stall(desk, lost)
    assert (await desk.call("GET", "/v1/status")).json()["banner"] is None


OTHER = "laptop/4711/1"


async def test_the_run_of_another_process_is_named_not_judged_and_keeps_its_settings(desk: Desk) -> None:
    store = desk.testbed.runtime.store
    await store.set(KEY, OTHER, ex=LEASE_S)
    await stall(desk, 4.0)
    found = (await desk.done("GET", "/v1/status"))["banner"]
    assert (found["kind"], found["remedy"]) == ("run", None)
    assert OTHER in found["text"]
    assert [event for event in desk.testbed.feed.history if event["kind"] == "machine_stalled"] == []
    assert f'phase="{OTHER_RUN}"'.encode() in (await desk.call("GET", "/metrics")).body
    for method, path, body in WOULD_CHANGE_SETTINGS:
        refused = await desk.call(method, path, body)
        assert refused.status == 409, path
        assert OTHER in refused.json()["error"]["message"]
    await store.delete(KEY)
    assert (await desk.call("PUT", "/v1/load", {"profile": "rest"})).status == 200, "it looks again and does not wait"
    assert ((await desk.done("GET", "/v1/status"))["banner"] or {}).get("kind") != "run"


async def test_a_torn_lease_is_no_run(desk: Desk) -> None:
    for garbage in (desk.testbed.runtime.store.set(KEY, OTHER), desk.testbed.runtime.store.hset(KEY, "a", "b")):
        await desk.testbed.runtime.store.delete(KEY)
        await garbage
        await desk.testbed.other_run.require_none()
