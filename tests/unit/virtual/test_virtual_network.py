"""The in-memory network: streams as sockets give them, and link faults with exact times."""

import asyncio
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from compose.virtual.net.links import LinkFault
from compose.virtual.world import VirtualWorld

both = pytest.mark.parametrize("world", ["http", "direct"], indirect=True)


def limit(**seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(**seconds, ceil_threshold=float("inf"))


async def serve_hello(
    world: VirtualWorld, host: str = "server", seconds: float = 0.0, *, closes: bool = False
) -> list[float]:
    """A server that answers `hello` after a while, and may close after it; the times at which requests arrived."""
    arrivals: list[float] = []

    async def hello(_request: web.Request) -> web.Response:
        arrivals.append(world.loop.time())
        await asyncio.sleep(seconds)
        response = web.Response(text="hello")
        if closes:
            response.force_close()
        return response

    app = web.Application()
    app.router.add_get("/", hello)
    await world.serve(app, host)
    return arrivals


async def fetch(session: aiohttp.ClientSession, url: str = "http://server/", **options: Any) -> str:
    async with session.get(url, **options) as response:
        return await response.text()


# --- streams ---------------------------------------------------------------------------------------------


async def echo_server(world: VirtualWorld) -> asyncio.AbstractServer:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"<" + await reader.read() + b">")
        await writer.drain()
        writer.close()

    return await asyncio.start_server(echo, "echo", 7)


async def test_plain_asyncio_streams_and_half_close(world: VirtualWorld) -> None:
    server = await echo_server(world)
    reader, writer = await asyncio.open_connection("echo", 7)
    writer.write(b"ab")
    writer.write(b"cd")
    writer.write_eof()
    assert await reader.read() == b"<abcd>"
    assert writer.get_extra_info("peername") == ("echo", 7)
    writer.close()
    await writer.wait_closed()
    server.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("echo", 7)
    with pytest.raises(OSError, match="no-such-host"):
        await asyncio.open_connection("no-such-host", 7)


async def test_a_slow_reader_stops_the_writer(world: VirtualWorld) -> None:
    progress: list[float] = []

    async def swallow_slowly(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5)
        while await reader.read(1 << 16):
            pass
        writer.close()

    await asyncio.start_server(swallow_slowly, "sink", 9)
    _reader, writer = await asyncio.open_connection("sink", 9)
    for _ in range(10):
        writer.write(b"x" * (1 << 16))
        await writer.drain()
        progress.append(world.loop.time())
    assert progress[0] == 0.0
    assert progress[-1] == 5.0
    writer.close()


async def test_abort_looks_like_the_end_and_reset_like_a_reset(world: VirtualWorld) -> None:
    endings: list[Any] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            endings.append(await reader.read())
        except ConnectionResetError as error:
            endings.append(str(error))
        writer.close()

    await asyncio.start_server(listen, "ear", 1)
    for end in ("abort", "reset"):
        _reader, writer = await asyncio.open_connection("ear", 1)
        writer.write(b"bye")
        await asyncio.sleep(1)
        getattr(writer.transport, end)()
        await asyncio.sleep(1)
    assert endings == [b"bye", "[Errno 104] Connection reset by peer"]


async def test_an_address_is_taken_only_once(world: VirtualWorld) -> None:
    await serve_hello(world)
    with pytest.raises(OSError, match="address already in use: server:80"):
        await serve_hello(world)


async def test_a_connection_is_used_again_and_again(world: VirtualWorld) -> None:
    await serve_hello(world)
    session = world.session("client")
    await fetch(session)
    await asyncio.sleep(100_000)
    await fetch(session)
    assert len(world.network.connections) == 2  # both ends of one


# --- faults ----------------------------------------------------------------------------------------------


@both
async def test_latency_delays_each_direction_exactly(world: VirtualWorld) -> None:
    arrivals = await serve_hello(world, seconds=1.0)
    session = world.session("client")
    with world.network.fault("client", "server", latency_s=0.25), world.network.fault("server", "*", latency_s=0.5):
        assert await fetch(session) == "hello"
    assert arrivals == [0.25]
    assert world.loop.time() == 1.75
    await fetch(session)
    assert world.loop.time() == 2.75


@both
async def test_faults_on_one_link_add_up_and_leave_others_alone(world: VirtualWorld) -> None:
    await serve_hello(world)
    with world.network.fault("client", latency_s=1.0), world.network.fault("c*", "server", latency_s=2.0):
        await fetch(world.session("client"))
        assert world.loop.time() == 3.0
        await fetch(world.session("else"))
        assert world.loop.time() == 3.0


@both
@pytest.mark.parametrize("closes", [False, True])
async def test_a_response_lost_in_a_black_hole_stays_lost_and_its_caller_is_told_at_the_end(
    world: VirtualWorld, closes: bool
) -> None:
    await serve_hello(world, seconds=1.0, closes=closes)
    session = world.session("client")
    call = asyncio.create_task(fetch(session, timeout=limit(total=5.0)))
    await asyncio.sleep(0.5)
    with world.network.fault("server", "client", blackhole=True):
        await asyncio.sleep(1.0)
        assert not call.done()
    with pytest.raises(aiohttp.ClientError):
        await call
    assert world.loop.time() == 1.5
    assert await fetch(session) == "hello"


@both
async def test_a_connect_into_a_black_hole_hangs_until_its_timeout(world: VirtualWorld) -> None:
    await serve_hello(world)
    session = world.session("client")
    await fetch(session)
    world.network.partition("client", "server")
    with pytest.raises(aiohttp.ConnectionTimeoutError):
        await fetch(session, timeout=limit(total=9.0, sock_connect=2.0))
    assert world.loop.time() == 2.0
    with pytest.raises(TimeoutError):
        await fetch(session, timeout=limit(total=3.0))
    assert world.loop.time() == 5.0


@both
async def test_a_connect_goes_on_when_the_partition_heals(world: VirtualWorld) -> None:
    await serve_hello(world)
    cut = world.network.partition("client", "*")
    call = asyncio.create_task(fetch(world.session("client")))
    await asyncio.sleep(4.0)
    for fault in cut:
        world.network.stop_fault(fault)
    assert await call == "hello"
    assert world.loop.time() == 4.0


@both
async def test_overlapping_black_holes_hold_until_the_last_one_ends(world: VirtualWorld) -> None:
    await serve_hello(world, seconds=2.0)
    session = world.session("client")
    call = asyncio.create_task(fetch(session))
    await asyncio.sleep(1.0)
    first, second = world.network.partition("client", "server"), world.network.partition("client", "*")
    await asyncio.sleep(4.0)
    for fault in first:
        world.network.stop_fault(fault)
    await asyncio.sleep(4.0)
    assert not call.done()
    for fault in second:
        world.network.stop_fault(fault)
    with pytest.raises(aiohttp.ClientError):
        await call
    assert world.loop.time() == 9.0
    assert await fetch(session) == "hello"


@both
async def test_refusing_links_end_what_is_open_and_refuse_what_is_new(world: VirtualWorld) -> None:
    await serve_hello(world, seconds=3.0)
    session = world.session("client")
    call = asyncio.create_task(fetch(session))
    await asyncio.sleep(1.0)
    with world.network.fault("client", "server", refuse=True):
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await call
        with pytest.raises(aiohttp.ClientConnectorError):
            await fetch(session)
        assert world.loop.time() == 1.0
    assert await fetch(session) == "hello"


@both
async def test_resetting_links_reset(world: VirtualWorld) -> None:
    await serve_hello(world, seconds=3.0)
    session = world.session("client")
    call = asyncio.create_task(fetch(session))
    await asyncio.sleep(1.0)
    with world.network.fault("client", "server", reset=True):
        with pytest.raises(aiohttp.ClientOSError, match="reset by peer"):
            await call
        with pytest.raises(aiohttp.ClientOSError, match="reset by peer"):
            await fetch(session)
        assert world.loop.time() == 1.0


async def test_links_describe_themselves(world: VirtualWorld) -> None:
    await serve_hello(world)
    await fetch(world.session("client"))
    world.network.start_fault(LinkFault("client", latency_s=0.5, blackhole=True))
    link = world.network.links.between("client", "server")
    assert repr(link) == "<Link client → server: 0.5 s, blackhole>"
    assert repr(world.network.links.between("server", "client")) == "<Link server → client: clean>"
    assert repr(world.network) == "<Network 1 listeners, 2 connections>"
