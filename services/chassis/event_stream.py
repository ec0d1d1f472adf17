"""Event lines of a real process: to standard output for people, to a Redis stream for the recorder."""

import asyncio
import json
import sys
from typing import Any

from redis.exceptions import RedisError

from services.chassis.store import Keys, Store

FLUSH_S = 0.2
STREAM_LENGTH_MAX = 200_000
BUFFER_LENGTH_MAX = 50_000


class StreamSink:
    """A sink that never blocks the caller; a Redis outage keeps lines until it is over (bounded)."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._buffer: list[str] = []

    def __call__(self, event: dict[str, Any]) -> None:
        line = json.dumps(event, separators=(",", ":"))
        print(line, file=sys.stdout, flush=False)
        if len(self._buffer) < BUFFER_LENGTH_MAX:
            self._buffer.append(line)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_S)
            await self.flush()

    async def flush(self) -> None:
        if not self._buffer:
            return
        sys.stdout.flush()
        lines, self._buffer = self._buffer, []
        try:
            async with self._store.pipeline(transaction=False) as pipe:
                for line in lines:
                    pipe.xadd(Keys.EVENTS, {"line": line}, maxlen=STREAM_LENGTH_MAX, approximate=True)
                await pipe.execute()
        except (RedisError, OSError):
            self._buffer = lines + self._buffer
