"""The reader of the event stream: every line once, in order, and the number of those that were gone too early."""

import json
from typing import Any

from chaos.record.recorder import Recorder
from compose.virtual.world import VirtualWorld
from loadgen.event_reader import EventReader
from services.chassis.clock import Clock
from services.chassis.store import Keys


async def add(store: Any, first: int, count: int, kept: int) -> None:
    for number in range(first, first + count):
        line = json.dumps({"at": float(number), "source": "s", "kind": "k"})
        await store.xadd(Keys.EVENTS, {"line": line}, maxlen=kept, approximate=False)


def numbers(events: list[dict[str, Any]]) -> list[float]:
    return [event["at"] for event in events if event["kind"] == "k"]


async def test_every_line_is_read_once(world: VirtualWorld) -> None:
    store, reader = world.redis.client(), EventReader()
    assert await reader.take(store, 0.0, None) == []
    await add(store, 0, 5, kept=100)
    assert numbers(await reader.take(store, 0.0, None)) == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert await reader.take(store, 0.0, None) == []


async def test_lines_that_were_read_may_go(world: VirtualWorld) -> None:
    store, reader = world.redis.client(), EventReader()
    for batch in range(10):
        await add(store, batch * 5, 5, kept=5)
        assert [event["kind"] for event in await reader.take(store, 0.0, None)] == ["k"] * 5


async def test_lines_that_went_unread_are_counted_once(world: VirtualWorld) -> None:
    store, reader = world.redis.client(), EventReader()
    await add(store, 0, 5, kept=10)
    await reader.take(store, 0.0, None)
    await add(store, 5, 17, kept=10)
    lost, *rest = await reader.take(store, 99.0, None)
    assert lost == {"at": 99.0, "source": "recorder", "kind": "events_lost", "count": 7}
    assert numbers(rest) == [float(number) for number in range(12, 22)]
    assert await reader.take(store, 0.0, None) == []


async def test_lines_before_the_reader_started_are_not_counted_as_lost(world: VirtualWorld) -> None:
    store = world.redis.client()
    await add(store, 0, 50, kept=10)
    events = await EventReader().take(store, 0.0, None)
    assert [event["kind"] for event in events] == ["k"] * 10


async def test_a_loss_is_in_the_record(world: VirtualWorld) -> None:
    store = world.redis.client()
    recorder = Recorder(Clock(world.loop.time, world.epoch_s), world.epoch_s)
    await recorder.drain(store)
    await add(store, 0, 3, kept=10)
    await recorder.drain(store)
    await add(store, 3, 30, kept=10)
    await recorder.drain(store)
    assert [event["count"] for event in recorder.events if event["kind"] == "events_lost"] == [20]
    recorder.close()
