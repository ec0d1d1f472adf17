"""The run lease: allows one run at a time on a testbed, through an expiring key in its Redis that the owner renews.

Every write checks the owner in the same transaction. A run that stalled for longer than its lease finds another owner,
leaves the key unchanged, and ends.
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
RENEWED_EVERY_S = LEASE_S / 3
NOTICED_S = RENEWED_EVERY_S + 1.0
_NUMBERS = itertools.count(1)
"""Distinguishes the runs of one process in the owner name."""


def _process() -> str:
    return f"{socket.gethostname()}/{os.getpid()}/"


async def _owner(store: Any) -> str:
    """The owner, or empty if the lease is free. A key without an expiry is no lease: it would never be released."""
    if text(await store.type(KEY)) != "string" or await store.ttl(KEY) < 0:
        return ""
    return text(await store.get(KEY) or b"")


async def other_owner(store: Store) -> str:
    """The owner of the lease if it is another process than this one, otherwise empty."""
    owner = await _owner(store)
    return "" if owner.startswith(_process()) else owner


class RunLease:
    """Held from `acquire` or `seize` to `release`; expires when the owner dies."""

    def __init__(self, store: Store, background: Background) -> None:
        self._store = store
        self._background = background.scope()
        self._owner = f"{_process()}{next(_NUMBERS)}"
        self._lost_to = ""
        self._lost = asyncio.Event()

    @property
    def lost(self) -> bool:
        """Whether another run holds the lease now. The testbed's state must then not be reverted by this run."""
        return self._lost.is_set()

    async def acquire(self) -> None:
        """Takes the lease and renews it in the background.

        Raises:
            RuntimeUnavailable: another run holds the lease; the message names its owner.
        """
        owner = await self._renew()
        if owner != self._owner:
            raise RuntimeUnavailable(f"another run is in progress on this testbed ({owner}); wait for it or abort it")
        self._background.finish(self._keep, "run lease")

    async def seize(self) -> None:
        """Takes the lease for `LEASE_S`. A run that held it has noticed when this returns, and ends."""
        held = await _owner(self._store)
        await self._store.set(KEY, self._owner, ex=LEASE_S)
        if held:
            await asyncio.sleep(NOTICED_S)

    async def require(self, pipe: Any) -> None:
        """Makes a transaction on `pipe` depend on the lease and starts it; `write` renews the lease in it.

        Raises:
            RuntimeUnavailable: another run holds the lease.
        """
        owner = await self._owner_seen_by(pipe)
        if owner not in ("", self._owner):
            self._lose(owner)
            raise self._refusal()
        pipe.multi()

    def write(self, pipe: Any) -> None:
        """Adds the key to a pipeline, with an expiry of `LEASE_S`."""
        pipe.set(KEY, self._owner, ex=LEASE_S)

    async def _renew(self) -> str:
        """Writes the key if it is free or ours; returns the owner afterwards."""
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
        await pipe.watch(KEY)
        return await _owner(pipe)

    async def _keep(self) -> None:
        while not self.lost:
            await asyncio.sleep(RENEWED_EVERY_S)
            owner = await self._renew()
            if owner != self._owner:
                self._lose(owner)

    def _lose(self, owner: str) -> None:
        self._lost_to = owner
        self._lost.set()

    async def until_lost(self) -> None:
        """Waits until the lease is lost.

        Raises:
            RuntimeUnavailable: always, when a reset or another run has taken the lease.
        """
        await self._lost.wait()
        raise self._refusal()

    def _refusal(self) -> RuntimeUnavailable:
        return RuntimeUnavailable(
            f"this run lost the testbed to {self._lost_to}: the testbed was reset, or this run stalled for longer than "
            f"its lease of {LEASE_S} s"
        )

    async def release(self) -> None:
        await self._background.stop()
        with suppress(*STORE_ERRORS):  # includes WatchError: another run has just taken the lease
            async with self._store.pipeline(transaction=True) as pipe:
                if await self._owner_seen_by(pipe) == self._owner:
                    pipe.multi()  # type: ignore[no-untyped-call]
                    pipe.delete(KEY)
                    await pipe.execute()
