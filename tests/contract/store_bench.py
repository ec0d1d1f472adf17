"""A small testbed in virtual time whose store can be taken away, or filled with garbage."""

import asyncio
from collections.abc import Callable
from typing import Any

from compose.topology import InstanceSpec, RegionSpec, Topology
from compose.virtual.runtime import VirtualRuntime
from compose.virtual.world import VirtualWorld
from services.chassis.background import DELAY_MAX_S
from services.chassis.store import RETRIES, RETRY_MAX_S
from services.router.app import ROUTER

REGION = "eastus"
TOPOLOGY = Topology((RegionSpec(REGION, "East US", identity_nodes=2),))
RESTART_S = 3.0
SETTINGS: dict[str, Any] = {
    "identity": {"restart_s": RESTART_S},
    "loadgen": {"regions": {REGION: {"token_rate_per_s": 2.0, "job_rate_per_s": 0.5}}},
}
CALM_S = 5.0
BEAT_S = 3.0
BACK_S = RETRIES * RETRY_MAX_S + 2 * DELAY_MAX_S + BEAT_S
"""The client tries again, the supervisor starts again and watches for a moment, and the lease comes round."""
SERVICES = {
    "blobstore": "blobstore-eastus",
    "identity": "identity-eastus-1",
    "provisioner": "provisioner-eastus",
    "router": "router-eastus",
    "loadgen": "loadgen",
}


class Bench:
    """A small testbed in virtual time, whose store can be taken away."""

    def __init__(self, world: VirtualWorld) -> None:
        self.world = world
        self.runtime = VirtualRuntime(world)
        self.events: list[dict[str, Any]] = []

    async def begin(self) -> None:
        await self.runtime.start(TOPOLOGY, SETTINGS, 1, self.events.append)
        await asyncio.sleep(CALM_S)

    def spec(self, service: str) -> InstanceSpec:
        return next(spec for spec in self.runtime.instances() if spec.name == SERVICES[service])

    def take_away(self, way: str, length_s: float) -> None:
        (self.world.redis.go_down if way == "down" else self.world.redis.stall)(length_s)

    def app(self, name: str) -> Any:
        return self.runtime._running[name].served._runner.app

    async def ready(self, name: str) -> bool:
        return (await self.runtime.http.call("GET", f"http://{name}:8080/readyz", timeout_s=0.5)).ok

    async def live(self, service: str) -> set[str]:
        env = self.runtime._running[SERVICES["blobstore"]].env
        region = "" if service == "loadgen" else REGION
        return {instance.name for instance in await env.registry.live(service, region)}

    async def in_rotation(self) -> bool:
        """Every instance is ready and registered, and the router knows both nodes."""
        names = [spec.name for spec in self.runtime.instances()]
        if not all([await self.ready(name) for name in names]):
            return False
        registered = set().union(*[await self.live(service) for service in SERVICES])
        return registered == set(names) and self.app(SERVICES["router"])[ROUTER].rotation.count(REGION) == 2

    async def wait_for(self, what: Callable[[], Any], within_s: float) -> None:
        async with asyncio.timeout(within_s):
            while not await what():  # noqa: ASYNC110 - what is waited for shows over HTTP and in the store
                await asyncio.sleep(0.1)
