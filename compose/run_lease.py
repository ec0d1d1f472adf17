"""One run at a time on a testbed: a key in its Redis that only a living owner keeps.

Every change of the key looks first at whose it is, in one transaction: a run that stalled for longer than its lease
finds another one there, leaves it alone, and ends.
"""

import asyncio
import itertools
import os
import socket
from contextlib import suppress
from typing import Any

from redis.exceptions import WatchError

from compose.runtime import RuntimeUnavailable
from services.chassis.background import Background
from services.chassis.store import STORE_ERRORS, Store, text

KEY = "run"
LEASE_S = 15
_NUMBERS = itertools.count(1)
"""Two runs of one process are two owners."""


class RunLease:
    """Held from `acquire` to `release`; given up by itself when the owner dies."""

    def __init__(self, store: Store, background: Background) -> None:
        self._store = store
        self._background = background.scope()
        self._owner = f"{socket.gethostname()}/{os.getpid()}/{next(_NUMBERS)}"
        self._lost_to = ""
        self._lost = asyncio.Event()

    @property
    def lost(self) -> bool:
        """Whether another run has the testbed now: whatever is there is no longer ours to take back."""
        return self._lost.is_set()

    async def acquire(self) -> None:
        """
        Raises:
            RuntimeUnavailable: naming who runs on this testbed now.
        """
        owner = await self._renew()
        if owner != self._owner:
            raise RuntimeUnavailable(f"another run is in progress on this testbed ({owner}); wait for it or abort it")
        self._background.finish(self._keep, "run lease")

    async def require(self, pipe: Any) -> None:
        """Makes a transaction that is being built depend on the lease, and begins it; `write` renews it there.

        Raises:
            RuntimeUnavailable: the lease is somebody else's.
        """
        owner = await self._owner_seen_by(pipe)
        if owner not in ("", self._owner):
            self._lose(owner)
            raise self._refusal()
        pipe.multi()

    def write(self, pipe: Any) -> None:
        """Adds the key to a pipeline that empties the store."""
        pipe.set(KEY, self._owner, ex=LEASE_S)

    async def _renew(self) -> str:
        """Takes the key if it is ours or nobody's; whose it is afterwards."""
        while True:
            async with self._store.pipeline(transaction=True) as pipe:
                owner = await self._owner_seen_by(pipe)
                if owner not in ("", self._owner):
                    return owner
                pipe.multi()  # type: ignore[no-untyped-call]
                self.write(pipe)
                with suppress(WatchError):
                    await pipe.execute()
                    return self._owner

    @staticmethod
    async def _owner_seen_by(pipe: Any) -> str:
        """Empty when nobody holds it. What does not expire is no lease: somebody else wrote it, and it would last."""
        await pipe.watch(KEY)
        if text(await pipe.type(KEY)) != "string" or await pipe.ttl(KEY) < 0:
            return ""
        return text(await pipe.get(KEY) or b"")

    async def _keep(self) -> None:
        while not self.lost:
            await asyncio.sleep(LEASE_S / 3)
            owner = await self._renew()
            if owner != self._owner:
                self._lose(owner)

    def _lose(self, owner: str) -> None:
        self._lost_to = owner
        self._lost.set()

    async def until_lost(self) -> None:
        """Waits for the worst.

        Raises:
            RuntimeUnavailable: another run has the testbed, because this one stalled for longer than its lease.
        """
        await self._lost.wait()
        raise self._refusal()

    def _refusal(self) -> RuntimeUnavailable:
        return RuntimeUnavailable(
            f"this run stalled for longer than its lease of {LEASE_S} s and lost the testbed to {self._lost_to}"
        )

    async def release(self) -> None:
        await self._background.stop()
        with suppress(*STORE_ERRORS):  # WatchError is one: it was just taken over
            async with self._store.pipeline(transaction=True) as pipe:
                if await self._owner_seen_by(pipe) == self._owner:
                    pipe.multi()  # type: ignore[no-untyped-call]
                    pipe.delete(KEY)
                    await pipe.execute()
