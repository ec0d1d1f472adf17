"""Deletes every machine and identity that the load created, even if its journey did not.

    loadgen:leftovers    sorted set in the store, "tenant region kind name" → epoch second of the earliest deletion

The entry is written as soon as the resource is named, so a journey that fails, gives up or ends with its process leaves
nothing behind; the next load generator reads the entries and continues. Resources in use are postponed.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from contextlib import suppress
from typing import Any, Literal, NamedTuple, Protocol

from redis.exceptions import OutOfMemoryError, RedisError

from loadgen.metrics import LoadMetrics
from loadgen.settings import LoadgenSettings
from services.chassis.env import Env
from services.chassis.store import Keys, text
from services.clients.arm import ArmCaller
from services.clients.identity.client import ManagedIdentityClient

LeftoverKind = Literal["machine", "identity"]
INTERVAL_S = 1.0
RETRY_S = 60.0
AT_ONCE = 20
"""Deletions started per interval, four times what base load creates: this limits the rate after an outage."""
UNDER_WAY_MAX = 100
ENTRIES_MAX = 100_000
STORE_ERRORS = (RedisError, OSError)


class Leftover(NamedTuple):
    """A resource of one tenant in one region; a machine's name is its ARM path, an identity's its own name."""

    tenant: str
    region: str
    kind: LeftoverKind
    name: str

    def entry(self) -> str:
        return " ".join(self)

    @classmethod
    def parse(cls, entry: str) -> "Leftover | None":
        """The parsed entry; None if this version did not write it."""
        parts = entry.split(" ")
        if len(parts) != len(cls._fields) or parts[2] not in ("machine", "identity"):
            return None
        return cls(parts[0], parts[1], "machine" if parts[2] == "machine" else "identity", parts[3])


Held = Callable[[], Iterable[Leftover]]


class Means(Protocol):
    """The clients for deletion, e.g. `site.Tools`."""

    env: Env
    settings: LoadgenSettings
    metrics: LoadMetrics
    identity: ManagedIdentityClient
    spawn: Callable[[Coroutine[Any, Any, Any]], None]

    def arm(self, tenant: str, region: str) -> ArmCaller:
        """The management client of a tenant."""


class Leftovers:
    """Records created resources and deletes them `resource_lifetime_s` later, unless a holder still uses them."""

    def __init__(self, tools: Means) -> None:
        self._tools = tools
        self._holders: list[Held] = []
        self._noted: dict[str, float] = {}
        self._under_way: set[str] = set()
        self._unwritten = asyncio.Event()
        metrics = tools.metrics
        self._deleted, self._forgotten = metrics.leftovers_deleted, metrics.leftovers_forgotten

    def hold(self, held: Held) -> None:
        """Adds a holder; `held()` returns the resources that must not be deleted now."""
        self._holders.append(held)

    def release_all(self) -> None:
        """Removes all holders; a new load adds its own. No deletion is under way: they have ended with the load."""
        self._holders.clear()
        self._under_way.clear()

    def note(self, leftover: Leftover) -> None:
        """Records a resource that is about to be created."""
        self._noted[leftover.entry()] = self._tools.env.clock.epoch() + self._tools.settings.resource_lifetime_s
        self._drop_oldest(self._noted)
        self._unwritten.set()

    def _drop_oldest(self, entries: dict[str, float]) -> None:
        while len(entries) > ENTRIES_MAX:
            del entries[next(iter(entries))]
            self._forgotten.inc()

    async def write(self) -> None:
        """Writes records to the store until cancelled; waits while the store is unavailable."""
        while True:
            await self._unwritten.wait()
            self._unwritten.clear()
            with suppress(*STORE_ERRORS):
                await self.flush()
                continue
            await asyncio.sleep(INTERVAL_S)
            self._unwritten.set()

    async def delete(self) -> None:
        """Deletes due resources until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            env = self._tools.env
            with suppress(*STORE_ERRORS):
                await env.stored.with_sound_keys(env.store, self._delete_due)

    async def flush(self) -> None:
        """Writes the pending records.

        Raises:
            RedisError, OSError: the records are kept for the next call.
        """
        if not self._noted:
            return
        noted, self._noted = self._noted, {}
        try:
            env = self._tools.env
            await env.stored.with_sound_keys(env.store, lambda: env.store.zadd(Keys.LEFTOVERS, noted))
        except BaseException:  # also on cancellation: the load flushes once more when it stops
            self._noted = {**noted, **self._noted}
            self._drop_oldest(self._noted)
            raise

    async def _delete_due(self) -> None:
        store, now = self._tools.env.store, self._tools.env.clock.epoch()
        self._forgotten.inc(await store.zremrangebyrank(Keys.LEFTOVERS, 0, -ENTRIES_MAX - 1))
        due = [text(entry) for entry in await store.zrangebyscore(Keys.LEFTOVERS, "-inf", now, start=0, num=AT_ONCE)]
        if not due:
            return
        held = {leftover.entry() for holder in self._holders for leftover in holder()}
        later = now + self._tools.settings.resource_lifetime_s
        with suppress(OutOfMemoryError):  # the store is full: nothing is postponed, and deleting makes room
            await store.zadd(Keys.LEFTOVERS, {entry: later if entry in held else now + RETRY_S for entry in due})
        for entry in due:
            if entry not in held and entry not in self._under_way and len(self._under_way) < UNDER_WAY_MAX:
                self._under_way.add(entry)
                self._tools.spawn(self._delete(entry))

    async def _delete(self, entry: str) -> None:
        try:
            leftover = Leftover.parse(entry)
            if leftover is None or await self._gone(leftover):
                await self._tools.env.store.zrem(Keys.LEFTOVERS, entry)
                self._deleted.inc()
        except STORE_ERRORS:
            pass  # the entry stays and is due again after RETRY_S
        finally:
            self._under_way.discard(entry)

    async def _gone(self, leftover: Leftover) -> bool:
        """Requests the deletion; True if it was accepted or there was nothing to delete."""
        tools = self._tools
        if leftover.region not in tools.settings.regions:
            return False
        if leftover.kind == "identity":
            return (await tools.identity.delete_identity(leftover.tenant, leftover.region, leftover.name)).ok
        reply = await tools.arm(leftover.tenant, leftover.region).send("DELETE", leftover.name)
        return not reply.failure or reply.status == 404

    def __repr__(self) -> str:
        return f"<Leftovers {len(self._noted)} to write, {len(self._under_way)} being deleted>"
