"""The virtual Redis against what Redis does: semantics, blocking, time, faults."""

import asyncio
from typing import Any

import pytest
import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError, WatchError
from redis.exceptions import TimeoutError as RedisTimeoutError

from compose.virtual.redis.server import VirtualRedis
from compose.virtual.world import EPOCH_S, VirtualWorld

Client = redis.asyncio.Redis
NO_RETRY = Retry(NoBackoff(), 0)


@pytest.fixture
def client(world: VirtualWorld) -> Any:
    return world.redis.client(decode_responses=True)


async def new_group(client: Client) -> None:
    await client.xgroup_create("jobs", "workers", "0", mkstream=True)


async def read(client: Client, consumer: str, **options: Any) -> list[Any]:
    """The fields of what XREADGROUP gives."""
    reply: Any = await client.xreadgroup("workers", consumer, {"jobs": ">"}, **options)
    return [fields for _stream, entries in reply or () for _identity, fields in entries]


# --- plain semantics ---------------------------------------------------------------------------------------


async def test_strings_and_expiry_follow_virtual_time(client: Any, world: VirtualWorld) -> None:
    assert await client.set("k", "v", px=5000, nx=True)
    assert await client.set("k", "w", nx=True) is None
    await asyncio.sleep(4.999)
    assert await client.get("k") == "v"
    assert await client.pttl("k") == 1
    await asyncio.sleep(0.002)
    assert await client.get("k") is None
    await client.set("a", 1, ex=10)
    await client.expire("a", 20)
    await asyncio.sleep(19)
    assert await client.ttl("a") == 1
    assert await client.incrby("a", 41) == 42
    seconds, micros = await client.time()
    assert seconds + micros / 1e6 == EPOCH_S + 24.001


async def test_bytes_unless_asked_to_decode(world: VirtualWorld) -> None:
    client = world.redis.client()
    await client.hset("h", mapping={"a": 1, "b": "zwei"})
    assert await client.hgetall("h") == {b"a": b"1", b"b": b"zwei"}


async def test_sorted_sets(client: Any) -> None:
    await client.zadd("z", {"late": 9, "early": 1, "middle": 5})
    assert await client.zrangebyscore("z", "-inf", 5) == ["early", "middle"]
    assert await client.zrange("z", 0, -1, withscores=True) == [("early", 1.0), ("middle", 5.0), ("late", 9.0)]
    assert await client.zrem("z", "early") == 1
    assert await client.zpopmin("z") == [("middle", 5.0)]


async def test_sets_and_scans_come_in_a_fixed_order(client: Any) -> None:
    names = [f"member-{number}" for number in range(50)]
    await client.sadd("s", *names)
    assert list(await client.smembers("s")) == sorted(names)
    assert await client.smembers("s") == set(names)
    for name in reversed(names):
        await client.set(name, 1)
    assert [key async for key in client.scan_iter("member-*", count=7)] == sorted(names)


async def test_pipelines_and_transactions(client: Any) -> None:
    async with client.pipeline(transaction=True) as batch:
        assert await batch.set("a", 1).incr("a").get("a").execute() == [True, 2, "2"]
    async with client.pipeline(transaction=False) as batch:
        batch.set("b", "x").incr("b").get("b")
        ok, error, value = await batch.execute(raise_on_error=False)
        assert ok is True
        assert isinstance(error, ResponseError)
        assert value == "x"
    async with client.pipeline() as batch:
        await batch.watch("a")
        await client.set("a", "changed by another")
        batch.multi()
        batch.set("a", "mine")
        with pytest.raises(WatchError):
            await batch.execute()


async def test_an_error_reply_does_not_cost_the_connection(client: Any) -> None:
    await client.set("text", "x")
    for _ in range(3):
        with pytest.raises(ResponseError, match="WRONGTYPE"):
            await client.lpush("text", 1)
    assert await client.get("text") == "x"
    assert len(client.connection_pool._available_connections) == 1


async def test_publish_reaches_subscribers_in_the_order_in_which_they_came(client: Any, world: VirtualWorld) -> None:
    heard: list[tuple[int, Any]] = []

    async def listen(number: int) -> None:
        pubsub = client.pubsub()
        await pubsub.subscribe("news")
        async for message in pubsub.listen():
            if message["type"] == "message":
                heard.append((number, message["data"]))
                await pubsub.aclose()
                return

    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(listen(number))
        await asyncio.sleep(1)
        assert await client.publish("news", "hello") == 5
    assert heard == [(number, "hello") for number in range(5)]
    assert world.loop.time() == 1.0


async def test_get_message_waits_as_long_as_asked(client: Any, world: VirtualWorld) -> None:
    pubsub = client.pubsub(ignore_subscribe_messages=True)
    await pubsub.subscribe("news")
    assert await pubsub.get_message(timeout=1.0) is None
    assert await pubsub.get_message(timeout=2.5) is None
    assert 2.5 <= world.loop.time() <= 3.5
    await pubsub.aclose()


async def test_a_redis_command_lets_others_run(client: Any) -> None:
    order: list[str] = []

    async def other() -> None:
        order.append("other")

    task = asyncio.create_task(other())
    await client.get("k")
    order.append("redis")
    await task
    assert order == ["other", "redis"]


# --- streams -----------------------------------------------------------------------------------------------


async def test_a_consumer_group_from_end_to_end(client: Any, world: VirtualWorld) -> None:
    await new_group(client)
    identity = await client.xadd("jobs", {"n": 1})
    assert identity == f"{int(EPOCH_S * 1000)}-0"
    await client.xadd("jobs", {"n": 2})
    assert await read(client, "one", count=1) == [{"n": "1"}]
    assert (await client.xpending("jobs", "workers"))["pending"] == 1
    await asyncio.sleep(30)
    pending: Any = await client.xpending_range("jobs", "workers", "-", "+", 10)
    assert [(entry["consumer"], entry["time_since_delivered"]) for entry in pending] == [("one", 30_000)]
    _next, claimed, _deleted = await client.xautoclaim("jobs", "workers", "two", min_idle_time=10_000, start_id="0-0")
    assert [fields for _identity, fields in claimed] == [{"n": "1"}]
    assert await client.xack("jobs", "workers", identity) == 1
    assert await read(client, "two") == [{"n": "2"}]


async def test_bug_1_a_blocking_read_with_count_waits(client: Any, world: VirtualWorld) -> None:
    await new_group(client)
    assert await read(client, "one", count=5, block=4500) == []
    assert world.loop.time() == 4.5


async def test_redis_py_gives_up_after_its_own_socket_timeout_of_five_seconds(world: VirtualWorld) -> None:
    impatient, patient = world.redis.client(retry=NO_RETRY), world.redis.client(socket_timeout=None)
    await new_group(patient)
    with pytest.raises(RedisTimeoutError):
        await read(impatient, "one", block=6500)
    assert world.loop.time() == 5.0
    assert await read(patient, "one", block=6500) == []
    assert world.loop.time() == 11.5


async def test_bug_2_a_blocking_read_without_count_returns_what_it_takes(client: Any, world: VirtualWorld) -> None:
    await new_group(client)
    await client.xadd("jobs", {"n": 1})
    assert await read(client, "one", block=1000) == [{"n": "1"}]
    reader = asyncio.create_task(read(client, "one", block=4000))
    await asyncio.sleep(2)
    await client.xadd("jobs", {"n": 2})
    assert await reader == [{"n": "2"}]
    assert world.loop.time() == 2.0
    assert (await client.xpending("jobs", "workers"))["pending"] == 2


async def test_bug_3_entries_for_other_keys_or_consumers_wake_no_reader(client: Any, world: VirtualWorld) -> None:
    await new_group(client)
    readers = [asyncio.create_task(read(client, f"c{number}", count=1, block=4000)) for number in range(3)]
    await asyncio.sleep(1)
    await client.set("unrelated", 1)
    await client.xadd("other-stream", {"n": 0})
    await client.xadd("jobs", {"n": 1})
    await asyncio.sleep(1)
    assert [reader.done() for reader in readers] == [True, False, False]
    assert await asyncio.gather(*readers) == [[{"n": "1"}], [], []]
    assert world.loop.time() == 4.0


async def test_bug_4_readers_are_served_first_come_first_served(client: Any, world: VirtualWorld) -> None:
    await new_group(client)
    order: list[tuple[int, list[Any]]] = []

    async def consume(number: int) -> None:
        order.append((number, await read(client, f"c{number}", count=1, block=60_000)))

    tasks = []
    for number in (3, 1, 4, 0, 2):
        tasks.append(asyncio.create_task(consume(number)))
        await asyncio.sleep(0.1)
    for job in range(5):
        await client.xadd("jobs", {"n": job})
    await asyncio.gather(*tasks)
    assert order == [(number, [{"n": str(job)}]) for job, number in enumerate((3, 1, 4, 0, 2))]


async def test_two_groups_on_one_stream_are_both_served(client: Any) -> None:
    await client.xgroup_create("jobs", "a", "0", mkstream=True)
    await client.xgroup_create("jobs", "b", "0")
    readers = [
        asyncio.create_task(client.xreadgroup(group, "c", {"jobs": ">"}, count=1, block=4000)) for group in "aabb"
    ]
    await asyncio.sleep(1)
    await client.xadd("jobs", {"n": 1})
    await asyncio.sleep(1)
    assert [reader.done() for reader in readers] == [True, False, True, False]
    await asyncio.gather(*readers)


async def test_reading_from_the_end_and_popping_block_too(client: Any, world: VirtualWorld) -> None:
    stream = asyncio.create_task(client.xread({"s": "$"}, block=4000))
    pop = asyncio.create_task(client.blpop(["q1", "q2"], timeout=3))
    none = asyncio.create_task(client.bzpopmin("z", timeout=2))
    await asyncio.sleep(1)
    await client.xadd("s", {"n": 1})
    await client.rpush("q2", "job")
    assert await pop == ("q2", "job")
    assert (await stream)[0][1][0][1] == {"n": "1"}
    assert world.loop.time() == 1.0
    assert await none is None
    assert world.loop.time() == 2.0


async def test_inside_a_transaction_nothing_blocks(client: Any, world: VirtualWorld) -> None:
    await new_group(client)
    async with client.pipeline(transaction=True) as batch:
        batch.blpop("q", timeout=10)
        batch.xadd("jobs", {"n": 1})
        popped, _identity = await batch.execute()
    assert popped is None
    assert world.loop.time() == 0.0


async def test_a_reader_that_left_takes_nothing(client: Any, world: VirtualWorld) -> None:
    await new_group(client)
    leaving = asyncio.create_task(read(client, "leaving", block=60_000))
    await asyncio.sleep(1)
    leaving.cancel()
    process = world.process("worker")
    process.spawn(read(world.redis.client(), "killed", block=60_000))
    await asyncio.sleep(1)
    process.kill()
    staying = asyncio.create_task(read(client, "staying", block=4000))
    await asyncio.sleep(1)
    await client.xadd("jobs", {"n": 1})
    assert await staying == [{"n": "1"}]
    assert world.loop.time() == 3.0


# --- faults ------------------------------------------------------------------------------------------------


async def test_a_stall_holds_commands_and_runs_them_in_order(client: Any, world: VirtualWorld) -> None:
    world.redis.stall(3.0)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(client.rpush("list", number)) for number in range(4)]
    assert world.loop.time() == 3.0
    assert [task.result() for task in tasks] == [1, 2, 3, 4]
    assert await client.lrange("list", 0, -1) == ["0", "1", "2", "3"]
    assert world.loop.time() == 3.0


async def test_a_stall_can_be_ended_early_and_keeps_the_order(client: Any, world: VirtualWorld) -> None:
    world.redis.stall(30.0)
    first = asyncio.create_task(client.rpush("list", "held"))
    await asyncio.sleep(1.0)
    world.redis.release()
    assert await client.rpush("list", "after") == 2
    assert await first == 1
    assert world.loop.time() == 1.0


async def test_a_stall_outlasts_socket_timeouts_and_redis_py_retries(world: VirtualWorld) -> None:
    client = world.redis.client(socket_timeout=1.0, retry=Retry(NoBackoff(), 1))
    await client.ping()
    world.redis.stall(10.0)
    with pytest.raises(RedisTimeoutError):
        await client.incr("n")
    assert world.loop.time() == 2.0
    await asyncio.sleep(10)
    assert await client.get("n") == b"2"  # both attempts had been sent: the server does not know who left


async def test_who_leaves_at_the_moment_a_stall_ends_has_sent_its_command(client: Any, world: VirtualWorld) -> None:
    await client.ping()
    world.redis.stall(30.0)
    leaving = asyncio.create_task(client.incr("n"))
    await asyncio.sleep(1.0)
    leaving.cancel()
    await asyncio.sleep(0)
    world.redis.release()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert await client.get("n") == "1"
    assert world.loop.time() == 1.0


async def test_keys_expire_during_a_stall_and_blocked_readers_give_up_after_it(
    client: Any, world: VirtualWorld
) -> None:
    await client.set("lease", "mine", px=2000)
    pop = asyncio.create_task(client.blpop("q", timeout=1))
    await asyncio.sleep(0.5)
    world.redis.stall(3.0)
    assert await pop is None
    assert world.loop.time() == 3.5
    assert await client.get("lease") is None


async def test_delay_makes_every_command_slower(client: Any, world: VirtualWorld) -> None:
    await client.ping()
    world.redis.delay_s = 0.5
    await client.set("k", 1)
    assert world.loop.time() == 0.5
    world.redis.delay_s = 0.0
    await client.get("k")
    assert world.loop.time() == 0.5


async def test_what_one_client_reads_another_cannot_change(world: VirtualWorld) -> None:
    client = world.redis.client()
    await client.xadd("s", {"a": "1"})
    first: Any = await client.xrange("s")
    first[0][1][b"a"] = b"spoilt"
    second: Any = await client.xrange("s")
    assert second[0][1] == {b"a": b"1"}


async def test_it_describes_itself(client: Any, world: VirtualWorld) -> None:
    await client.set("k", 1)
    world.redis.stall(2.0)
    assert repr(world.redis) == "<VirtualRedis 1 keys, stalled for 2 s>"
    assert isinstance(world.redis, VirtualRedis)
