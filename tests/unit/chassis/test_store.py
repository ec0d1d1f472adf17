"""The client of a real Redis, against a real socket: what becomes of its connections when the server dies."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from services.chassis.store import Store, connect

pytestmark = pytest.mark.real_time
CALLS = 3
HELLO = b"%1\r\n+proto\r\n:3\r\n"


class OneWordRedis:
    """Speaks RESP3 and answers PONG to everything; `die` hangs up on all, `start` listens on the same port again."""

    def __init__(self) -> None:
        self.port = 0
        self.connections: list[asyncio.StreamWriter] = []

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections.append(writer)
        while request := await reader.read(4096):
            for command in request.split(b"*")[1:]:
                writer.write(HELLO if b"HELLO" in command else b"+PONG\r\n")
        writer.close()

    async def die(self) -> None:
        self._server.close()
        for writer in self.connections:
            writer.close()
        await asyncio.gather(*(writer.wait_closed() for writer in self.connections))
        self.connections.clear()


@pytest.fixture
async def server() -> AsyncIterator[OneWordRedis]:
    made = OneWordRedis()
    await made.start()
    yield made
    await made.die()


async def _ping(store: Store) -> list[object]:
    return await asyncio.gather(*(store.ping() for _ in range(CALLS)), return_exceptions=True)


async def _after_a_restart(server: OneWordRedis, store: Store) -> list[object]:
    """The answers over connections that were opened, and lay idle, before the server died and came back."""
    assert await _ping(store) == [True] * CALLS
    assert len(server.connections) == CALLS
    await server.die()
    await server.start()
    async with connect(f"redis://127.0.0.1:{server.port}/0") as fresh:
        await fresh.ping()  # by then the loop has seen the hang-ups that came before
    return await _ping(store)


async def test_idle_connections_are_replaced_after_the_server_came_back(server: OneWordRedis) -> None:
    async with connect(f"redis://127.0.0.1:{server.port}/0") as store:
        assert await _after_a_restart(server, store) == [True] * CALLS


async def test_by_its_defaults_redis_py_fails_one_command_on_each_of_them(server: OneWordRedis) -> None:
    """Why `connect` says otherwise. When this one fails, redis-py is mended and the option can go."""
    store: Store = Redis.from_url(f"redis://127.0.0.1:{server.port}/0")
    answers = await _after_a_restart(server, store)
    await store.aclose()
    assert [type(answer) for answer in answers] == [RedisConnectionError] * CALLS
