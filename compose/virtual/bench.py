"""CPU cost of one HTTP hop and one Redis operation: `python -m compose.virtual.bench`.

Figures are CPU microseconds, the minimum of many short windows, which filters out noise from other load on the
machine. Cache contention can still add about a third. The last line times a fixed pure-Python loop, to normalise
figures from two machines.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from typing import Any, cast

import aiohttp
from aiohttp import web

from compose.virtual.world import TransportKind, VirtualWorld
from services.chassis.background import Work

CLIENTS = 64
ROUNDS = 40
WINDOWS = 15
OPERATIONS = 1500


def calibrate() -> float:
    """CPU microseconds of a fixed computation, minimum of 200 runs."""
    best = float("inf")
    for _ in range(200):
        start = time.process_time()
        total = 0
        for number in range(200):
            total += number * number
        best = min(best, time.process_time() - start)
    return best * 1e6


async def best_of(windows: int, count: int, work: Work) -> float:
    """CPU microseconds per unit of work, in the best window."""
    best = float("inf")
    for _ in range(windows):
        start = time.process_time()
        await work()
        best = min(best, time.process_time() - start)
    return best / count * 1e6


def bench_hops(transport: TransportKind, *, sleeps: bool) -> float:
    """GET → JSON between two simulated hosts, 64 clients at once."""
    world = VirtualWorld(transport=transport)
    delays = random.Random(1)

    async def handler(request: web.Request) -> web.Response:
        if sleeps:
            await asyncio.sleep(delays.expovariate(100))
        return web.json_response({"ok": True, "path": request.path})

    async def main() -> float:
        app = web.Application()
        app.router.add_get("/item/{number}", handler)
        await world.serve(app, "server")
        limit = aiohttp.ClientTimeout(total=30, ceil_threshold=float("inf"))
        session = world.session("client", timeout=limit)

        async def client(number: int) -> None:
            for _ in range(ROUNDS):
                async with session.get(f"http://server/item/{number}") as response:
                    await response.json()

        async def burst() -> None:
            await asyncio.gather(*(asyncio.create_task(client(number)) for number in range(CLIENTS)))

        return await best_of(WINDOWS, CLIENTS * ROUNDS, burst)

    return world.run(main())


def bench_redis() -> dict[str, float]:
    """Single operations one after another, and a pipeline of 20."""
    world = VirtualWorld()

    async def main() -> dict[str, float]:
        redis = world.redis.client()
        await redis.xgroup_create("stream", "group", "0", mkstream=True)

        async def get() -> None:
            for _ in range(OPERATIONS):
                await redis.get("key")

        async def put() -> None:
            for _ in range(OPERATIONS):
                await redis.set("key", "value")

        async def add() -> None:
            for _ in range(OPERATIONS):
                await redis.xadd("stream", {"field": "value"})

        async def read() -> None:
            for _ in range(OPERATIONS):
                reply: Any = await redis.xreadgroup("group", "me", {"stream": ">"}, count=1)
                await redis.xack("stream", "group", reply[0][1][0][0])

        async def pipeline() -> None:
            for _ in range(OPERATIONS // 20):
                batch = redis.pipeline(transaction=False)
                for _ in range(20):
                    batch.set("key", "value")
                await batch.execute()

        works = {"SET": put, "GET": get, "XADD": add, "XREADGROUP + XACK": read, "pipeline of 20 SET, each": pipeline}
        return {name: await best_of(WINDOWS // 3, OPERATIONS, work) for name, work in works.items()}

    return world.run(main())


def main() -> None:
    only = cast(list[TransportKind], sys.argv[1:]) or ["http", "direct"]
    before = calibrate()
    for transport in only:
        for sleeps in (False, True):
            kind = "exponential sleep" if sleeps else "no sleep"
            print(f"{transport:7} c={CLIENTS}, {kind:18} {bench_hops(transport, sleeps=sleeps):7.1f} us/hop")
    for name, cost in bench_redis().items():
        print(f"redis   {name:25} {cost:7.1f} us/op")
    print(f"calibration {before:.1f} … {calibrate():.1f} us")


if __name__ == "__main__":
    main()
