"""The facade `VirtualWorld`: one object, one run, nothing left behind."""

import asyncio
import gc

import aiohttp
import pytest
from aiohttp import web

from compose.virtual.world import VirtualWorld


def hello_app(world: VirtualWorld, log: list[str] | None = None) -> web.Application:
    async def hello(request: web.Request) -> web.Response:
        await asyncio.sleep(1.0)
        return web.json_response({"from": request.remote, "at": world.loop.time()})

    async def started(_app: web.Application) -> None:
        (log if log is not None else []).append("started")

    async def cleaned(_app: web.Application) -> None:
        (log if log is not None else []).append("cleaned")

    app = web.Application()
    app.router.add_get("/", hello)
    app.on_startup.append(started)
    app.on_cleanup.append(cleaned)
    return app


@pytest.mark.parametrize("transport", ["http", "direct"])
def test_a_run_gives_the_result_of_main_at_exact_times(transport: str) -> None:
    world = VirtualWorld(seed=3, transport=transport)  # type: ignore[arg-type]
    log: list[str] = []

    async def main() -> list[object]:
        served = await world.serve(hello_app(world, log), "server", 8080)
        session = world.session("client")
        answers: list[object] = []
        for _ in range(3):
            async with session.get(f"{served.url}/") as response:
                answers.append(await response.json())
        await served.stop()
        return answers

    assert world.run(main()) == [{"from": "client", "at": float(second)} for second in (1, 2, 3)]
    assert log == ["started", "cleaned"]
    assert world.loop.is_closed()
    assert repr(world) == f"<VirtualWorld {transport}, seed 3, t=3.000 s>"


def test_what_main_leaves_behind_is_cancelled_in_order() -> None:
    world = VirtualWorld()
    log: list[str] = []

    async def linger(name: str) -> None:
        try:
            await asyncio.sleep(1_000_000)
        finally:
            log.append(name)

    async def main() -> None:
        for name in ("first", "second"):
            asyncio.create_task(linger(name))  # noqa: RUF006
        world.process("dead").spawn(linger("killed"))
        await asyncio.sleep(1)
        world._processes[0].kill()
        world.process("frozen").spawn(linger("frozen")).add_done_callback(lambda _: log.append("thawed"))
        await asyncio.sleep(1)
        world._processes[1].freeze()
        await asyncio.sleep(1)
        assert log == []

    world.run(main())
    assert sorted(log) == ["first", "frozen", "killed", "second", "thawed"]
    assert log.index("first") < log.index("second")


def test_a_task_that_will_not_end_does_not_hold_the_run_up() -> None:
    world = VirtualWorld()

    async def stubborn() -> None:
        while True:
            try:
                await asyncio.sleep(7)
            except asyncio.CancelledError:
                continue

    async def main() -> str:
        world.process("mule").spawn(stubborn())
        await asyncio.sleep(1)
        return "done"

    assert world.run(main()) == "done"
    assert world.loop.time() < 1000


def test_the_error_of_main_comes_out() -> None:
    async def main() -> None:
        await asyncio.sleep(1)
        raise LookupError("what happened")

    with pytest.raises(LookupError, match="what happened"):
        VirtualWorld().run(main())


@pytest.mark.parametrize("frozen", [True, False])
def test_a_run_leaves_the_garbage_collector_as_it_was(frozen: bool) -> None:
    """Also objects that are frozen already, as those of pytest are."""
    (gc.freeze if frozen else gc.unfreeze)()
    before = gc.get_threshold(), gc.get_freeze_count()
    assert (before[1] > 0) == frozen
    VirtualWorld().run(asyncio.sleep(1))
    after = gc.get_threshold(), gc.get_freeze_count()
    gc.freeze()
    assert after == before


async def test_a_world_on_a_running_loop_is_awaited_not_run(world: VirtualWorld) -> None:
    with pytest.raises(RuntimeError, match="await its coroutines instead"):
        world.run(asyncio.sleep(1))


async def test_aiohttp_does_not_retry_by_itself(world: VirtualWorld) -> None:
    calls: list[int] = []

    async def abort(request: web.Request) -> web.Response:
        calls.append(1)
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    app = web.Application()
    app.router.add_get("/", abort)
    await world.serve(app, "server")
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await world.session("client").get("http://server/")
    assert len(calls) == 1


@pytest.mark.parametrize("world", ["http", "direct"], indirect=True)
async def test_timeouts_given_as_numbers_are_not_rounded_either(world: VirtualWorld) -> None:
    async def never(_request: web.Request) -> web.Response:
        await asyncio.sleep(1000)
        return web.Response()

    app = web.Application()
    app.router.add_get("/", never)
    await world.serve(app, "server")
    await asyncio.sleep(0.5)
    with pytest.raises(TimeoutError):
        await world.session("client").get("http://server/", timeout=aiohttp.ClientTimeout(total=8.25))
    assert world.loop.time() == 8.75


@pytest.mark.parametrize("world", ["direct"], indirect=True)
async def test_direct_says_what_it_cannot_do(world: VirtualWorld) -> None:
    async def away(_request: web.Request) -> web.Response:
        raise web.HTTPFound("/elsewhere")

    app = web.Application()
    app.router.add_get("/", away)
    await world.serve(app, "server")
    session = world.session("client")
    with pytest.raises(NotImplementedError, match="allow_redirects=False"):
        await session.get("http://server/")
    assert (await session.get("http://server/", allow_redirects=False)).headers["Location"] == "/elsewhere"
    with pytest.raises(TypeError, match="trace_configs"):
        world.session("client", trace_configs=[])
    await session.close()
    with pytest.raises(RuntimeError, match="Session is closed"):
        await session.get("http://server/")
