"""The configuration that a node reads when it starts: when it is up, and what a herd of them does to a store."""

import asyncio
from typing import Any

import pytest

from compose.virtual.world import VirtualWorld
from services.chassis.settings import SettingsError, merge, validate
from services.identity.settings import IdentitySettings
from tests.unit.mitigations.identity_bench import EAST, Bench

BLOB = "vmextwin{region}/packages/Microsoft.Compute.CustomScriptExtension/1.0/package.zip"
NODE = f"identity-{EAST}-1"
STORE = f"blobstore-{EAST}"
READS = "identity_configuration_reads_total"


async def _bench(world: VirtualWorld, configuration: dict[str, Any], *, nodes: int = 1, **tree: Any) -> Bench:
    own = {"identity": {"restart_s": 2.0, "configuration": {"blob": BLOB, **configuration}}}
    bench = Bench(world, merge(own, {"blobstore": {"service_time_s": 0.0}, **tree}), nodes=nodes)
    await bench.start()
    return bench


async def _add_store(bench: Bench) -> None:
    await bench._serve("blobstore", EAST, STORE)


def _up(bench: Bench) -> int:
    return sum(node.up for node in bench.node.values())


@pytest.mark.parametrize("world", ["http", "direct"], indirect=True)
async def test_a_node_is_up_when_it_has_read_its_configuration(world: VirtualWorld) -> None:
    bench = await _bench(world, {})
    node = bench.node[NODE]
    assert _up(bench) == 1, "the initial nodes have theirs"
    await bench.sleep_until(1.0)
    node.crash("operator")
    await bench.sleep_until(4.5)  # restarted at 3, refused at 3 and 4
    await _add_store(bench)
    await bench.sleep_until(4.999)
    assert _up(bench) == 0
    await bench.sleep_until(5.001)
    assert _up(bench) == 1
    assert [bench.counted(READS, NODE, outcome=one) for one in ("refused", "ok", "timeout")] == [2, 1, 0]
    (told,) = [event for event in bench.events if event["kind"] == "node_configured"]
    assert (told["took_s"], told["starts"]) == (2.0, 1)


async def test_a_node_that_needs_none_restarts_without_a_store(world: VirtualWorld) -> None:
    bench = await _bench(world, {"blob": ""})
    bench.node[NODE].crash("operator")
    await bench.sleep_until(2.001)
    assert bench.node[NODE].up


async def test_a_new_node_and_a_killed_process_read_it_too(world: VirtualWorld) -> None:
    bench = await _bench(world, {})
    bench.warm = False  # as the nodes of a scale-out
    added = await bench.add_node(EAST, 2)
    bench.served[NODE].kill()
    again = await bench.add_node(EAST, 1)
    await asyncio.sleep(0.5)
    assert (added.up, again.up) == (False, False)
    await _add_store(bench)
    await asyncio.sleep(1.0)
    assert (added.up, again.up) == (True, True)
    assert len(await bench.env.registry.live("identity", EAST)) == 2


async def test_a_read_times_out_and_a_node_without_retries_left_starts_anew(world: VirtualWorld) -> None:
    bench = await _bench(
        world,
        {"timeout_s": 1.5, "retry": {"attempts": 2}},
        blobstore={"service_time_s": 100.0},
    )
    await _add_store(bench)
    bench.node[NODE].crash("operator")
    # Reads at 2, 4.5 | 8, 10.5 | 14: timeout 1.5 s, wait 1 s; 2 s from the second failure to the next start.
    for t, read in ((3.4, 0), (3.6, 1), (5.9, 1), (6.1, 2), (9.4, 2), (9.6, 3), (12.1, 4), (15.4, 4), (15.6, 5)):
        await bench.sleep_until(t)
        assert bench.counted(READS, NODE, outcome="timeout") == read, t
    assert not bench.node[NODE].up


async def test_it_may_lie_in_the_store_of_another_region(world: VirtualWorld) -> None:
    bench = await _bench(world, {"region": "westus"})
    await _add_store(bench)
    bench.node[NODE].crash("operator")
    await bench.sleep_until(2.5)
    assert not bench.node[NODE].up
    await bench._serve("blobstore", "westus", "blobstore-westus")
    await bench.sleep_until(3.001)
    assert bench.node[NODE].up


async def test_a_defect_in_it_crashes_every_node_again_and_again_until_it_is_gone(world: VirtualWorld) -> None:
    bench = await _bench(world, {}, nodes=2)
    await _add_store(bench)
    await bench.sleep_until(1.0)
    await bench.switch({"identity": {"configuration": {"crash_after_s": 0.5}}})
    await bench.sleep_until(5.0)
    crashed = [(event["t"], event["reason"]) for event in _crashes(bench)]
    assert crashed == [(t, "configuration") for t in (1.5, 1.5, 4.0, 4.0)]
    await bench.switch({"identity": {"configuration": {"crash_after_s": None}}})
    await bench.sleep_until(20.0)
    assert _up(bench) == 2
    assert len(_crashes(bench)) == 4


async def test_a_defect_that_is_reverted_in_time_has_no_effect(world: VirtualWorld) -> None:
    bench = await _bench(world, {})
    await bench.switch({"identity": {"configuration": {"crash_after_s": 5.0}}})
    await bench.sleep_until(4.0)
    await bench.switch({"identity": {"workers": 3, "configuration": {"crash_after_s": None}}})
    await bench.sleep_until(20.0)
    assert _crashes(bench) == []


async def test_another_setting_does_not_delay_a_defect(world: VirtualWorld) -> None:
    bench = await _bench(world, {})
    await bench.switch({"identity": {"configuration": {"crash_after_s": 5.0}}})
    await bench.sleep_until(4.0)
    await bench.switch({"identity": {"workers": 3, "configuration": {"crash_after_s": 5.0}}})
    await bench.sleep_until(5.1)
    assert len(_crashes(bench)) == 1


def _crashes(bench: Bench) -> list[dict[str, Any]]:
    zero = bench.world.epoch_s
    found = [event for event in bench.events if event["kind"] == "node_crashed"]
    return [{**event, "t": round(event["at"] - zero, 6)} for event in found]


@pytest.mark.parametrize(
    ("nodes", "retry", "recovers"),
    [
        (24, {"wait": "fixed"}, False),
        (24, {"wait": "full_jitter", "max_s": 30.0}, True),
        (8, {"wait": "fixed"}, True),
    ],
)
async def test_nodes_that_restart_together_keep_a_store_busy_unless_they_are_few_or_wait_by_chance(
    world: VirtualWorld, nodes: int, retry: dict[str, Any], recovers: bool
) -> None:
    store = {"service_time_s": 0.25, "reads_at_once": 1, "reads_waiting_max": 40}
    bench = await _bench(world, {"retry": {"attempts": 1000, **retry}}, nodes=nodes, blobstore=store)
    await _add_store(bench)
    for node in bench.node.values():
        node.crash("operator")
    await bench.sleep_until(90.0)
    assert (_up(bench) == nodes) is recovers, _up(bench)
    if not recovers:
        assert _up(bench) <= 12
        served = bench.counted("blobstore_requests_total", STORE, code="200")
        assert served > 300, "the store was busy all the time"


@pytest.mark.parametrize("blob", ["", "quota{region}/policies/a/b.zip", "acc/c/x"])
def test_a_blob_is_an_account_a_container_and_a_name(blob: str) -> None:
    assert validate(IdentitySettings, {"configuration": {"blob": blob}}, "identity").configuration.blob == blob


@pytest.mark.parametrize("blob", ["x", "acc/x", "{name}/c/x", "acc/c/{region}", "/acc/c/x", "acc/c/x?y=1"])
def test_anything_else_is_refused(blob: str) -> None:
    with pytest.raises(SettingsError, match=r"identity\.configuration\.blob"):
        validate(IdentitySettings, {"configuration": {"blob": blob}}, "identity")
