"""Overlapping crashes and repairs on the local runtime: one process per port, and none that outlives the runtime.

Real processes on this machine, so real time: effects are compared, seconds are not.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from chaos.experiment.operations import change_overlay
from chaos.faults.leases import FaultLeases
from chaos.faults.model import FaultSpec, FaultTarget
from compose.local import LocalRuntime
from compose.topology import InstanceSpec, RegionSpec, Topology
from services.chassis.background import Background
from services.chassis.events import Events
from services.chassis.settings import Tree

pytestmark = [pytest.mark.real_time, pytest.mark.timeout(300)]
NAME = "blobstore-eastus"
LONG_S = 120.0


class StoreAlone(Topology):
    """The region's blob store and nothing else: each instance is a process."""

    def instances(self) -> list[InstanceSpec]:
        return [spec for spec in super().instances() if spec.name == NAME]


EAST = (RegionSpec("eastus", "East US", identity_nodes=1),)
REGION = Topology(EAST, loadgen=False)


@contextlib.asynccontextmanager
async def a_testbed(
    folder: Path, tree: Tree | None = None, topology: Topology = REGION
) -> AsyncIterator[tuple[LocalRuntime, FaultLeases]]:
    runtime = LocalRuntime(folder)
    try:
        await runtime.start(topology, tree or {}, 1, print)
        events = Events(lambda _event: None, runtime.clock, "test")
        faults = FaultLeases(runtime, events, Random(1), Background(runtime.clock, events.emit))
        yield runtime, faults
        await faults.close()
    finally:
        await runtime.stop()


def spec(kind: str, name: str = NAME) -> FaultSpec:
    return FaultSpec(kind=kind, target=FaultTarget(instance=name), lease_s=LONG_S)


async def test_concurrent_revivals_start_one_process_per_port(tmp_path: Path) -> None:
    async with a_testbed(tmp_path, topology=StoreAlone(EAST)) as (runtime, faults):
        one, two = await faults.start(spec("crash")), await faults.start(spec("crash"))
        assert not (await faults.repair(NAME)).running
        await faults.stop(one.id)
        await asyncio.gather(faults.stop(two.id), faults.repair(NAME), runtime.revive(NAME), runtime.revive(NAME))
        process = runtime._children[NAME].process
        await runtime.revive(NAME)
        assert runtime._children[NAME].process is process
        url = runtime.peers.url("blobstore", "eastus")
        assert (await runtime.http.call("GET", f"{url}/healthz", timeout_s=10.0)).ok
        await runtime.stop_instances()
        assert (await runtime.http.call("GET", f"{url}/healthz", timeout_s=2.0)).failure == "refused"


BLOB = "vmextwin{region}/packages/Microsoft.Compute.CustomScriptExtension/1.0/package.zip"
NODE = "identity-eastus-1"


async def reading(runtime: LocalRuntime, line: str) -> float:
    """The value of a line of the node's metrics."""
    (url,) = (target.url for target in runtime.targets() if target.spec.name == NODE)
    reply = await runtime.http.call("GET", f"{url}/metrics", timeout_s=10.0)
    return next(float(text.split()[-1]) for text in reply.body.decode().splitlines() if text.startswith(line))


async def until(runtime: LocalRuntime, line: str, least: float) -> None:
    for _ in range(200):
        if await reading(runtime, line) >= least:
            return
        await asyncio.sleep(0.2)
    pytest.fail(f"{line} stays below {least:g}")


@pytest.mark.long
async def test_a_node_waits_for_its_configuration_and_a_defect_in_it_crashes_the_node(tmp_path: Path) -> None:
    configuration = {"blob": BLOB, "retry": {"attempts": 1000, "base_s": 0.2}}
    async with a_testbed(tmp_path, {"identity": {"restart_s": 0.5, "configuration": configuration}}) as testbed:
        runtime, faults = testbed
        assert await reading(runtime, "identity_node_up") == 1.0, "the initial node has it"
        store, node = await faults.start(spec("crash")), await faults.start(spec("crash", NODE))
        await faults.stop(node.id)
        await until(runtime, 'identity_configuration_reads_total{outcome="refused"', 2.0)
        assert await reading(runtime, "identity_node_up") == 0.0
        await faults.stop(store.id)
        await until(runtime, "identity_node_up", 1.0)

        events = Events(lambda _event: None, runtime.clock, "test")
        defect = {"identity": {"configuration": {"crash_after_s": 0.1}}}
        await change_overlay(runtime, lambda _overlay: defect, events)
        await until(runtime, 'identity_node_restarts_total{reason="configuration"', 2.0)
