"""After a store outage of 1, 10 or 60 seconds at any moment every service returns to rotation by itself.

Away in two ways: `down` ends every connection and refuses new ones, as a restart of Redis does; `stalled` answers
nobody and ends nothing, as a frozen one does.
"""

import asyncio
import json
from collections.abc import AsyncIterator

import pytest

from compose.virtual.world import VirtualWorld
from services.chassis.store import Keys
from services.identity.app import NODE
from services.router.app import ROUTER
from tests.contract.store_bench import BACK_S, REGION, RESTART_S, SERVICES, Bench

LENGTHS_S = (1.0, 10.0, 60.0)
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
