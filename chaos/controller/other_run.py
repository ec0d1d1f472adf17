"""Knows of a run by another process on this testbed, such as `aftershock run --runtime compose`.

Such a run has settings, load and a verdict of its own. Meanwhile the controller does not judge the testbed, and refuses
what would change the settings of the run.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from chaos.controller.calm import Busy
from compose.run_lease import other_owner
from compose.runtime import Runtime, RuntimeUnavailable
from services.chassis.background import Background
from services.chassis.store import STORE_ERRORS

INTERVAL_S = 1.0
SILENT_S = 2.0
"""How long the store may take to answer."""


class OtherRun:
    """Looks every `INTERVAL_S` seconds, until closed. `at_end` is called when such a run has ended or was killed."""

    def __init__(self, runtime: Runtime, background: Background, at_end: Callable[[], Awaitable[None]]) -> None:
        self._runtime = runtime
        self._background = background.scope()
        self._at_end = at_end
        self.owner = ""
        """`host/process/number` of the run; empty without one."""
        self.since = 0.0
        """Unix time at which it was first seen."""

    def start(self) -> None:
        self._background.keep(self._follow, "watch for runs of other processes")

    async def close(self) -> None:
        await self._background.stop()

    async def _follow(self) -> None:
        while True:
            try:
                async with asyncio.timeout(SILENT_S):
                    await self.look()
            except STORE_ERRORS:  # a stall by a run that was killed meanwhile is ended here: no lease of it can be read
                with suppress(RuntimeUnavailable):
                    await self._runtime.end_overdue_stall()
            await asyncio.sleep(INTERVAL_S)

    async def look(self) -> str:
        """The owner now; empty without such a run."""
        owner = await other_owner(self._runtime.store)
        if self.owner and not owner:
            await self._at_end()  # first: without an answer of the store it is the end at the next look
        if owner and owner != self.owner:
            self.since = self._runtime.clock.epoch()
        self.owner = owner
        return owner

    async def require_none(self) -> None:
        """Looks, and checks that there is none.

        Raises:
            Busy: there is one.
        """
        owner = await self.look()
        if owner:
            raise Busy(f"a run of another process ({owner}) is in progress on this testbed; wait for it or end it")
