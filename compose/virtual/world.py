"""`VirtualWorld`: loop, network, Redis and processes of one virtual run, behind one object.

    world = VirtualWorld(seed=1, transport="http")
    report = world.run(experiment(world))

Inside, `await world.serve(app, host)` starts an aiohttp application on a simulated host, `world.session(host)`
returns that host's HTTP client, `world.redis.client()` a redis-py client. No real socket, thread or clock is used.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, Literal, TypeVar, cast

import aiohttp
from aiohttp import web, web_app

from compose.virtual.kernel.boundary import Boundary
from compose.virtual.kernel.loop import VirtualLoop
from compose.virtual.kernel.process import Process
from compose.virtual.net.network import Listener, Network
from compose.virtual.net.transports import load
from compose.virtual.redis.server import VirtualRedis

T = TypeVar("T")
TransportKind = Literal["http", "direct"]

EPOCH_S = 1770055380.0
"""Virtual second 0 as Unix time in seconds: 2026-02-02T18:03:00Z, the start of the incident."""


TURNS_TO_HANDLER = 4
"""Loop turns from sending a request with a body to the start of its handler; without a body it takes one less."""

COLLECTOR_THRESHOLDS = (10_000, 20, 50)

CLEANUP_ROUNDS_MAX, CLEANUP_ROUND_S = 3, 60.0
"""Cancellation rounds for leftover tasks, and the virtual seconds to wait in each.

Some tasks catch the first cancel.
"""


@contextmanager
def _relaxed_gc() -> Iterator[None]:
    """Raise the thresholds of the cycle collector, which otherwise takes a tenth of a direct run's CPU time.

    Objects frozen elsewhere stay frozen: `gc.unfreeze` would release them too.
    """
    thresholds, frozen = gc.get_threshold(), gc.get_freeze_count()
    if not frozen:
        gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        if not frozen:
            gc.unfreeze()


def _forget_applications() -> None:
    """Clear aiohttp's cache of the last 1024 handlers: it keeps whole worlds alive, 60 MB per run."""
    web_app._cached_build_middleware.cache_clear()


class Served:
    """An application running on a simulated host."""

    def __init__(self, runner: web.AppRunner, process: Process, listener: Listener) -> None:
        self.process = process
        self.host, self.port = listener.host, listener.port
        self._runner = runner
        self._listener = listener
        self._loop = process.loop

    def __repr__(self) -> str:
        return f"<Served {self.url} {self.process.state}>"

    @property
    def url(self) -> str:
        return f"http://{self.host}" if self.port == 80 else f"http://{self.host}:{self.port}"

    @property
    def app(self) -> web.Application:
        return self._runner.app

    async def stop(self) -> None:
        """SIGTERM: refuse new connections, finish running requests, run the clean-up hooks.

        A frozen process is thawed first, otherwise it would never handle the signal.
        """
        self.process.thaw()
        if self.process.state != "dead":
            await self.process.spawn(self._shut_down())
            await self._loop.end_of_instant()

    async def _shut_down(self) -> None:
        self._listener.close()
        for _ in range(TURNS_TO_HANDLER):
            await asyncio.sleep(0)  # requests already sent still reach their handlers
        if self._listener.acceptor is not None:
            await self._runner.app.shutdown()
            await self._listener.acceptor.drain(self._runner._shutdown_timeout)
        await self._runner.cleanup()

    def kill(self) -> None:
        """SIGKILL: see `Process.kill`."""
        self.process.kill()

    def freeze(self) -> None:
        """SIGSTOP: requests hang."""
        self.process.freeze()

    def thaw(self) -> None:
        """SIGCONT."""
        self.process.thaw()


class VirtualWorld:
    """A loop, a network, a Redis, and the simulated processes on them; one per run."""

    def __init__(
        self,
        *,
        seed: int = 0,
        transport: TransportKind = "http",
        epoch_s: float = EPOCH_S,
        loop: VirtualLoop | None = None,
    ) -> None:
        """`loop` is for tests that already run on a virtual loop; `run` is then not available."""
        self.seed, self.transport, self.epoch_s = seed, transport, epoch_s
        self._owns_loop = loop is None
        self.loop = loop or VirtualLoop(around=lambda: self.boundary.installed())
        self.boundary = Boundary(self.loop, seed, epoch_s)
        self.network = self.loop.network = Network(self.loop)
        self._transport = load(transport, self.network)
        with self.boundary.installed() if self._owns_loop else nullcontext():
            self.redis = VirtualRedis(self.loop)  # fakeredis reads the time when its server is created
        self._sessions: list[aiohttp.ClientSession] = []
        self._processes: list[Process] = []

    def __repr__(self) -> str:
        return f"<VirtualWorld {self.transport}, seed {self.seed}, t={self.loop.time():.3f} s>"

    # --- running -------------------------------------------------------------------------------------

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run `main` to completion in virtual time, clean up, and close the world.

        Raises:
            LeftTheSimulation: some code made a fenced call, even if it swallowed the error at that point.
            RuntimeError: the world was created on a loop that is already running.
        """
        if not self._owns_loop:
            main.close()
            raise RuntimeError("this world uses a loop that is already running: await its coroutines instead of run()")
        try:
            with _relaxed_gc():
                result = self.loop.run_until_complete(main)
        finally:
            try:
                self.loop.run_until_complete(self.aclose())
                self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            finally:
                self.loop.close()
                _forget_applications()
        if self.loop.left:
            raise self.loop.left[0]
        return result

    async def aclose(self) -> None:
        """Cancel leftover tasks, including those of killed processes, and close the sessions."""
        this = asyncio.current_task()
        for _ in range(CLEANUP_ROUNDS_MAX):
            for process in self._processes:
                process.reap()
            leftovers = sorted((task for task in asyncio.all_tasks() if task is not this), key=hash)
            if not leftovers:
                break
            for task in leftovers:
                task.cancel()
            done, _ = await asyncio.wait(leftovers, timeout=CLEANUP_ROUND_S)
            for task in done:
                if not task.cancelled():
                    task.exception()  # retrieved, so that asyncio does not log it as never retrieved
        for session in self._sessions:
            await session.close()

    # --- processes and applications ------------------------------------------------------------------

    def process(self, name: str) -> Process:
        """A simulated process on host `name`, for work without a listener (a queue worker, a job)."""
        process = Process(name, self.loop)
        self._processes.append(process)
        self.network.add_host(name)
        return process

    def session(self, source: str, **options: Any) -> aiohttp.ClientSession:
        """An HTTP client on host `source`; `options` as for `aiohttp.ClientSession`."""
        session = self._transport.session(source, options)
        self._sessions.append(session)
        return session

    async def serve(self, app: web.Application, host: str, port: int = 80, *, process: Process | None = None) -> Served:
        """Run an application on a host, in a new process unless `process` is given."""
        process = process or self.process(host)
        return await process.spawn(self._start(app, host, port, process))

    async def _start(self, app: web.Application, host: str, port: int, process: Process) -> Served:
        runner = web.AppRunner(app, access_log=None, keepalive_timeout=float("inf"))
        await runner.setup()
        await web.TCPSite(runner, host, port).start()
        listener = cast(Listener, self.network.listener(host, port))
        listener.acceptor = self._transport.accept(app, listener)
        return Served(runner, process, listener)
