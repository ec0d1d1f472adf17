"""The event stream of the controller: recent history for new listeners, then every event."""

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from services.chassis.clock import Clock

HISTORY = 500
QUEUE_MAX = 1000
KEEP_ALIVE_S = 15.0
WRITE_TIMEOUT_S = 30.0


class Feed:
    """Publishes event lines to any number of listeners. A slow listener loses its oldest lines."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.history: deque[dict[str, Any]] = deque(maxlen=HISTORY)
        self._listeners: set[asyncio.Queue[dict[str, Any]]] = set()

    def publish(self, event: dict[str, Any], *, keep: bool = True) -> None:
        """Publishes an event. `keep` adds it to the history; not for ticks, which would displace all other events."""
        if keep:
            self.history.append(event)
        for queue in self._listeners:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(event)

    async def send(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        """Passes all frames to one listener.

        Raises:
            TimeoutError: it took nothing for `WRITE_TIMEOUT_S`; a listener that never reads would never be removed.
            ConnectionResetError: it has disconnected.
        """
        async with aclosing(self.listen()) as frames:
            async for frame in frames:
                async with asyncio.timeout(WRITE_TIMEOUT_S):
                    await write(frame)

    async def listen(self, *, replay: bool = True) -> AsyncGenerator[bytes, None]:
        """Server-sent events: the history if `replay`, then live events; comments keep idle connections open."""
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(QUEUE_MAX)
        past = list(self.history) if replay else []
        self._listeners.add(queue)
        try:
            for event in past:
                yield _frame(event)
            while True:
                try:
                    yield _frame(await asyncio.wait_for(queue.get(), KEEP_ALIVE_S))
                except TimeoutError:
                    yield b": keep-alive\n\n"
        finally:
            self._listeners.discard(queue)


def _frame(event: dict[str, Any]) -> bytes:
    return f"event: {event['kind']}\ndata: {json.dumps(event, separators=(',', ':'))}\n\n".encode()
