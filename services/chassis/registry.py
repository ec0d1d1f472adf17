"""Who is alive: instances keep a lease, readers take only those whose lease has not run out.

One sorted set per service and region, scored by the lease's end in epoch seconds: renewing is one ZADD, reading one
ZRANGEBYSCORE, and a killed instance disappears by itself.
"""

import asyncio
import contextlib
import json
from dataclasses import asdict, dataclass
from math import inf

from redis.exceptions import RedisError

from services.chassis.clock import Clock
from services.chassis.store import Keys, Store, text

DEAD_LEASES = 10
"""How long a dead instance stays in the store at least, in leases; readers stop believing it at its lease's end."""


@dataclass(frozen=True, slots=True, order=True)
class Instance:
    """One running copy of a service. `name` is unique in the testbed; `url` has no trailing slash."""

    service: str
    region: str
    name: str
    url: str

    def member(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)


class Registry:
    """Register, renew, read. `lease_s` bounds how long a killed instance is still believed alive."""

    def __init__(self, store: Store, clock: Clock, *, lease_s: float = 9.0) -> None:
        self._store = store
        self._clock = clock
        self.lease_s = lease_s
        self._cleared_at = -inf

    async def register(self, instance: Instance) -> None:
        """Takes or renews the lease; leases that ran out long ago are cleared away on the way."""
        key, now = Keys.instances(instance.service, instance.region), self._clock.epoch()
        async with self._store.pipeline(transaction=False) as pipe:
            pipe.zadd(key, {instance.member(): now + self.lease_s})
            if now >= self._cleared_at + self.lease_s * DEAD_LEASES:
                self._cleared_at = now
                pipe.zremrangebyscore(key, "-inf", now - DEAD_LEASES * self.lease_s)
            await pipe.execute()

    async def deregister(self, instance: Instance) -> None:
        await self._store.zrem(Keys.instances(instance.service, instance.region), instance.member())

    async def live(self, service: str, region: str) -> list[Instance]:
        """Instances whose lease still runs, sorted by name."""
        key = Keys.instances(service, region)
        members = await self._store.zrangebyscore(key, self._clock.epoch(), "+inf")
        return sorted((Instance(**json.loads(text(member))) for member in members), key=lambda i: i.name)

    async def keep(self, instance: Instance) -> None:
        """Renews the lease three times per lease until cancelled; a Redis outage is waited out."""
        while True:
            with contextlib.suppress(RedisError, OSError):
                await self.register(instance)
            await asyncio.sleep(self.lease_s / 3)
