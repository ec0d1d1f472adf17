"""Which nodes a router may send to: the registry's live ones, less those that just refused a connection."""

import asyncio
import contextlib
from random import Random

from redis.exceptions import RedisError

from services.chassis.env import Env
from services.chassis.registry import Instance


class Rotation:
    """Live identity nodes per region, refreshed from the registry."""

    def __init__(self, env: Env, regions: tuple[str, ...], discovery_s: float) -> None:
        self._env = env
        self._regions = regions
        self._discovery_s = discovery_s
        self._nodes: dict[str, list[Instance]] = {region: [] for region in regions}

    async def refresh(self) -> None:
        for region in self._regions:
            self._nodes[region] = await self._env.registry.live("identity", region)

    async def follow(self) -> None:
        while True:
            await asyncio.sleep(self._discovery_s)
            with contextlib.suppress(RedisError, OSError):  # the last known nodes are better than none
                await self.refresh()

    def pick(self, region: str, rng: Random) -> Instance | None:
        """A node at random, or None when none is known to be up."""
        nodes = self._nodes.get(region)
        return nodes[int(rng.random() * len(nodes))] if nodes else None

    def drop(self, node: Instance) -> None:
        """Leave a node out until the registry says otherwise."""
        nodes = self._nodes[node.region]
        if node in nodes:
            nodes.remove(node)

    def count(self, region: str) -> int:
        return len(self._nodes.get(region, ()))
