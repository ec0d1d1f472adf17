"""The nodes a router may send to: the live instances of each region, refreshed in the background."""

import asyncio
from random import Random

from services.chassis.env import Env
from services.chassis.registry import Instance
from services.policies.outcome import AttemptOutcome
from services.router.pool import NodePool
from services.router.settings import RouterSettings


class Rotation:
    """Live identity nodes per region, refreshed from the registry."""

    def __init__(self, env: Env, regions: tuple[str, ...], settings: RouterSettings) -> None:
        self._env = env
        self._now = env.clock.now
        self._discovery_s = settings.discovery_s
        self.pools = {region: NodePool(settings) for region in regions}

    def reconfigure(self, settings: RouterSettings) -> None:
        self._discovery_s = settings.discovery_s
        for pool in self.pools.values():
            pool.reconfigure(settings)
            pool.refresh(self._now())

    async def refresh(self) -> None:
        for region, pool in self.pools.items():
            pool.update(await self._env.registry.live("identity", region), self._now())

    async def follow(self) -> None:
        while True:
            await asyncio.sleep(self._discovery_s)
            await self.refresh()  # on failure the last known nodes stay in use

    def pick(self, region: str, rng: Random, tenant: str) -> Instance | None:
        """A node for one request, or None if none is known to be up."""
        pool = self.pools[region]
        if not pool.plain:
            return pool.pick(rng, tenant, self._now())
        nodes = pool.nodes
        return nodes[int(rng.random() * len(nodes))] if nodes else None

    def on_outcome(self, node: Instance, outcome: AttemptOutcome, began: float) -> None:
        pool = self.pools[node.region]
        if not pool.plain:
            pool.on_outcome(node, outcome, self._now(), began)

    def drop(self, node: Instance) -> None:
        self.pools[node.region].drop(node)

    def count(self, region: str) -> int:
        return len(self.pools[region].nodes)
