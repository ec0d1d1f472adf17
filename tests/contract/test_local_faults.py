"""Overlapping crashes and repairs on the local runtime: one process per port, and none that outlives the runtime.

Real processes on this machine, so real time: effects are compared, seconds are not.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from chaos.faults.leases import FaultLeases
from chaos.faults.model import FaultSpec, FaultTarget
from compose.local import LocalRuntime
from compose.topology import RegionSpec, Topology
from services.chassis.background import Background
from services.chassis.events import Events

pytestmark = [pytest.mark.real_time, pytest.mark.timeout(300)]
NAME = "blobstore-eastus"
LONG_S = 120.0


@contextlib.asynccontextmanager
async def a_testbed(folder: Path) -> AsyncIterator[tuple[LocalRuntime, FaultLeases]]:
    runtime = LocalRuntime(folder)
    try:
        await runtime.start(Topology((RegionSpec("eastus", "East US", identity_nodes=1),), loadgen=False), {}, 1, print)
        events = Events(lambda _event: None, runtime.clock, "test")
        faults = FaultLeases(runtime, events, Random(1), Background(runtime.clock, events.emit))
        yield runtime, faults
        await faults.close()
    finally:
        await runtime.stop()


def spec(kind: str) -> FaultSpec:
    return FaultSpec(kind=kind, target=FaultTarget(instance=NAME), lease_s=LONG_S)


async def test_concurrent_revivals_start_one_process_per_port(tmp_path: Path) -> None:
    async with a_testbed(tmp_path) as (runtime, faults):
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
