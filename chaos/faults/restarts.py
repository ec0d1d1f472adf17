"""Instances that the engine or a user starts again while a fault is active: its effect went with the process."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

from chaos.faults.ledger import FAILURES
from chaos.faults.outcomes import StoreSilent
from compose.runtime import Runtime
from services.chassis.background import Background

LOOK_S = 1.0


class RestartWatch:
    """Looks every `LOOK_S` at the instances with a fault; calls `again` with the name of each that is a new process."""

    def __init__(
        self,
        runtime: Runtime,
        background: Background,
        names: Callable[[], Iterable[str]],
        again: Callable[[str], Awaitable[object]],
    ) -> None:
        self._started = runtime.started
        self._background = background
        self._names = names
        self._again = again
        self._seen: dict[str, str] = {}
        self._following: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Looks from now on, until the background is stopped; where nobody else restarts an instance, never."""
        if self._started is not None and (self._following is None or self._following.done()):
            self._following = self._background.keep(self._follow, "restarts of faulted instances")

    async def note(self, names: Iterable[str]) -> None:
        """Takes the present processes of these instances as those that the faults were applied to."""
        if self._started is None:
            return
        for name in names:
            with suppress(*FAILURES):
                self._seen[name] = await self._started(name)

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            await self.look()

    async def look(self) -> None:
        assert self._started is not None
        names = sorted(set(self._names()))
        self._seen = {name: self._seen[name] for name in names if name in self._seen}
        for name in names:
            with suppress(*FAILURES, StoreSilent):  # tried again at the next look
                started = await self._started(name)
                if self._seen.setdefault(name, started) != started:
                    await self._again(name)
                    self._seen[name] = started
