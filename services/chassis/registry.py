"""The instance registry: instances renew a lease; readers see only instances with a valid lease.

One sorted set per service and region, scored by the lease's end in epoch seconds: renewing is one ZADD, reading is one
ZRANGEBYSCORE, and a killed instance disappears by itself.
"""

import asyncio
import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from math import inf
from typing import Annotated, Any

from pydantic import Field
from redis.exceptions import OutOfMemoryError

from services.chassis.clock import Clock
from services.chassis.store import Keys, Store
from services.chassis.stored import Stored, StoredShape

REMEMBERED_MAX = 500
RENEW_IN_FULL_STORE = """#!lua flags=allow-oom
return redis.call('ZADD', KEYS[1], ARGV[1], ARGV[2])"""
"""A full store (`maxmemory`) refuses ZADD. Without leases nothing would be in rotation and nothing could be deleted, so
the store would stay full. The sorted set does not grow by a renewal."""

DEAD_LEASES = 10
"""Leases after which a dead instance is removed from the store; readers ignore it from the end of its lease."""


@dataclass(frozen=True, slots=True, order=True)
class Instance:
    """One running copy of a service. `name` is unique in the testbed; `url` has no trailing slash."""

    service: str
    region: str
    name: str
    url: Annotated[str, Field(pattern=r"^https?://[A-Za-z0-9._\[\]:-]+$")]

    def member(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)


_INSTANCE: StoredShape[Instance] = StoredShape(Instance)


class Registry:
    """Register, renew, read. `lease_s` bounds how long a killed instance still counts as live."""

    def __init__(self, store: Store, stored: Stored, clock: Clock, *, lease_s: float = 9.0) -> None:
        self._store = store
        self._stored = stored
        self._read: dict[bytes, Instance] = {}
        self._clock = clock
        self.lease_s = lease_s
        self._cleared_at = -inf

    async def register(self, instance: Instance) -> None:
        """Takes or renews the lease, and removes leases that ended long ago."""
        key, now = Keys.instances(instance.service, instance.region), self._clock.epoch()
        self._stored.expect("zset", key)
        async with self._store.pipeline(transaction=False) as pipe:
            pipe.zadd(key, {instance.member(): now + self.lease_s})
            if now >= self._cleared_at + self.lease_s * DEAD_LEASES:
                self._cleared_at = now
                pipe.zremrangebyscore(key, "-inf", now - DEAD_LEASES * self.lease_s)
            with suppress(OutOfMemoryError):
                await pipe.execute()
                return
        await self._store.eval(RENEW_IN_FULL_STORE, 1, key, now + self.lease_s, instance.member())

    async def deregister(self, instance: Instance) -> None:
        await self._store.zrem(Keys.instances(instance.service, instance.region), instance.member())

    async def live(self, service: str, region: str) -> list[Instance]:
        """Instances with a valid lease, sorted by name."""
        key = Keys.instances(service, region)
        self._stored.expect("zset", key)
        members = await self._store.zrangebyscore(key, self._clock.epoch(), "+inf")
        found = [instance for member in members if (instance := self._instance(member, key)) is not None]
        return sorted(found, key=lambda i: i.name)

    def _instance(self, member: Any, key: str) -> Instance | None:
        """Parses a member; cached, because the same few are read several times a second."""
        known = self._read.get(member)
        if known is None:
            known = self._stored.read(_INSTANCE, member, key, "member")
            if known is not None and Keys.instances(known.service, known.region) != key:
                self._stored.refuse(member, key, "member", "belongs to another service or region")
                return None
            if known is not None:
                if len(self._read) >= REMEMBERED_MAX:
                    self._read.clear()
                self._read[member] = known
        return known

    async def keep(self, instance: Instance) -> None:
        """Renews the lease three times per lease, until cancelled or until the store fails."""
        while True:
            await self.register(instance)
            await asyncio.sleep(self.lease_s / 3)
