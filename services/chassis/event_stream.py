"""Event lines of a real process: to standard output for people, to a Redis stream for the recorder."""

import asyncio
import json
import sys
from collections import deque
from collections.abc import Iterable
from typing import Any

from redis.exceptions import RedisError

from services.chassis.store import Keys, Store

FLUSH_S = 0.2
STREAM_LENGTH_MAX = 50_000
BUFFER_LENGTH_MAX = 50_000
LOST = "events_lost"


class StreamSink:
    """A sink that never blocks the caller.

    A Redis outage keeps the newest `BUFFER_LENGTH_MAX` lines until it is over, and how many were lost is a line too.
    The stream keeps the newest `STREAM_LENGTH_MAX` lines; whoever reads it tells when it missed some.
    """

    def __init__(self, store: Store, *, echo: bool = True) -> None:
        """`echo` prints the lines too, for whoever reads a container's log."""
        self._store = store
        self._echo = echo
        self._buffer: deque[str] = deque()
        self._lost = 0
        self._newest: dict[str, Any] = {}

    def __call__(self, event: dict[str, Any]) -> None:
        line = json.dumps(event, separators=(",", ":"))
        if self._echo:
            print(line, file=sys.stdout, flush=False)
        self._buffer.append(line)
        self._bound(newest=event)

    def _bound(self, newest: dict[str, Any] | None = None) -> None:
        while len(self._buffer) > BUFFER_LENGTH_MAX:
            self._buffer.popleft()
            self._lost += 1
        if newest is not None:
            self._newest = newest

    async def run(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            await self.flush()

    async def flush(self) -> None:
        """Sends what is kept; what could not be sent, or was being sent when cancelled, is kept for the next time."""
        if not self._buffer:
            return
        sys.stdout.flush()
        lines, self._buffer = self._buffer, deque()
        lost, self._lost = self._lost, 0
        if lost:
            lines.appendleft(self._loss(lost))
        try:
            await self._send(lines)
        except BaseException as error:
            if lost:
                lines.popleft()
            self._buffer.extendleft(reversed(lines))
            self._lost += lost
            self._bound()
            if not isinstance(error, RedisError | OSError):
                raise

    def _loss(self, count: int) -> str:
        told = {"at": self._newest["at"], "source": self._newest["source"], "kind": LOST, "count": count}
        return json.dumps(told, separators=(",", ":"))

    async def _send(self, lines: Iterable[str]) -> None:
        async with self._store.pipeline(transaction=False) as pipe:
            for line in lines:
                pipe.xadd(Keys.EVENTS, {"line": line}, maxlen=STREAM_LENGTH_MAX, approximate=True)
            await pipe.execute()
