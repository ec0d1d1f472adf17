"""Simulated processes: SIGKILL runs no `finally`, SIGSTOP loses nothing, SIGTERM waits."""

import asyncio
from collections.abc import AsyncIterator
from contextvars import ContextVar

import aiohttp
import pytest
from aiohttp import web

from compose.virtual.world import Served, VirtualWorld

pytestmark = pytest.mark.parametrize("world", ["http", "direct"], indirect=True)


class Node:
    """A server whose handler takes three seconds and writes down what happens."""

    def __init__(self, world: VirtualWorld) -> None:
        self.world = world
        self.log: list[tuple[float, str]] = []

    def say(self, what: str) -> None:
        self.log.append((self.world.loop.time(), what))

    async def handler(self, _request: web.Request) -> web.Response:
        self.say("begin")
        try:
            await asyncio.sleep(3.0)
            self.say("end")
        finally:
            self.say("finally")
        return web.Response(text="done")

    async def background(self, _app: web.Application) -> AsyncIterator[None]:
        async def tick() -> None:
            while True:
                await asyncio.sleep(1.0)
                self.say("tick")

        task = asyncio.create_task(tick())
        yield
        task.cancel()
        self.say("cleanup")

    async def serve(self, *, ticking: bool = False) -> Served:
        app = web.Application()
        app.router.add_get("/", self.handler)
        if ticking:
            app.cleanup_ctx.append(self.background)
        return await self.world.serve(app, "node")


async def ask(world: VirtualWorld, **options: object) -> str:
    session = world.session("client")
    async with session.get("http://node/", **options) as response:  # type: ignore[arg-type]
        return await response.text()


async def test_kill_cuts_connections_and_runs_no_more_code(world: VirtualWorld) -> None:
    node = Node(world)
    served = await node.serve(ticking=True)
    call = asyncio.create_task(ask(world))
    await asyncio.sleep(1.5)
    served.kill()
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await call
    assert world.loop.time() == 1.5
    with pytest.raises(aiohttp.ClientConnectorError):
        await ask(world)
    await asyncio.sleep(60)
    assert node.log == [(0.0, "begin"), (1.0, "tick")]
    assert repr(served) == "<Served http://node dead>"


async def test_a_killed_node_can_be_started_again(world: VirtualWorld) -> None:
    first = await Node(world).serve()
    first.kill()
    await Node(world).serve()
    assert await ask(world) == "done"


async def test_a_process_that_kills_itself_does_not_come_back(world: VirtualWorld) -> None:
    served: list[Served] = []
    after: list[str] = []

    async def crash(_request: web.Request) -> web.Response:
        served[0].kill()
        await asyncio.sleep(0)
        after.append("still here")
        return web.Response()

    app = web.Application()
    app.router.add_get("/", crash)
    served.append(await world.serve(app, "node"))
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await ask(world)
    assert after == []


async def test_the_request_of_a_dead_client_continues_as_a_zombie(world: VirtualWorld) -> None:
    node = Node(world)
    await node.serve()
    client = world.process("client")
    client.spawn(ask(world))
    await asyncio.sleep(1.0)
    client.kill()
    await asyncio.sleep(10)
    assert node.log == [(0.0, "begin"), (3.0, "end"), (3.0, "finally")]
    with pytest.raises(RuntimeError, match="<Process client dead> cannot start a task"):
        client.spawn(ask(world))


async def test_freeze_keeps_everything_for_the_thaw(world: VirtualWorld) -> None:
    node = Node(world)
    served = await node.serve(ticking=True)
    first = asyncio.create_task(ask(world))
    await asyncio.sleep(1.5)
    served.freeze()
    second = asyncio.create_task(ask(world))
    await asyncio.sleep(8.5)
    served.thaw()
    assert await first == "done"
    assert world.loop.time() == 10.0
    assert await second == "done"
    assert world.loop.time() == 13.0
    assert (10.0, "tick") in node.log
    assert (5.0, "tick") not in node.log


async def test_a_request_to_a_frozen_node_times_out_and_is_served_after_its_caller_left(world: VirtualWorld) -> None:
    node = Node(world)
    served = await node.serve()
    served.freeze()
    with pytest.raises(TimeoutError):
        await ask(world, timeout=aiohttp.ClientTimeout(total=2.0))
    assert node.log == []
    await asyncio.sleep(3.0)
    served.thaw()
    await asyncio.sleep(10)
    assert node.log == [(5.0, "begin"), (8.0, "end"), (8.0, "finally")]


async def test_stop_refuses_new_requests_and_finishes_the_running_ones(world: VirtualWorld) -> None:
    node = Node(world)
    served = await node.serve(ticking=True)
    call = asyncio.create_task(ask(world))
    await asyncio.sleep(0.5)
    stopping = asyncio.create_task(served.stop())
    await asyncio.sleep(0.5)
    with pytest.raises(aiohttp.ClientConnectorError):
        await ask(world)
    assert await call == "done"
    await stopping
    assert world.loop.time() == 3.0
    assert node.log[-1] == (3.0, "cleanup")


async def test_server_code_does_not_see_the_variables_of_its_caller(world: VirtualWorld) -> None:
    variable: ContextVar[str] = ContextVar("variable", default="own")

    async def handler(_request: web.Request) -> web.Response:
        return web.Response(text=variable.get())

    app = web.Application()
    app.router.add_get("/", handler)
    await world.serve(app, "node")
    variable.set("the caller's")
    assert await ask(world) == "own"


async def test_stop_waits_a_minute_for_zombies_and_two_for_callers(world: VirtualWorld) -> None:
    ended: list[tuple[float, str]] = []

    async def hang(request: web.Request) -> web.Response:
        try:
            await asyncio.sleep(10_000)
        finally:
            ended.append((world.loop.time(), request.query_string))
        return web.Response()

    async def serve() -> Served:
        app = web.Application()
        app.router.add_get("/", hang)
        return await world.serve(app, "node")

    session = world.session("client")
    served = await serve()
    with pytest.raises(TimeoutError):
        await session.get("http://node/?zombie", timeout=aiohttp.ClientTimeout(total=1.0))
    await served.stop()
    assert world.loop.time() == 61.0
    assert ended == []
    served = await serve()
    call = asyncio.create_task(session.get("http://node/?caller"))
    await asyncio.sleep(0)
    await served.stop()
    assert world.loop.time() == 181.0
    assert ended == [(181.0, "caller")]
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await call
