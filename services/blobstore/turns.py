"""A limited rate of reads: so many are served at once, the others wait in the order in which they came.

A read whose reader has given up keeps its place and is served all the same, as in the identity nodes: under a herd of
readers the store is busy and none of its work is of use.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from services.blobstore import errors
from services.blobstore.errors import BlobError


class ReadTurns:
    """The turns of one store, `at_once` of them, with at most `waiting_max` reads waiting."""

    def __init__(self, at_once: int, waiting_max: int) -> None:
        self.limits = at_once, waiting_max
        self.waiting = 0
        self._slots = asyncio.Semaphore(at_once)

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Waits for a turn and holds it.

        Raises:
            BlobError: 503, too many wait.
        """
        if self._slots.locked():
            await self._wait()
        else:
            await self._slots.acquire()
        try:
            yield
        finally:
            self._slots.release()

    async def _wait(self) -> None:
        if self.waiting >= self.limits[1]:
            raise BlobError(errors.SERVER_BUSY, details={"Reason": "Operations per second is over the account limit."})
        self.waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self.waiting -= 1

    def __repr__(self) -> str:
        return f"<ReadTurns {self.limits[0]} at once, {self.waiting} of {self.limits[1]} waiting>"
