"""One run at a time on a testbed: a key in its Redis that only a living owner keeps."""

import asyncio
import os
import socket
from contextlib import suppress
from typing import Any

from redis.exceptions import RedisError

from compose.runtime import RuntimeUnavailable
from services.chassis.background import Background
from services.chassis.store import Store, text

KEY = "run"
LEASE_S = 15


class RunLease:
    """Held from `acquire` to `release`; given up by itself when the owner dies."""

    def __init__(self, store: Store, background: Background) -> None:
        self._store = store
        self._background = background.scope()
        self._owner = f"{socket.gethostname()}/{os.getpid()}"

    async def acquire(self) -> None:
        """
        Raises:
            RuntimeUnavailable: naming who runs on this testbed now.
        """
        if not await self._store.set(KEY, self._owner, nx=True, ex=LEASE_S):
            owner = text(await self._store.get(KEY) or b"somebody")
            raise RuntimeUnavailable(f"another run is in progress on this testbed ({owner}); wait for it or abort it")
        self._background.keep(self._keep, "run lease")

    def write(self, pipe: Any) -> None:
        """Adds the key to a pipeline that empties the store."""
        pipe.set(KEY, self._owner, ex=LEASE_S)

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(LEASE_S / 3)
            with suppress(RedisError, OSError):
                await self._store.set(KEY, self._owner, ex=LEASE_S)

    async def release(self) -> None:
        await self._background.stop()
        with suppress(RedisError, OSError):
            if text(await self._store.get(KEY) or b"") == self._owner:
                await self._store.delete(KEY)
