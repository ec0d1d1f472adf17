"""After a store outage of 1, 10 or 60 seconds at any moment every service returns to rotation by itself.

Away in two ways: `down` ends every connection and refuses new ones, as a restart of Redis does; `stalled` answers
nobody and ends nothing, as a frozen one does.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chaos.controller.app import create_controller
from chaos.controller.load_keeper import LoadKeeper
from chaos.controller.testbed import Testbed
from chaos.faults.leases import OTHERS_PATIENCE_S
from compose.virtual.world import VirtualWorld
from services.chassis.access import SECRET_HEADER
from services.chassis.http import HttpReply
from services.chassis.store import Keys
from services.identity.app import NODE
from services.router.app import ROUTER
from tests.contract.small_testbed import TOKENS
from tests.contract.store_bench import BACK_S, REGION, RESTART_S, SERVICES, Bench
from tests.words.results import small_scenario

LENGTHS_S = (1.0, 10.0, 60.0)
OFTEN_S = (pytest.param(1.0, marks=pytest.mark.long), 10.0, pytest.param(60.0, marks=pytest.mark.long))
WAYS = ("down", "stalled")


@pytest.fixture
async def bench(world: VirtualWorld) -> AsyncIterator[Bench]:
    made = Bench(world)
    yield made
    world.redis.release()


@pytest.mark.parametrize("length_s", LENGTHS_S)
@pytest.mark.parametrize("way", WAYS)
async def test_every_instance_returns_to_rotation(bench: Bench, way: str, length_s: float) -> None:
    await bench.begin()
    bench.take_away(way, length_s)
    await asyncio.sleep(length_s)
    await bench.wait_for(bench.in_rotation, BACK_S)


@pytest.mark.parametrize("length_s", LENGTHS_S)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("service", SERVICES)
async def test_an_instance_that_starts_meanwhile_comes_up(
    bench: Bench, service: str, way: str, length_s: float
) -> None:
    await bench.begin()
    await bench.runtime.kill(SERVICES[service])
    bench.take_away(way, length_s)
    starting = asyncio.create_task(bench.runtime.revive(SERVICES[service]))
    await asyncio.sleep(length_s)
    async with asyncio.timeout(BACK_S):
        await starting
    await bench.wait_for(bench.in_rotation, BACK_S)


@pytest.mark.parametrize("length_s", LENGTHS_S)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("crash_before_s", [0.5, -0.5], ids=["restarts-meanwhile", "crashes-meanwhile"])
async def test_a_node_that_crashes_or_restarts_meanwhile_joins_again(
    bench: Bench, way: str, length_s: float, crash_before_s: float
) -> None:
    await bench.begin()
    node = bench.app(SERVICES["identity"])[NODE]
    if crash_before_s > 0:
        node.crash("test")
        await asyncio.sleep(crash_before_s)
        bench.take_away(way, length_s)
    else:
        bench.take_away(way, length_s)
        await asyncio.sleep(-crash_before_s)
        node.crash("test")
    await asyncio.sleep(length_s)
    await bench.wait_for(bench.in_rotation, RESTART_S + BACK_S)


@pytest.mark.parametrize("length_s", LENGTHS_S)
@pytest.mark.parametrize("way", WAYS)
async def test_changes_without_an_announcement_are_picked_up_after_the_outage(
    bench: Bench, way: str, length_s: float
) -> None:
    """Settings, fault rules and traffic: written without an announcement, as one that was lost."""
    await bench.begin()
    bench.take_away(way, length_s)
    await asyncio.sleep(length_s)
    store, expires_at = bench.runtime.store, bench.runtime.clock.epoch() + 1000
    await store.set(Keys.OVERLAY, json.dumps({"identity": {"workers": 3}}))
    rule = {"id": "f1", "kind": "latency", "parameters": {"delay_s": 0.1}, "expires_at": expires_at}
    await store.set(Keys.fault("f1"), json.dumps(rule))
    await store.set(Keys.traffic(REGION), json.dumps({"mode": "drain"}))

    async def taken_up() -> bool:
        router = bench.app(SERVICES["router"])[ROUTER]
        settings = bench.app(SERVICES["identity"])[NODE].settings
        rules = [running.env.live.rules.keys() for running in bench.runtime._running.values()]
        known = all(set(names) == {"f1"} for names in rules)
        return settings.workers == 3 and known and router.admissions[REGION].traffic.mode == "drain"

    await bench.wait_for(taken_up, BACK_S if way == "down" else BACK_S + 30.0)


async def test_an_instance_says_which_task_fails_while_the_store_is_away(bench: Bench) -> None:
    await bench.begin()
    bench.take_away("down", 60.0)
    await asyncio.sleep(40.0)
    said = {(event["source"], event["task"]) for event in bench.events if event["kind"] == "task_failed"}
    assert {(name, "live settings") for name in SERVICES.values()} <= said
    assert (SERVICES["identity"], "RotationLease.keep") in said
    assert not [name for name in SERVICES.values() if await bench.ready(name)]


class Controller:
    """A controller on the bench, as a process of its own."""

    def __init__(self, bench: Bench) -> None:
        scenario = small_scenario()
        here = scenario.regions[0].model_copy(update={"name": REGION})
        self._bench = bench
        self.testbed = Testbed(bench.runtime, scenario.model_copy(update={"regions": (here,)}), Path("runs"))

    async def start(self) -> None:
        app = create_controller(self.testbed, TOKENS)
        self._served = await self._bench.world.serve(app, "controller", 80)
        self._keeper = LoadKeeper(self.testbed)

    async def stop(self) -> None:
        await self._keeper.close()
        await self._served.stop()

    async def call(self, method: str, path: str, body: Any = None) -> HttpReply:
        headers = {"Authorization": f"Bearer {TOKENS.operate}"}
        url = f"http://controller{path}"
        return await self._bench.runtime.http.call(method, url, json=body, headers=headers, timeout_s=30.0)

    async def faults(self) -> list[str]:
        return [fault["kind"] for fault in (await self.call("GET", "/v1/faults")).json()["faults"]]

    async def injects(self) -> bool:
        """Whether a fault starts, has its effect and ends."""
        body = {"kind": "crash", "target": {"instance": SERVICES["blobstore"]}, "lease_s": 60}
        reply = await self.call("POST", "/v1/faults", body)
        if reply.status != 201:
            return False
        gone = not await self._bench.ready(SERVICES["blobstore"])
        ended = await self.call("DELETE", f"/v1/faults/{reply.json()['id']}")
        return gone and ended.ok

    async def switches(self) -> bool:
        replies = [await self.call("PUT", "/v1/mitigations/X6", {"on": on}) for on in (True, False)]
        return all(reply.ok for reply in replies)

    async def load_grows(self) -> bool:
        """Whether the load generator has a load, and users come."""
        before = await self._arrivals()
        await asyncio.sleep(5.0)
        return await self._arrivals() > before

    async def _arrivals(self) -> int:
        url, headers = "http://loadgen:8080/admin/load", {SECRET_HEADER: self._bench.runtime.secret}
        reply = await self._bench.runtime.http.call("GET", url, headers=headers, timeout_s=5.0)
        return int(reply.json()["arrivals"]) if reply.ok else -1


@pytest.fixture
async def controller(bench: Bench) -> AsyncIterator[Controller]:
    await bench.begin()
    made = Controller(bench)
    yield made
    bench.world.redis.release()
    await made.stop()


async def works_again(bench: Bench, controller: Controller) -> None:
    await bench.wait_for(controller.injects, BACK_S)
    await bench.wait_for(controller.switches, BACK_S)
    await bench.wait_for(bench.in_rotation, BACK_S)
    await bench.wait_for(controller.load_grows, BACK_S)


@pytest.mark.parametrize("length_s", OFTEN_S)
@pytest.mark.parametrize("way", WAYS)
async def test_the_controller_and_its_load_work_again(
    bench: Bench, controller: Controller, way: str, length_s: float
) -> None:
    await controller.start()
    bench.take_away(way, length_s)
    await asyncio.sleep(length_s)
    await works_again(bench, controller)


@pytest.mark.parametrize("length_s", [10.0])
@pytest.mark.parametrize("way", WAYS)
async def test_a_controller_that_starts_meanwhile_takes_over(
    bench: Bench, controller: Controller, way: str, length_s: float
) -> None:
    bench.take_away(way, length_s)
    async with asyncio.timeout(length_s + BACK_S):
        await controller.start()
    await asyncio.sleep(length_s)
    await works_again(bench, controller)


@pytest.mark.parametrize("length_s", [10.0])
@pytest.mark.parametrize("way", WAYS)
async def test_a_fault_whose_lease_ends_meanwhile_is_over_within_a_second(
    bench: Bench, controller: Controller, way: str, length_s: float
) -> None:
    await controller.start()
    body = {"kind": "freeze", "target": {"instance": SERVICES["blobstore"]}, "lease_s": length_s / 2}
    assert (await controller.call("POST", "/v1/faults", body)).status == 201
    over_at = bench.runtime.clock.now() + length_s / 2 + OTHERS_PATIENCE_S
    bench.take_away(way, length_s)
    assert (await bench.runtime.http.call("GET", f"http://{SERVICES['blobstore']}:8080/healthz", timeout_s=90.0)).ok
    assert bench.runtime.clock.now() == pytest.approx(over_at, abs=1e-6)
    await asyncio.sleep(length_s)

    async def unlisted() -> bool:
        return await controller.faults() == []

    await bench.wait_for(unlisted, BACK_S)
