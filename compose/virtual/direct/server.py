"""The server side of the direct transport."""

from __future__ import annotations

import asyncio
from typing import Any, cast

from aiohttp import web

from compose.virtual.direct.exchange import Exchange
from compose.virtual.net.network import Listener


class DirectServer:
    """An application that accepts exchanges."""

    def __init__(self, app: web.Application, listener: Listener, connections: dict[Any, None]) -> None:
        self.app = app
        self.address = (listener.host, listener.port)
        self.context = listener.context
        self.open: dict[Any, None] = listener.owner.open if listener.owner is not None else {}
        self.connections = connections

    async def drain(self, timeout_s: float) -> None:
        """Wait for running handlers, as aiohttp's graceful shutdown does.

        All handlers get `timeout_s` seconds. Those with a connected client then get `timeout_s` more before they are
        cut off and cancelled; those without one are left running.
        """
        running = [end for end in self.open if isinstance(end, Exchange) and end.task is not None]
        if not running or not await self._wait(running, timeout_s):
            return
        heard = [exchange for exchange in running if exchange.transport is not None]
        for exchange in heard:
            exchange.cancel_reading()
        if heard:
            for exchange in await self._wait(heard, timeout_s):
                exchange.abort()
                cast("asyncio.Task[None]", exchange.task).cancel()

    async def _wait(self, exchanges: list[Exchange], timeout_s: float) -> list[Exchange]:
        """The exchanges still running after `timeout_s` seconds."""
        tasks = [cast("asyncio.Task[None]", exchange.task) for exchange in exchanges]
        await asyncio.wait(tasks, timeout=timeout_s)
        return [exchange for exchange in exchanges if not cast("asyncio.Task[None]", exchange.task).done()]
