"""Keeps the load running: a restarted load generator sends nothing until its load is started again.

During a scenario run its load is resumed with the run's time origin. A run by another process on this testbed
(`aftershock run --runtime compose`) starts its load itself and is left alone.
"""

import asyncio
from contextlib import suppress

from redis.exceptions import RedisError

from chaos.controller.testbed import Testbed
from chaos.experiment.operations import OperationFailed
from compose.topology import LOADGEN

INTERVAL_S = 2.0
TIMEOUT_S = 2.0


class LoadKeeper:
    """Checks every `INTERVAL_S` seconds, until closed."""

    def __init__(self, testbed: Testbed) -> None:
        self._testbed = testbed
        self._background = testbed.env.background.scope()
        self._background.keep(self._watch, "load keeper")

    async def close(self) -> None:
        await self._background.stop()

    async def _watch(self) -> None:
        while True:
            with suppress(OperationFailed, RedisError, OSError):
                await self.look()
            await asyncio.sleep(INTERVAL_S)

    async def look(self) -> None:
        """Starts the load if it should be running and is not."""
        testbed = self._testbed
        if testbed.resetting or not await self._is_silent():
            return
        run = testbed.active_run
        if run is None:
            if not await testbed.other_run.look():
                await testbed.operations.ensure_load()
                testbed.events.emit("load_resumed", why="the load generator was silent")
        elif run.wants_load:
            await testbed.operations.start_load(testbed.runtime.clock.epoch(), run.zero_epoch_s)
            testbed.events.emit("load_resumed", why="the load generator was silent in a run", run=run.folder.name)

    async def _is_silent(self) -> bool:
        """Whether the load generator answers and its load is not running."""
        runtime = self._testbed.runtime
        reply = await runtime.http.call("GET", f"{runtime.peers.url(LOADGEN, '')}/admin/load", timeout_s=TIMEOUT_S)
        return reply.ok and not reply.json()["running"]
