"""The compose runtime against a fake Docker engine: which containers it touches, and in what order."""

import asyncio
import json
import math
from random import Random
from typing import Any

import pytest

from chaos.controller.other_run import OtherRun
from chaos.faults.leases import FaultLeases
from chaos.faults.model import FaultSpec, FaultTarget
from chaos.faults.outcomes import StoreSilent
from compose.docker import DockerRuntime
from compose.docker_engine import DockerContainer
from compose.run_lease import KEY, LEASE_S, RunLease
from compose.runtime import Cut, InstanceDown, RuntimeUnavailable, UnknownInstance
from compose.topology import RegionSpec, Topology, node
from services.chassis.background import Background
from services.chassis.events import Events
from services.chassis.store import Keys
from tests.unit.compose_files.fake_engine import TOPOLOGY, FakeEngine, over_fake_engine, pausing_redis_stalls_it


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine(TOPOLOGY.instances())


@pytest.fixture
async def runtime(engine: FakeEngine, world: Any, monkeypatch: pytest.MonkeyPatch) -> DockerRuntime:
    return await over_fake_engine(engine, world, monkeypatch)


async def test_a_reset_leaves_nothing_of_an_earlier_run(runtime: DockerRuntime, engine: FakeEngine) -> None:
    await runtime.store.set("left-over", "1")
    await runtime.add_nodes("eastus", 1)
    await runtime.pause("router-eastus")
    await runtime.partition("router-eastus", [Cut("f1", "redis", 60.0)])
    engine.diary.clear()
    await runtime.reset(TOPOLOGY, {"identity": {"workers": 3}}, seed=7)
    assert engine.did("remove") == ["identity-eastus-3"]
    assert engine.did("end") == ["router-eastus>redis@f1"]
    assert engine.did("unpause") == ["router-eastus"]
    everyone = {spec.name for spec in TOPOLOGY.instances()}
    assert set(engine.did("limit")) == set(engine.did("kill")) == set(engine.did("start")) == everyone
    assert sorted(await runtime.store.keys()) == [
        Keys.OVERLAY.encode(),
        Keys.SECRET.encode(),
        Keys.SEED.encode(),
    ]
    overlay = json.loads(await runtime.store.get(Keys.OVERLAY) or "")
    assert overlay["identity"] == {"workers": 3}
    assert await runtime.store.get(Keys.SEED) == b"7"


async def test_all_processes_end_before_the_store_is_emptied(runtime: DockerRuntime, engine: FakeEngine) -> None:
    """A process that lived through it would write its old state into the new run."""
    alive_at_flush: list[str] = []

    async def fill(lease: RunLease, tree: Any, seed: int) -> None:
        alive_at_flush.extend(name for name, c in engine.known.items() if c.spec and c.alive)

    runtime._fill_store = fill  # type: ignore[method-assign]
    await runtime.reset(TOPOLOGY, {})
    assert alive_at_flush == []


async def test_a_topology_with_more_nodes_than_the_testbed_gets_them(
    runtime: DockerRuntime, engine: FakeEngine
) -> None:
    larger = Topology((RegionSpec("eastus", "East US", identity_nodes=4),), loadgen=False)
    await runtime.reset(larger, {})
    assert set(engine.did("add")) == {"identity-eastus-3", "identity-eastus-4"}
    assert {spec.name for spec in runtime.instances()} == {spec.name for spec in larger.instances()}


async def test_a_topology_with_fewer_nodes_leaves_the_others_down(runtime: DockerRuntime, engine: FakeEngine) -> None:
    smaller = Topology((RegionSpec("eastus", "East US", identity_nodes=1),), loadgen=False)
    await runtime.reset(smaller, {})
    assert engine.known["identity-eastus-2"].state == "exited"
    assert node("eastus", 2) not in runtime.instances()


async def test_a_region_the_testbed_does_not_have_is_refused_by_name(runtime: DockerRuntime) -> None:
    foreign = Topology((RegionSpec("australiaeast", "Australia East"),), loadgen=False)
    with pytest.raises(RuntimeUnavailable, match=r"no \w+ in australiaeast; regions: eastus"):
        await runtime.reset(foreign, {})


async def test_inside_the_project_instances_are_reached_by_name(runtime: DockerRuntime) -> None:
    assert runtime.peers.url("router", "eastus") == "http://router-eastus:8080"
    urls = {target.spec.name: target.url for target in runtime.targets()}
    assert urls["identity-eastus-2"] == "http://identity-eastus-2:8080"


async def test_outside_it_they_are_reached_by_published_ports(runtime: DockerRuntime) -> None:
    runtime._inside = False
    await runtime._refresh(spec.name for spec in TOPOLOGY.instances())
    assert runtime.peers.url("blobstore", "eastus") == "http://127.0.0.1:8200"
    assert {target.url for target in runtime.targets()} == {f"http://127.0.0.1:{8200 + n}" for n in range(5)}


async def test_added_nodes_are_numbered_on_and_removed_again(runtime: DockerRuntime, engine: FakeEngine) -> None:
    assert await runtime.add_nodes("eastus", 2) == [node("eastus", 3), node("eastus", 4)]
    assert ("add", "identity-eastus-3", "identity-eastus-1") in engine.diary
    assert list(await runtime.remove_nodes("eastus", 1)) == [node("eastus", 4)]
    assert engine.did("remove") == ["identity-eastus-4"]
    assert runtime.instances()[-1] == node("eastus", 3)


async def test_a_node_of_the_compose_file_is_stopped_but_kept(runtime: DockerRuntime, engine: FakeEngine) -> None:
    assert list(await runtime.remove_nodes("eastus", 1)) == [node("eastus", 2)]
    assert engine.did("remove") == []
    assert engine.known["identity-eastus-2"].state == "exited"


async def test_removing_no_nodes_removes_none(runtime: DockerRuntime, engine: FakeEngine) -> None:
    assert list(await runtime.remove_nodes("eastus", 0)) == []
    assert engine.diary == []


@pytest.mark.parametrize("act", ["kill", "revive", "pause", "resume"])
async def test_an_unknown_name_is_refused_with_the_known_ones(runtime: DockerRuntime, act: str) -> None:
    with pytest.raises(UnknownInstance, match=r"'router-mars'; known: blobstore-eastus, identity-eastus-1"):
        await getattr(runtime, act)("router-mars")


async def test_an_instance_that_does_not_come_up_is_named_with_its_last_words(runtime: DockerRuntime) -> None:
    runtime.http.dead.add("identity-eastus-3")  # type: ignore[attr-defined]
    with pytest.raises(RuntimeUnavailable, match=r"identity-eastus-3 was not ready within 90 s; .*its last words"):
        await runtime.add_nodes("eastus", 1)


async def test_a_cut_meets_everybody_whom_its_pattern_matches(runtime: DockerRuntime, engine: FakeEngine) -> None:
    await runtime.partition("identity-eastus-1", [Cut("f1", "r*", 30.0)])
    addresses = ["10.0.0.2", engine.known["router-eastus"].address]
    assert [entry for entry in engine.diary if entry[0] == "cut"] == [("cut", "identity-eastus-1", *addresses, "30")]


async def test_cuts_are_made_and_ended_one_by_one(runtime: DockerRuntime, engine: FakeEngine) -> None:
    one, two = Cut("f1", "redis", 30.0), Cut("f2", "redis", 60.0)
    await runtime.partition("router-eastus", [one])
    await runtime.partition("router-eastus", [one, two])
    assert engine.did("cut") == ["router-eastus", "router-eastus"], "the first goes on"
    await runtime.partition("router-eastus", [two])
    assert engine.did("end") == ["router-eastus>redis@f1"]
    await runtime.partition("router-eastus", [])
    assert engine.did("end") == ["router-eastus>redis@f1", "router-eastus>redis@f2"]


async def test_an_instance_is_never_cut_off_from_itself(runtime: DockerRuntime, engine: FakeEngine) -> None:
    await runtime.partition("identity-eastus-1", [Cut("f1", "identity-*", 30.0)])
    address = engine.known["identity-eastus-2"].address
    assert engine.diary[-1] == ("cut", "identity-eastus-1", address, "30")
    with pytest.raises(UnknownInstance, match="no other instance matches 'blobstore-eastus'"):
        await runtime.partition("blobstore-eastus", [Cut("f1", "blobstore-eastus", 30.0)])


async def test_a_partition_from_nothing_is_refused(runtime: DockerRuntime) -> None:
    with pytest.raises(UnknownInstance, match="no other instance matches 'mars-\\*'"):
        await runtime.partition("router-eastus", [Cut("f1", "mars-*", 30.0)])


@pytest.mark.parametrize("dead", ["router-eastus", "blobstore-eastus"])
async def test_an_instance_that_is_down_cannot_be_cut_off(runtime: DockerRuntime, dead: str) -> None:
    await runtime.kill(dead)
    with pytest.raises(InstanceDown, match="router-eastus: "):
        await runtime.partition("router-eastus", [Cut("f1", "blobstore-*", 30.0)])
    await runtime.partition("router-eastus", [])


async def test_killing_a_dead_and_reviving_a_live_instance_are_not_errors(
    runtime: DockerRuntime, engine: FakeEngine
) -> None:
    await runtime.revive("router-eastus")
    assert engine.did("start") == []
    await runtime.kill("router-eastus")
    await runtime.kill("router-eastus")
    await runtime.resume("router-eastus")
    with pytest.raises(InstanceDown, match="router-eastus: is not running"):
        await runtime.pause("router-eastus")
    await runtime.revive("router-eastus")
    assert engine.did("start") == ["router-eastus"]


async def test_a_restarted_controller_revives_what_its_predecessor_crashed(
    runtime: DockerRuntime, engine: FakeEngine, background: Background
) -> None:
    """Its list of instances lacks those that were down when it started."""
    events = Events(lambda _event: None, runtime.clock, "test")
    before = FaultLeases(runtime, events, Random(1), background)
    target = FaultTarget(instance="router-eastus")
    await before.start(FaultSpec(kind="crash", target=target, lease_s=10.0))
    await before.close()
    runtime._active.clear()
    await runtime.refresh()
    assert "router-eastus" not in [spec.name for spec in runtime.instances()]
    successor = FaultLeases(runtime, events, Random(1), background)
    await successor.adopt()
    await asyncio.sleep(11.0)
    assert engine.did("start") == ["router-eastus"]
    assert "router-eastus" in [spec.name for spec in runtime.instances()]
    assert await successor.active() == []
    await successor.close()


def processes(runtime: DockerRuntime, background: Background, count: int) -> list[FaultLeases]:
    """What so many processes on one testbed know of faults."""
    events = Events(lambda _event: None, runtime.clock, "test")
    return [FaultLeases(runtime, events, Random(1), background) for _ in range(count)]


async def test_a_fault_that_follows_a_stall_which_another_process_has_ended_is_recorded(
    runtime: DockerRuntime, engine: FakeEngine, world: Any, background: Background
) -> None:
    run, controller = processes(runtime, background, 2)
    pausing_redis_stalls_it(engine, world)
    await run.start(FaultSpec(kind="redis_stall", lease_s=20.0))
    await controller.adopt()
    target = FaultTarget(instance="router-eastus")
    await run.start(FaultSpec(kind="freeze", target=target, lease_s=20.0))
    assert [fault.spec.kind for fault in await controller.active()] == ["freeze"]
    await run.close()


async def test_a_fault_that_was_ended_elsewhere_is_not_applied_again_while_the_store_is_silent(
    runtime: DockerRuntime, engine: FakeEngine, world: Any, background: Background
) -> None:
    run, controller = processes(runtime, background, 2)
    await run.start(FaultSpec(kind="crash", target=FaultTarget(instance="router-eastus"), lease_s=60.0))
    await controller.stop("f1")
    world.redis.stall(3.0)
    await asyncio.sleep(10.0)
    assert engine.known["router-eastus"].state == "running"
    await run.close()


async def test_a_fault_that_a_silent_store_made_refuse_never_begins(
    runtime: DockerRuntime, engine: FakeEngine, world: Any, background: Background
) -> None:
    """The store takes the record later, when the fault is being undone."""
    faults = FaultLeases(runtime, Events(lambda _event: None, runtime.clock, "test"), Random(1), background)
    call = asyncio.create_task(
        faults.start(FaultSpec(kind="crash", target=FaultTarget(instance="router-eastus"), lease_s=60.0))
    )
    while not await runtime.store.exists("fault-sequence"):
        pass
    world.redis.stall(2.75)
    with pytest.raises(StoreSilent):
        await call
    await asyncio.sleep(10.0)
    assert engine.diary == []
    assert await faults.active() == []
    await faults.close()


async def test_a_starting_controller_ends_the_stalls_of_two_processes(
    runtime: DockerRuntime, engine: FakeEngine, world: Any, background: Background
) -> None:
    run, before, controller = processes(runtime, background, 3)
    pausing_redis_stalls_it(engine, world)
    for process in (run, before):
        await process.start(FaultSpec(kind="redis_stall", lease_s=20.0))
        await process.close()
        engine.restart("redis")
        engine.changed("redis", "running")
    await controller.adopt()
    assert await controller.active() == []
    assert engine.known["redis"].state == "running"
    assert await runtime.store.ping()
    await controller.close()


async def test_the_stall_of_a_killed_run_ends_with_its_lease_though_nobody_can_read_the_store(
    runtime: DockerRuntime, engine: FakeEngine, world: Any, background: Background
) -> None:
    told: list[dict[str, Any]] = []
    events = Events(told.append, runtime.clock, "test")
    controller, killed = (FaultLeases(runtime, events, Random(1), background) for _ in range(2))
    await runtime.store.set(KEY, "elsewhere/1/1", ex=LEASE_S)
    other_run = OtherRun(runtime, background, controller.take_over)
    other_run.start()
    await asyncio.sleep(0.5)
    changes = pausing_redis_stalls_it(engine, world)
    await killed.start(FaultSpec(kind="redis_stall", lease_s=20.0))
    await killed.close()
    await asyncio.sleep(27.0)
    # The lease is over at 20.5 s; it looks every 3 s: it gives the store 2 s to answer, and waits for one.
    assert changes == [("paused", 0.5), ("running", 24.0)]
    assert [event["why"] for event in told if event["kind"] == "fault_ended"] == ["lease"]
    assert await controller.active() == []
    await other_run.close()


async def test_a_store_that_somebody_else_has_paused_stays_paused(runtime: DockerRuntime, engine: FakeEngine) -> None:
    await engine.pause(engine.known["redis"])
    await runtime.end_overdue_stall()
    assert engine.known["redis"].state == "paused"


@pytest.mark.parametrize("end", ["stall_store", "restore"])
async def test_an_ended_stall_leaves_no_mark(runtime: DockerRuntime, engine: FakeEngine, end: str) -> None:
    await runtime.stall_store(30.0)
    assert engine.stall_mark == runtime.clock.epoch() + 30.0
    await (runtime.stall_store(0.0) if end == "stall_store" else runtime.restore())
    assert (engine.known["redis"].state, engine.stall_mark) == ("running", math.inf)


@pytest.mark.parametrize(
    ("kind", "instance", "parameters", "done"),
    [
        ("freeze", "router-eastus", {}, [("pause", "router-eastus")]),
        ("crash", "router-eastus", {}, [("kill", "router-eastus")]),
        ("redis_stall", "", {}, [("pause", "redis")]),
        ("cpu_limit", "router-eastus", {"cpus": 0.5}, [("limit", "router-eastus", "0.5")]),
        ("partition", "router-eastus", {"peer": "redis"}, [("cut", "router-eastus", "10.0.0.2", "6")]),
    ],
)
async def test_an_instance_that_somebody_else_starts_again_gets_its_fault_again(
    runtime: DockerRuntime,
    engine: FakeEngine,
    background: Background,
    kind: str,
    instance: str,
    parameters: dict[str, Any],
    done: list[tuple[str, ...]],
) -> None:
    told: list[dict[str, Any]] = []
    faults = FaultLeases(runtime, Events(told.append, runtime.clock, "test"), Random(1), background)
    target = FaultTarget(instance=instance)
    await faults.start(FaultSpec(kind=kind, target=target, parameters=parameters, lease_s=10.0))
    await asyncio.sleep(3.5)
    before = len(engine.diary)
    engine.restart(instance or "redis")
    await asyncio.sleep(0.6)
    assert [entry for entry in engine.diary[before:] if entry[0] == done[0][0] and "None" not in entry] == done
    assert [event["instance"] for event in told if event["kind"] == "fault_applied_again"] == [instance or "redis"]
    await asyncio.sleep(4.0)
    assert len([event for event in told if event["kind"] == "fault_applied_again"]) == 1
    await asyncio.sleep(2.1)
    assert await faults.active() == []
    engine.restart(instance or "redis")
    before = len(engine.diary)
    await asyncio.sleep(5.0)
    assert engine.diary[before:] == [], "its lease has run out"
    await faults.close()


async def test_a_look_during_a_scale_in_does_not_list_the_removed_node(
    runtime: DockerRuntime, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = engine.stop

    async def slowly(container: DockerContainer) -> None:
        await runtime.refresh()
        await stop(container)

    monkeypatch.setattr(engine, "stop", slowly)
    await runtime.remove_nodes("eastus", 1)
    await runtime.refresh()
    assert "identity-eastus-2" not in [spec.name for spec in runtime.instances()]
    await engine.start(await engine.find("identity-eastus-2"))
    await runtime.refresh()
    assert "identity-eastus-2" in [spec.name for spec in runtime.instances()], "somebody started it again"


async def test_a_frozen_node_that_is_removed_is_killed(runtime: DockerRuntime, engine: FakeEngine) -> None:
    """It would not hear SIGTERM."""
    await runtime.add_nodes("eastus", 1)
    await runtime.pause("identity-eastus-3")
    await runtime.remove_nodes("eastus", 1)
    assert engine.did("kill") == engine.did("remove") == ["identity-eastus-3"]


async def test_stop_puts_back_what_the_run_changed_and_leaves_the_rest(
    runtime: DockerRuntime, engine: FakeEngine, background: Background
) -> None:
    runtime._lease = RunLease(runtime.store, background)
    await runtime._lease.acquire()
    await runtime.add_nodes("eastus", 1)
    await runtime.kill("identity-eastus-1")
    await runtime.store.set(Keys.OVERLAY, "{}")
    engine.diary.clear()
    await runtime.stop()
    assert engine.did("remove") == ["identity-eastus-3"]
    assert engine.did("start") == ["identity-eastus-1"]
    assert engine.did("kill") == engine.did("stop") == []
    before = len(engine.diary)
    await runtime.stop()
    assert engine.diary[before:] == [("close",)], "a second stop does nothing"


async def test_a_refused_run_leaves_the_other_run_alone(
    runtime: DockerRuntime, engine: FakeEngine, monkeypatch: pytest.MonkeyPatch, background: Background
) -> None:
    other = RunLease(runtime.store, background)
    await other.acquire()
    await runtime.add_nodes("eastus", 1)
    engine.diary.clear()
    monkeypatch.setattr(runtime, "attach", lambda _topology: asyncio.sleep(0))
    with pytest.raises(RuntimeUnavailable, match="another run is in progress"):
        await runtime.start(TOPOLOGY, {}, 1, lambda _event: None)
    await runtime.stop()
    assert engine.diary == [("close",)]
    await other.release()


async def test_a_second_run_on_one_testbed_is_refused(world: Any, background: Background) -> None:
    store = world.redis.client()
    first = RunLease(store, background)
    await first.acquire()
    with pytest.raises(RuntimeUnavailable, match="another run is in progress"):
        await RunLease(store, background).acquire()
    await first.release()
    second = RunLease(store, background)
    await second.acquire()
    await second.release()


async def test_the_lease_of_a_dead_run_runs_out(world: Any, background: Background) -> None:
    store = world.redis.client()
    await store.set(KEY, "somebody/1", ex=15)
    with pytest.raises(RuntimeUnavailable, match="somebody/1"):
        await RunLease(store, background).acquire()
    await asyncio.sleep(16)
    lease = RunLease(store, background)
    await lease.acquire()
    await lease.release()


async def test_a_reset_ends_the_run_of_another_process(runtime: DockerRuntime, background: Background) -> None:
    """Its testbed is gone. Without the reset's lease it would measure the fresh one on."""
    other = RunLease(runtime.store, background)
    await other.acquire()
    await runtime.reset(TOPOLOGY, {})
    with pytest.raises(RuntimeUnavailable, match="the testbed was reset"):
        await asyncio.wait_for(other.until_lost(), LEASE_S)
    await other.release()
    assert await runtime.store.get(KEY) is None, "the testbed is free again"


async def test_a_running_run_renews_its_lease(world: Any, background: Background) -> None:
    store = world.redis.client()
    lease = RunLease(store, background)
    await lease.acquire()
    await asyncio.sleep(60)
    with pytest.raises(RuntimeUnavailable):
        await RunLease(store, background).acquire()
    await lease.release()


async def test_a_run_that_was_frozen_past_its_lease_leaves_the_testbed_to_the_next(
    world: Any, background: Background
) -> None:
    store = world.redis.client()
    frozen, lease = world.process("a laptop's lid"), RunLease(store, background)
    told: list[str] = []

    async def hold() -> None:
        await lease.acquire()
        try:
            await lease.until_lost()
        except RuntimeUnavailable as error:
            told.append(str(error))

    holding = frozen.spawn(hold())
    await asyncio.sleep(6)
    frozen.freeze()
    await asyncio.sleep(16)
    other = RunLease(store, background)
    await other.acquire()
    owner = await store.get(KEY)
    frozen.thaw()
    await holding
    assert len(told) == 1
    assert owner.decode() in told[0]
    assert lease.lost
    assert not other.lost
    await lease.release()
    assert await store.get(KEY) == owner, "what is another run's is neither overwritten nor deleted"
    await asyncio.sleep(60)
    assert await store.get(KEY) == owner
    await other.release()
    assert await store.get(KEY) is None


async def test_a_run_that_was_frozen_for_less_keeps_its_lease(world: Any, background: Background) -> None:
    store = world.redis.client()
    frozen, lease = world.process("a short stall"), RunLease(store, background)
    await frozen.spawn(lease.acquire())
    owner = await store.get(KEY)
    await asyncio.sleep(4)
    frozen.freeze()
    await asyncio.sleep(8)
    with pytest.raises(RuntimeUnavailable, match="another run is in progress"):
        await RunLease(store, background).acquire()
    frozen.thaw()
    await asyncio.sleep(60)
    assert not lease.lost
    assert await store.get(KEY) == owner
    await lease.release()
