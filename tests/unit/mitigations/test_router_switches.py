"""Policies of a router while it runs."""

from compose.virtual.world import VirtualWorld
from services.chassis.settings import Tree
from tests.unit.mitigations.identity_bench import EAST, Bench

ONE_TRY = {"identity_client": {"sdk": {"enabled": False}, "workflow": {"enabled": False}}}
SICK = {"instances": {"identity-eastus-1": {"identity": {"service_time_s": 50.0}}}}


async def _traffic(bench: Bench, *tenants: str, for_s: float = 10.0) -> None:
    start = bench.clock.now()
    for tenant in tenants:
        bench.tokens(tenant, 8.0, since=start, until=start + for_s)
    await bench.sleep_until(start + for_s + 2.0)


async def test_a_failing_node_is_ejected_and_used_again_when_outlier_detection_is_switched_off(
    world: VirtualWorld,
) -> None:
    bench = Bench(world, {**ONE_TRY, **SICK}, nodes=4)
    await bench.start()
    await _traffic(bench, "a", for_s=12.0)
    assert 0.6 < bench.success(0.0, 14.0) < 0.9
    await bench.switch({"router": {"outlier": {"enabled": True, "consecutive_failures": 3}}})
    await _traffic(bench, "a", for_s=12.0)
    assert bench.success(20.0, 28.0) == 1.0
    await bench.switch({})
    await _traffic(bench, "a", for_s=12.0)
    assert bench.success(30.0, 42.0) < 0.9


async def test_a_tenant_is_confined_to_its_nodes_while_that_is_on(world: VirtualWorld) -> None:
    bench = Bench(world, ONE_TRY, nodes=4)
    await bench.start()

    def busy() -> list[float]:
        done = [bench.counted("identity_work_completed_total", f"identity-eastus-{n}") for n in range(1, 5)]
        return [now - before for now, before in zip(done, seen, strict=True)]

    seen = [0.0] * 4
    await bench.switch({"router": {"tenant_nodes": 1}})
    await _traffic(bench, "a")
    assert sorted(busy()) == [0.0, 0.0, 0.0, 80.0]
    seen = [seen[n] + count for n, count in enumerate(busy())]
    await bench.switch({})
    await _traffic(bench, "a")
    assert min(busy()) > 5.0


async def test_admission_control_turns_away_what_would_fail_anyway(world: VirtualWorld) -> None:
    bench = Bench(world, {**ONE_TRY, "identity": {"service_time_s": 50.0, "crash_enabled": False}})
    await bench.start()
    await _traffic(bench, "a")
    assert bench.counted("router_shed_total", "router") == 0
    await bench.switch({"router": {"admission": {"enabled": True}}})
    await _traffic(bench, "a", for_s=20.0)
    shed = bench.counted("router_shed_total", "router", reason="admission")
    assert 0.5 * 160 < shed < 0.85 * 160  # four in five at most, so that recovery can be seen


async def test_no_failover_keeps_everything_home(world: VirtualWorld) -> None:
    for enabled, crosses in ((True, True), (False, False)):
        world = VirtualWorld(loop=world.loop, transport="direct")
        tree: Tree = {**ONE_TRY, "router": {"failover": {"enabled": enabled}}}
        tree["regions"] = {EAST: {"identity": {"service_time_s": 50.0, "crash_enabled": False}}}
        bench = Bench(world, tree, regions=(EAST, "westus"))
        await bench.start()
        await _traffic(bench, "a")
        assert (bench.counted("router_requests_total", "router-eastus", region="westus") > 0) is crosses
