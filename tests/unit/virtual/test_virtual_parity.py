"""One behaviour over three transports: in-memory HTTP, direct, and real sockets on an ordinary event loop."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from compose.virtual.world import VirtualWorld
from tests.unit.virtual import parity_cases

Case = Callable[[parity_cases.Stage], Coroutine[Any, Any, list[Any]]]

cases = pytest.mark.parametrize("case", parity_cases.CASES, ids=lambda case: case.__name__)


def application(handlers: tuple[parity_cases.Handler, ...]) -> web.Application:
    app = web.Application()
    for handler in handlers:
        app.router.add_route("*" if handler.__name__ == "echo" else "GET", f"/{handler.__name__}", handler)
        if handler.__name__ in ("slow", "upload"):
            app.router.add_post(f"/{handler.__name__}", handler)
    return app


class VirtualStage:
    """A case in a world."""

    dead_url = "http://server:81/"

    def __init__(self, world: VirtualWorld) -> None:
        self._world = world
        self.session = world.session("client")

    async def serve(self, *handlers: parity_cases.Handler) -> str:
        return (await self._world.serve(application(handlers), "server")).url


class RealStage:
    """A case on this machine."""

    dead_url = "http://127.0.0.1:1/"

    def __init__(self) -> None:
        self.session = aiohttp.ClientSession()
        self.session._retry_connection = False
        self.runners: list[web.AppRunner] = []

    async def serve(self, *handlers: parity_cases.Handler) -> str:
        runner = web.AppRunner(application(handlers), access_log=None)
        self.runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)


@pytest.fixture
async def real_stage() -> AsyncIterator[RealStage]:
    stage = RealStage()
    yield stage
    await stage.session.close()
    for runner in stage.runners:
        await runner.cleanup()


async def play(case: Case, world: VirtualWorld) -> list[Any]:
    if case in (parity_cases.refused,):
        await world.serve(application(()), "server")
    return await case(VirtualStage(world))


@cases
async def test_direct_shows_what_http_shows(case: Case) -> None:
    loop: Any = asyncio.get_running_loop()
    transcripts = []
    for transport in ("http", "direct"):
        world = VirtualWorld(transport=transport, loop=loop)
        transcripts.append(await play(case, world))
        await world.aclose()
    assert transcripts[0] == transcripts[1]
    assert transcripts[0]


@pytest.mark.real_time
@cases
async def test_real_sockets_show_what_http_shows(case: Case, real_stage: RealStage) -> None:
    real = await case(real_stage)
    virtual = VirtualWorld(transport="http")

    def on_another_loop() -> list[Any]:
        return virtual.run(play(case, virtual))

    assert await asyncio.to_thread(on_another_loop) == real
