"""Clients that leave at any moment, while the store stalls, goes on, ends connections and is slow: nothing breaks."""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import RedisError

from compose.virtual.world import VirtualWorld

CLIENTS, CALLS, TROUBLES = 4, 12, 20
LONGEST_S = 60.0
MOMENTS_S = (0.0, 0.25, 0.5, 1.0)
"""Few, so that much happens at the same time."""


async def transaction(client: Redis) -> None:
    async with client.pipeline(transaction=True) as pipe:
        await pipe.watch("n")
        pipe.multi()  # type: ignore[no-untyped-call]
        pipe.incr("n")
        pipe.rpush("queue", 1)
        await pipe.execute()


CALL: tuple[Callable[[Redis], Awaitable[Any]], ...] = (
    lambda client: client.incr("n"),
    lambda client: client.rpush("queue", 1),
    lambda client: client.blpop(["queue"], timeout=0.25),
    lambda client: client.xread({"stream": "$"}, block=250),
    transaction,
)


async def use(client: Redis, draw: Random) -> None:
    for _ in range(CALLS):
        try:
            async with asyncio.timeout(draw.choice(MOMENTS_S[1:])):
                await draw.choice(CALL)(client)
        except (TimeoutError, RedisError):
            pass
        await asyncio.sleep(draw.choice(MOMENTS_S))


async def trouble(world: VirtualWorld, draw: Random) -> None:
    redis = world.redis
    for _ in range(TROUBLES):
        await asyncio.sleep(draw.choice(MOMENTS_S))
        match draw.choice(("stall", "stall", "release", "release", "down", "delay")):
            case "stall":
                redis.stall(draw.choice(MOMENTS_S))
            case "release":
                redis.release()
            case "down":
                redis.go_down(0.25)
            case "delay":
                redis.delay_s = draw.choice((0.0, 0.25))
    redis.delay_s = 0.0
    redis.release()


@pytest.mark.parametrize("seed", range(12))
def test_no_moment_of_leaving_breaks_the_store(seed: int) -> None:
    world, draw = VirtualWorld(seed=seed), Random(seed)
    errors: list[dict[str, Any]] = []

    async def all_at_once() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: errors.append(context))
        clients = [world.redis.client(socket_timeout=draw.choice((None, 0.5))) for _ in range(CLIENTS)]
        async with asyncio.timeout(LONGEST_S), asyncio.TaskGroup() as group:
            group.create_task(trouble(world, draw))
            for client in clients:
                group.create_task(use(client, draw))
        assert await clients[0].get("n") is not None

    world.run(all_at_once())
    assert errors == []
