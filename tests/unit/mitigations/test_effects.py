"""Each mitigation of the identity service in a storm, against the same storm without it.

Two nodes, 20 requests a second of capacity, 8 of them used; at 5 s fifty blocked jobs are let go. Success is of
operations that ended in the last ten of twenty-five seconds: long after anything but a sustained collapse is over.
"""

import asyncio
from functools import cache

import pytest

from chaos.mitigations import mitigation_overlay
from compose.virtual.world import VirtualWorld
from tests.unit.mitigations.identity_bench import EAST, WEST, Bench, run

LATE = (15.0, 25.0)


@cache
def _storm(*names: str, regions: tuple[str, ...] = (EAST,), until: float = 25.0) -> Bench:
    """A storm with these mitigations; the figures of one run serve several tests."""
    return run(mitigation_overlay(names, regions), regions=regions, until=until)


def _wasted_share(bench: Bench) -> float:
    wasted = bench.counted("identity_work_completed_total", "identity", outcome="wasted")
    return wasted / bench.counted("identity_work_completed_total", "identity")


def test_without_any_the_storm_does_not_end() -> None:
    bench = _storm()
    assert bench.success(0.0, 5.0) == 1.0
    assert bench.success(*LATE) == 0.0
    assert bench.amplification > 8.0
    assert _wasted_share(bench) > 0.7


@pytest.mark.parametrize("name", ["R1", "X4", "X5"])
def test_a_node_that_refuses_in_time_outlives_the_storm(name: str) -> None:
    bench = _storm(name)
    assert bench.success(*LATE) >= 0.95
    assert _wasted_share(bench) < 0.2


@pytest.mark.parametrize(("name", "reason"), [("R1", "queue_full"), ("X4", "limit"), ("X5", "deadline")])
def test_a_node_that_refuses_gives_the_reason(name: str, reason: str) -> None:
    assert _storm(name).rejected(reason) > 20
    assert (_storm().rejected(reason) > 0) == (reason == "queue_full"), "a full queue refuses in the incident too"


@pytest.mark.parametrize(("name", "reason"), [("R6", "budget"), ("X3", "breaker")])
def test_restrained_retries_end_the_amplification_but_not_the_storm(name: str, reason: str) -> None:
    bench = _storm(name)
    assert bench.amplification <= 1.2
    assert bench.counted("identity_client_held_back_total", reason=reason) > 10
    assert bench.success(*LATE) <= 0.1
    assert _storm().counted("identity_client_held_back_total") == 0


def test_with_restrained_retries_a_refusal_says_when_to_come_back() -> None:
    for names, expected in (((), 0), (("R6",), 1)):
        bench = _storm(*names, "R1")
        waits = [result.retry_after_s for _, _, result in bench.results if result.failure == "shed"]
        assert {wait for wait in waits if wait is not None} == ({1.0} if expected else set())


def test_a_cache_spares_operations_that_others_have_made() -> None:
    naive, cached = _storm(), _storm("X2")
    assert naive.counted("identity_client_cached_total") == 0
    assert cached.counted("identity_client_cached_total") > 20
    asked = [bench.counted("identity_client_operations_started_total", tenant="tokens") for bench in (naive, cached)]
    assert asked[1] < 0.9 * asked[0]


def test_contained_failover_saves_the_other_region_and_not_this_one() -> None:
    pair = (EAST, WEST)

    def routed(bench: Bench, home: str, region: str) -> float:
        return bench.counted("router_requests_total", f"router-{home}", region=region)

    naive, contained = _storm(regions=pair, until=15.0), _storm("R7", regions=pair, until=15.0)
    assert routed(naive, EAST, WEST) > 0.2 * routed(naive, EAST, EAST)
    assert routed(contained, EAST, WEST) < 0.1 * routed(contained, EAST, EAST)
    assert naive.counted("identity_work_completed_total", "identity-westus", outcome="wasted") > 20
    assert contained.counted("identity_work_completed_total", "identity-westus", outcome="wasted") == 0
    assert contained.success(10.0, 15.0) < 0.5


async def _scale_out(world: VirtualWorld, *names: str) -> tuple[int, float]:
    """How many nodes the router uses after two were added to a storm, and what share of their work was of use."""
    bench = Bench(world, mitigation_overlay(names, (EAST,)))
    await bench.start()
    for number in range(40):
        bench.job(number, until=13.0)
    bench.tokens("tokens", 8.0, until=13.0)
    await bench.sleep_until(4.0)
    bench.warm = False
    for number in (3, 4):
        await bench.add_node(EAST, number)
    await bench.sleep_until(13.0)
    useful = bench.counted("identity_work_completed_total", "identity-eastus-3", outcome="useful")
    done = bench.counted("identity_work_completed_total", "identity-eastus-3")
    return len(bench.routers[EAST].rotation.pools[EAST].nodes), useful / done if done else 0.0


def test_a_guarded_scale_out_keeps_new_nodes_from_the_overload() -> None:
    world = VirtualWorld(seed=1, transport="direct")
    nodes, useful = world.run(_scale_out(world))
    assert nodes == 4
    assert useful < 0.5
    world = VirtualWorld(seed=1, transport="direct")
    nodes, _ = world.run(_scale_out(world, "R4"))
    assert nodes == 2


async def _switched(world: VirtualWorld, name: str) -> Bench:
    """The storm rages for ten seconds; then somebody switches."""
    bench = Bench(world)
    await bench.start()
    raging = asyncio.create_task(bench.storm(30.0))
    await bench.sleep_until(12.0)
    await bench.switch(mitigation_overlay((name,), (EAST,)))
    await raging
    return bench


@pytest.mark.parametrize(("name", "at_least"), [("R1", 0.95), ("X4", 0.7)])
def test_switched_on_in_the_middle_of_the_storm_it_ends_it(name: str, at_least: float) -> None:
    """A limit without a bound takes longer: requests that wait already are served first, though their callers left."""
    world = VirtualWorld(seed=1, transport="direct")
    bench = world.run(_switched(world, name))
    assert bench.success(9.0, 12.0) < 0.1
    assert bench.success(27.0, 30.0) >= at_least
