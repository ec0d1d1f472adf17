"""Policies of an identity node while it runs: what they do to requests, and that a switch loses none of them."""

import asyncio
from collections import Counter

import pytest

from compose.virtual.world import VirtualWorld
from services.chassis.http import HttpReply
from services.chassis.registry import Instance
from services.identity.node import Node
from services.policies.queue_discipline import Fifo
from tests.unit.mitigations.identity_bench import CALLER, EAST, Bench

ONE_TRY = {"identity_client": {"sdk": {"enabled": False}, "workflow": {"enabled": False}, "timeout_s": 60.0}}
STEADY = {"identity": {"overload_slowdown": 0.0, "crash_enabled": False}, "router": {"hop_timeout_s": 60.0}}


async def _bench(world: VirtualWorld, **identity: object) -> Bench:
    bench = Bench(world, {**ONE_TRY, **STEADY, "identity": {**STEADY["identity"], **identity}}, nodes=1)
    await bench.start()
    return bench


def _send(bench: Bench, tenant: str, count: int) -> "list[asyncio.Task[object]]":
    return [asyncio.create_task(bench.token(tenant)) for _ in range(count)]


def _failures(bench: Bench) -> Counter[str]:
    return Counter(result.failure or "ok" for _, _, result in bench.results)


async def test_a_line_that_is_switched_to_bounded_refuses_what_no_longer_fits_and_loses_nothing(
    world: VirtualWorld,
) -> None:
    bench = await _bench(world)
    waiting = _send(bench, "a", 40)
    await asyncio.sleep(0.05)
    node = bench.node["identity-eastus-1"]
    assert (len(node.serving), len(node.queue)) == (2, 38)
    await bench.switch({"identity": {"bounded": True}})
    await asyncio.sleep(0.05)
    assert len(node.queue) <= 5
    assert _failures(bench) == {"shed": 33}
    await asyncio.gather(*waiting)
    assert _failures(bench) == {"shed": 33, "ok": 7}


async def test_switched_back_it_lets_sixty_wait_again(world: VirtualWorld) -> None:
    bench = await _bench(world, bounded=True)
    await bench.switch({"identity": {"bounded": False}})
    await asyncio.sleep(0.05)
    _send(bench, "a", 70)
    await asyncio.sleep(0.05)
    assert len(bench.node["identity-eastus-1"].queue) == 60
    assert _failures(bench) == {"shed": 8}


@pytest.mark.parametrize("discipline", ["lifo", "adaptive_lifo", "codel", "codel_lifo"])
async def test_every_discipline_takes_over_the_line_as_it_stands(world: VirtualWorld, discipline: str) -> None:
    bench = await _bench(world)
    waiting = _send(bench, "a", 20)
    await asyncio.sleep(0.05)
    await bench.switch({"identity": {"discipline": discipline}})
    await bench.switch({"identity": {"discipline": discipline, "fair": True}})
    await asyncio.gather(*waiting)
    assert len(bench.results) == 20


async def test_a_crash_clock_stops_when_the_line_is_made_short(world: VirtualWorld) -> None:
    bench = await _bench(world, crash_enabled=True, crash_after_s=2.0, service_time_s=5.0)
    _send(bench, "a", 62)
    await asyncio.sleep(1.0)
    await bench.switch({"identity": {"bounded": True}})
    await asyncio.sleep(3.0)
    assert bench.node["identity-eastus-1"].up


async def test_a_crash_clock_stops_when_the_node_crashes_of_something_else(world: VirtualWorld) -> None:
    bench = await _bench(world, crash_enabled=True, crash_after_s=4.0, restart_s=1.0, service_time_s=5.0)
    _send(bench, "a", 62)
    await asyncio.sleep(1.0)
    node = bench.node["identity-eastus-1"]
    node.crash("operator")
    await asyncio.sleep(5.0)
    assert (node.up, node.crashes) == (True, 1), "restarted, without any work"


async def test_a_cold_node_lets_fewer_wait_than_a_warm_one(world: VirtualWorld) -> None:
    bench = await _bench(world, bounded=True, warm_requests=100_000)
    node = bench.node["identity-eastus-1"]
    node.physics.warmth = 0.0
    assert isinstance(node.queue, Fifo)
    assert node.queue.capacity == 5
    bench.tokens("a", 8.0, until=20.0)
    await asyncio.sleep(20.0)
    assert node.queue.capacity in (2, 3)


async def test_a_tenants_flood_is_its_own_delay(world: VirtualWorld) -> None:
    for fair, least in ((True, 1.0), (False, 0.0)):
        bench = await _bench(VirtualWorld(loop=world.loop, transport="direct"), bounded=True, fair=fair)
        start = bench.clock.now()
        bench.tokens("flood", 60.0, since=start, until=start + 10.0)
        bench.tokens("quiet", 1.0, since=start + 0.3, until=start + 10.0)
        await asyncio.sleep(11.0)
        quiet = [result.ok for _, tenant, result in bench.results if tenant == "quiet"]
        assert len(quiet) >= 9
        assert (sum(quiet) / len(quiet) == 1.0) if fair else (least <= sum(quiet) / len(quiet) < 0.8)


async def test_a_throttled_tenant_is_told_when_to_come_back(world: VirtualWorld) -> None:
    bench = await _bench(world, tenant_rate={"rate_per_s": 0.5, "burst": 2.0})
    await asyncio.gather(*_send(bench, "a", 3), *_send(bench, "b", 2))
    assert _failures(bench) == {"ok": 4, "throttled": 1}
    reply = await _ask(bench, "a")
    assert reply.status == 429
    assert reply.headers["Retry-After"] == "2"
    assert bench.rejected("throttle") == 2


async def _ask(bench: Bench, tenant: str, **headers: str) -> HttpReply:
    return await bench.envs[CALLER].http.call(
        "GET",
        f"http://router-{EAST}:8080/metadata/identity/oauth2/token?api-version=2018-02-01&resource=r",
        timeout_s=60.0,
        headers={"Metadata": "true", "x-tenant": tenant, **headers},
    )


async def test_backlog_is_turned_away_while_fresh_requests_are_served(world: VirtualWorld) -> None:
    bench = await _bench(world, shedding={"kind": "priority"})
    filling = _send(bench, "a", 5)
    await asyncio.sleep(0.01)
    fresh, backlog = await asyncio.gather(_ask(bench, "b"), _ask(bench, "b", **{"x-backlog": "1"}))
    await asyncio.gather(*filling)
    assert (fresh.status, backlog.status) == (200, 503)
    assert bench.rejected("priority") == 1


async def test_work_whose_deadline_has_passed_is_dropped_wherever_it_waits(world: VirtualWorld) -> None:
    bench = await _bench(world, discipline="lifo", drop_expired=True)
    await bench.switch({"identity_client": {"send_deadline": True, "timeout_s": 1.0}})
    await asyncio.sleep(0.1)
    _send(bench, "a", 40)
    await asyncio.sleep(1.5)
    assert len(bench.node["identity-eastus-1"].queue) == 0
    assert bench.rejected("deadline") == 40 - bench.counted("identity_work_completed_total", "identity")
    assert bench.counted("identity_work_completed_total", "identity", outcome="wasted") <= 2


async def test_a_router_waits_for_a_node_no_longer_than_its_caller_waits_for_it(world: VirtualWorld) -> None:
    bench = await _bench(world, service_time_s=50.0)
    epoch = bench.clock.epoch()
    reply = await _ask(bench, "a", **{"x-deadline": repr(epoch + 3.0)})
    assert reply.status == 504
    assert bench.clock.epoch() == epoch + 3.0


async def test_a_cold_node_joins_at_once_unless_it_is_guarded(world: VirtualWorld) -> None:
    bench = await _bench(world)
    node = await bench.add_node(EAST, 2)
    assert node.physics.warmth == 1.0  # `warm_at_start` of this bench
    node = await _cold(bench, 3)
    assert await bench.envs[CALLER].registry.live("identity", EAST) == await _live(bench, 3)
    assert node.physics.warmth == 0.0


async def test_a_guarded_node_warms_up_before_it_joins(world: VirtualWorld) -> None:
    bench = await _bench(world)
    await bench.switch({"identity": {"scale_out": {"guarded": True}}})
    await asyncio.sleep(0.1)
    node = await _cold(bench, 2)
    assert len(await _live(bench, 1)) == 1
    await asyncio.sleep(15.0)  # sixty requests of its own, two at a time, at 0.4 s falling to 0.2 s
    assert node.physics.warmth >= 0.9
    assert len(await _live(bench, 2)) == 2
    assert bench.counted("identity_work_completed_total", "identity") == 0


async def test_a_guarded_node_that_crashed_warms_up_before_it_comes_back(world: VirtualWorld) -> None:
    bench = await _bench(world, scale_out={"guarded": True}, restart_s=2.0)
    node = bench.node["identity-eastus-1"]
    node.crash("operator")
    await asyncio.sleep(3.0)
    assert node.up
    assert await _live(bench, 0) == []
    await asyncio.sleep(12.0)
    assert len(await _live(bench, 1)) == 1


async def test_a_node_that_is_no_longer_held_back_joins(world: VirtualWorld) -> None:
    bench = await _bench(world, warm_requests=1000)
    await bench.switch({"identity": {"scale_out": {"guarded": True}}})
    await asyncio.sleep(0.1)
    await _cold(bench, 2)
    await asyncio.sleep(1.0)
    await bench.switch({"identity": {"scale_out": {"guarded": False}}})
    await asyncio.sleep(1.0)
    assert len(await _live(bench, 2)) == 2


async def _cold(bench: Bench, number: int) -> Node:
    bench.warm = False
    return await bench.add_node(EAST, number)


async def _live(bench: Bench, expected: int) -> list[Instance]:
    live = list(await bench.envs[CALLER].registry.live("identity", EAST))
    assert len(live) == expected
    return live


async def test_the_seconds_worked_are_those_from_the_worker_to_the_end_of_the_work(world: VirtualWorld) -> None:
    bench = await _bench(world, bounded=False)
    await asyncio.gather(*_send(bench, "a", 20))

    worked = bench.counted("identity_work_seconds_total", "identity")
    answered = bench.counted("identity_request_duration_seconds_sum", "identity")
    waited = bench.counted("identity_queue_wait_seconds_sum", "identity")
    assert waited > worked > 20 * 0.1  # half of the mean service time is fixed
    assert worked == pytest.approx(answered - waited, rel=1e-9)
