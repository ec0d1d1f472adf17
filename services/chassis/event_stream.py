"""Event lines of a real process: to standard output for operators, to a Redis stream for the recorder."""

import asyncio
import json
import sys
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from services.chassis.background import Background
from services.chassis.clock import Clock
from services.chassis.events import Events
from services.chassis.store import STORE_ERRORS, Keys, Store
from services.chassis.stored import Stored

FLUSH_S = 0.2
LAST_FLUSH_S = 2.0
STREAM_LENGTH_MAX = 50_000
BUFFER_LENGTH_MAX = 50_000
LOST = "events_lost"


class StreamSink:
    """An event sink that never blocks the caller.

    During a Redis outage the newest `BUFFER_LENGTH_MAX` lines are buffered; the number of dropped lines is written as a
    line too. The stream keeps the newest `STREAM_LENGTH_MAX` lines; its readers report lines that they missed.
    """

    def __init__(self, store: Store, clock: Clock, *, echo: bool = True) -> None:
        """`echo` also prints the lines, for the container's log."""
        self._store = store
        self._echo = echo
        self._buffer: deque[str] = deque()
        self._lost = 0
        self._newest: dict[str, Any] = {}
        self._one_at_a_time = asyncio.Lock()
        emit = Events(self, clock, "event sink").emit
        self._stored = Stored(emit)
        self._background = Background(clock, emit)

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

    def start(self) -> None:
        """Starts flushing every `FLUSH_S`."""
        self._background.keep(self._run, "event sink")

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            await self.flush()

    async def flush(self) -> None:
        """Sends the buffered lines. Cancelling the caller does not interrupt a send in progress.

        Lines that could not be sent, or whose send was itself cancelled, stay in the buffer.
        """
        if self._buffer or self._one_at_a_time.locked():
            await asyncio.shield(self._background.call(self._flush(), "flush of events"))

    async def _flush(self) -> None:
        async with self._one_at_a_time:
            await self._send_kept()

    async def _send_kept(self) -> None:
        if not self._buffer:
            return
        sys.stdout.flush()
        lines, self._buffer = self._buffer, deque()
        lost, self._lost = self._lost, 0
        if lost:
            lines.appendleft(self._loss(lost))
        try:
            await self._stored.with_sound_keys(self._store, lambda: self._send(lines))
        except BaseException as error:
            if lost:
                lines.popleft()
            self._buffer.extendleft(reversed(lines))
            self._lost += lost
            self._bound()
            if not isinstance(error, STORE_ERRORS):
                raise

    def _loss(self, count: int) -> str:
        notice = {"at": self._newest["at"], "source": self._newest["source"], "kind": LOST, "count": count}
        return json.dumps(notice, separators=(",", ":"))

    async def _send(self, lines: Iterable[str]) -> None:
        async with self._store.pipeline(transaction=True) as pipe:
            for line in lines:
                pipe.xadd(Keys.EVENTS, {"line": line}, maxlen=STREAM_LENGTH_MAX, approximate=True)
            await pipe.execute()

    async def close(self) -> None:
        """Flushes a last time, for at most `LAST_FLUSH_S`, and stops."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_FLUSH_S):
                await self.flush()
        await self._background.stop()
