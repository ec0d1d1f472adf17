"""`store`: every Redis there is, for tests marked `both_clocks`.

In virtual time it is the virtual world's. On the real clock it is the local runtime's, a `redis-server` if one is
installed, else the embedded server; in both cases behind the services' own client.
"""

import asyncio
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from compose.children import bound
from compose.local import HOST, free_ports, redis_command
from compose.virtual.kernel.loop import VirtualLoop
from compose.virtual.world import VirtualWorld
from services.chassis.store import Store, connect
from tests.contract.small_testbed import SmallTestbed, open_testbed

START_TIMEOUT_S = 10.0


@pytest.fixture(scope="session")
def redis_port() -> Iterator[int]:
    port = free_ports(1)[0]
    with subprocess.Popen(bound(redis_command(port)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        yield port
        process.terminate()


@pytest.fixture
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    loop = asyncio.get_running_loop()
    if isinstance(loop, VirtualLoop):
        world = VirtualWorld(loop=loop)
        yield world.redis.client()
        await world.aclose()
    else:
        async with connect(f"redis://{HOST}:{request.getfixturevalue('redis_port')}/0") as client:
            await _emptied(client)
            yield client


async def _emptied(client: Store) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            await client.flushall()
            return
        except RedisConnectionError:
            assert time.monotonic() < deadline, "the server did not start"
            await asyncio.sleep(0.05)


@pytest.fixture
async def testbed(world: VirtualWorld, tmp_path: Path) -> AsyncIterator[SmallTestbed]:
    opened = await open_testbed(world, tmp_path)
    yield opened
    await opened.runtime.stop()
