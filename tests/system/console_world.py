"""The controller over a testbed in virtual time, served to a real browser on a real port.

The world runs in a process of its own: its loop is virtual, and a browser is not. Requests come to a real aiohttp
server here, cross a pipe, are made again inside, and their answers come back piece by piece, the event stream included.
The world's clock is paced: `speed` bench seconds a second, or held still at a moment (then it only moves as far as an
answer needs), so that a test can look at τ 45 for as long as it likes.
"""

import asyncio
import multiprocessing
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest import mock

from aiohttp import ClientError, web

from chaos.controller import scenario_run
from chaos.controller.app import create_controller
from chaos.controller.auth import Tokens
from chaos.controller.testbed import Testbed
from chaos.experiment.plan import make_plan
from chaos.scenarios.loader import load
from compose.virtual.runtime import VirtualRuntime
from compose.virtual.world import VirtualWorld

TOKENS = Tokens(read="read-token", operate="operate-token")
SCENARIO = "azure-fnj8-vqz-short"
STEP_S = 0.05
ANSWER_STEP_S = 0.02
HOP_HEADERS = {"transfer-encoding", "connection", "content-length", "content-encoding", "host", "keep-alive", "date"}


class RunOn:
    """A run's runtime that is the idle testbed itself, begun again with the run's settings, as in Docker."""

    def __init__(self, runtime: VirtualRuntime) -> None:
        self._runtime = runtime

    def __getattr__(self, name: str) -> Any:
        return getattr(self._runtime, name)

    async def start(self, *arguments: Any) -> None:
        await self._runtime.stop_instances()
        await self._runtime.store.flushdb()
        await self._runtime.start(*arguments)

    async def stop_instances(self) -> None:
        """The testbed outlives the run; it goes back to calm by itself."""

    async def stop(self) -> None: ...


class _World:
    """Inside the child: the virtual world, and the requests that are under way in it."""

    def __init__(self, pipe: Connection, runs: Path) -> None:
        self.pipe, self.runs = pipe, runs
        self.speed = 1.0
        self.hold_at: float | None = None
        self.requests: dict[int, asyncio.Task[None]] = {}
        self.pending: set[int] = set()
        self.over = False

    async def main(self, world: VirtualWorld) -> None:
        plan = make_plan(load(SCENARIO), 1)
        runtime = VirtualRuntime(world)
        await runtime.start(plan.topology, plan.settings, 1, lambda _event: None)

        async def restart(_runtime: Any, idle: Any) -> None:
            await RunOn(runtime).start(idle.topology, idle.settings, idle.seed, lambda _event: None)

        testbed = Testbed(runtime, plan.scenario, self.runs, lambda: RunOn(runtime), restart)
        await world.serve(create_controller(testbed, TOKENS), "controller", 80)
        await testbed.operations.ensure_load()
        self.session = world.session("browser")
        self.testbed = testbed
        self.pipe.send(("up",))
        while not self.over:
            await self._turn()
        for task in self.requests.values():
            task.cancel()

    async def _turn(self) -> None:
        held = self._held()
        began = time.monotonic()
        while self.pipe.poll(0.02 if held and not self.pending else 0):
            self._take(self.pipe.recv())
        if held:
            if self.pending:
                await asyncio.sleep(ANSWER_STEP_S)
            return
        await asyncio.sleep(STEP_S)
        spare_s = STEP_S / self.speed - (time.monotonic() - began)
        if spare_s > 0 and self.pipe.poll(spare_s):
            self._take(self.pipe.recv())

    def _held(self) -> bool:
        run = self.testbed.run
        return run is not None and run.active and self.hold_at is not None and run.moment.t >= self.hold_at

    def _take(self, message: tuple[Any, ...]) -> None:
        match message:
            case ("request", number, method, path, headers, body):
                self.pending.add(number)
                self.requests[number] = asyncio.create_task(self._answer(number, method, path, headers, body))
            case ("gone", number):
                task = self.requests.pop(number, None)
                if task is not None:
                    task.cancel()
            case ("pace", speed, hold_at):
                self.speed, self.hold_at = speed, hold_at
            case ("end",):
                self.over = True

    async def _answer(self, number: int, method: str, path: str, headers: dict[str, str], body: bytes) -> None:
        try:
            url = f"http://controller{path}"
            async with self.session.request(method, url, headers=headers, data=body or None) as reply:
                kept = [(k, v) for k, v in reply.headers.items() if k.lower() not in HOP_HEADERS]
                self.pipe.send(("head", number, reply.status, kept))
                if reply.headers.get("Content-Type", "").startswith("text/event-stream"):
                    self.pending.discard(number)
                async for piece in reply.content.iter_any():
                    self.pipe.send(("piece", number, piece))
        except (ClientError, TimeoutError) as error:
            self.pipe.send(("head", number, 502, [("Content-Type", "text/plain")]))
            self.pipe.send(("piece", number, repr(error).encode()))
        finally:
            self.pending.discard(number)
            self.requests.pop(number, None)
            with suppress(OSError):
                self.pipe.send(("done", number))


def _run_world(pipe: Connection, runs: Path) -> None:
    world = VirtualWorld(seed=1, transport="http")
    with mock.patch.object(scenario_run, "commit", return_value="test"):  # git is a process outside of the world
        world.run(_World(pipe, runs).main(world))


class Front:
    """The real server. `url` is where a browser finds the console; `pace` sets the world's clock."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._sending = threading.Lock()
        self._loop = asyncio.new_event_loop()
        self._answers: dict[int, asyncio.Queue[tuple[Any, ...]]] = {}
        self._number = 0
        self._ready = threading.Event()
        self.url = ""

    def pace(self, speed: float, hold_at: float | None = None) -> None:
        self._send(("pace", speed, hold_at))

    def _send(self, message: tuple[Any, ...]) -> None:
        with self._sending:
            self._pipe.send(message)

    def start(self) -> None:
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._serve, self._read)]
        self._threads[0].start()
        assert self._ready.wait(30)
        self._threads[1].start()

    def stop(self) -> None:
        """The world has ended, so the reader has too."""
        self._threads[1].join(20)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._threads[0].join(20)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        runner = self._loop.run_until_complete(self._listen())
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.close()

    async def _listen(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self._number += 1
        number = self._number
        queue = self._answers[number] = asyncio.Queue()
        headers = {k: v for k, v in request.headers.items() if k.lower() not in HOP_HEADERS | {"accept-encoding"}}
        self._send(("request", number, request.method, request.path_qs, headers, await request.read()))
        try:
            _, _, status, kept = await queue.get()
            response = web.StreamResponse(status=status)
            for name, value in kept:
                response.headers.add(name, value)
            with suppress(ConnectionResetError):  # the browser has left
                await response.prepare(request)
                while (message := await queue.get())[0] == "piece":
                    await response.write(message[2])
            return response
        finally:
            del self._answers[number]
            with suppress(OSError):
                self._send(("gone", number))

    def _read(self) -> None:
        with suppress(EOFError, OSError, RuntimeError):
            while True:
                message = self._pipe.recv()
                self._loop.call_soon_threadsafe(self._deliver, message)

    def _deliver(self, message: tuple[Any, ...]) -> None:
        queue = self._answers.get(message[1])
        if queue is not None:
            queue.put_nowait(message)


@contextmanager
def console_world(runs: Path) -> Iterator[Front]:
    """The world and its front, up; both end with the block."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=_run_world, args=(theirs, runs), daemon=True)
    child.start()
    theirs.close()
    try:
        assert ours.poll(120), "the world did not come up"
        assert ours.recv() == ("up",)
        front = Front(ours)
        front.start()
        try:
            yield front
        finally:
            front._send(("end",))
            child.join(20)
            front.stop()
    finally:
        if child.is_alive():
            child.kill()
        child.join()
        child.close()
        ours.close()
