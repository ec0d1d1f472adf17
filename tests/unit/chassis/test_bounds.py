"""What every process and the store keep on behalf of the chassis has a bound or an end."""

import asyncio
import json
from typing import Any

import pytest

from chaos.faults.model import LEASE_MAX_S
from compose.virtual.world import VirtualWorld
from services.chassis import event_stream, metrics
from services.chassis.clock import Clock
from services.chassis.env import Env, Peers, make_env
from services.chassis.event_stream import LOST, StreamSink
from services.chassis.fault_edge import EFFECTS_KEPT_S, _EffectCounter
from services.chassis.faults import FaultEffect, FaultRule, RuleTarget
from services.chassis.http import HttpClient
from services.chassis.metrics import Metrics
from services.chassis.process import ProcessSettings, _take_from_testbed
from services.chassis.registry import DEAD_LEASES, Instance, Registry
from services.chassis.store import Keys
from services.chassis.stored import Stored


@pytest.mark.parametrize("kind", ["counter", "gauge", "histogram"])
def test_label_sets_beyond_the_bound_share_one(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "LABEL_SETS_MAX", 3)
    registry = Metrics()
    metric = getattr(registry, kind)("m_total" if kind == "counter" else "m", "…", ("tenant", "code"))
    touch = {"counter": "inc", "gauge": "inc", "histogram": "observe"}[kind]
    arguments = (1.0,) if kind == "histogram" else ()
    for number in range(10):
        getattr(metric.labels(f"t{number}", "200"), touch)(*arguments)
    getattr(metric.labels(tenant="t0", code="200"), touch)(*arguments)
    assert sorted(metric._metrics) == [("other", "other"), ("t0", "200"), ("t1", "200"), ("t2", "200")]
    assert b"metrics_label_sets_refused_total 7.0" in registry.page()


async def test_a_dead_instance_is_removed_from_the_store(world: VirtualWorld) -> None:
    store, clock = world.redis.client(), Clock(world.loop.time, world.epoch_s)
    registry = Registry(store, Stored(lambda _kind, **_fields: None), clock, lease_s=9.0)
    for number in range(50):
        await registry.register(Instance("identity", "eastus", f"identity-eastus-{number}", "http://x"))
    await asyncio.sleep(2 * DEAD_LEASES * 9.0)
    await registry.register(Instance("identity", "eastus", "alive", "http://x"))
    assert await store.zcard(Keys.instances("identity", "eastus")) == 1


def clock_of(world: VirtualWorld) -> Clock:
    return Clock(world.loop.time, world.epoch_s)


def env_of(world: VirtualWorld, events: list[dict[str, Any]]) -> Env:
    return make_env(
        Instance("identity", "eastus", "i", "http://i"),
        seed=1,
        clock=clock_of(world),
        http=HttpClient(world.session("i")),
        store=world.redis.client(),
        sink=events.append,
        tree={},
        peers=Peers(),
    )


async def lines(store: Any) -> list[dict[str, Any]]:
    return [json.loads(entry[b"line"]) for _, entry in await store.xrange(Keys.EVENTS)]


async def test_during_a_long_store_outage_the_oldest_lines_are_dropped_and_counted(
    world: VirtualWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "BUFFER_LENGTH_MAX", 5)
    store = world.redis.client()
    sink = StreamSink(store, clock_of(world))
    for number in range(8):
        sink({"at": float(number), "source": "s", "kind": "k", "number": number})
    assert len(sink._buffer) == 5
    await sink.flush()
    first, *rest = await lines(store)
    assert first == {"at": 7.0, "source": "s", "kind": LOST, "count": 3}
    assert [line["number"] for line in rest] == [3, 4, 5, 6, 7]
    assert (len(sink._buffer), sink._lost) == (0, 0)


async def test_lines_that_are_being_sent_when_the_process_is_stopped_are_sent_afterwards(world: VirtualWorld) -> None:
    store = world.redis.client()
    sink = StreamSink(store, clock_of(world))
    sink({"at": 1.0, "source": "s", "kind": "k"})
    world.redis.stall(1.0)
    sending = asyncio.create_task(sink.flush())
    await asyncio.sleep(0.5)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    await sink.close()
    assert await lines(store) == [{"at": 1.0, "source": "s", "kind": "k"}], "once, not twice"


async def test_repeated_failures_do_not_let_the_buffer_grow(
    world: VirtualWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_stream, "BUFFER_LENGTH_MAX", 5)
    sink = StreamSink(world.redis.client(), clock_of(world))

    async def refuse(_lines: object) -> None:
        for number in range(4):
            sink({"at": float(number), "source": "s", "kind": "k"})
        raise OSError("away")

    monkeypatch.setattr(sink, "_send", refuse)
    sink({"at": 0.0, "source": "s", "kind": "k"})
    for _ in range(10):
        await sink.flush()
    assert len(sink._buffer) == 5
    assert sink._lost == 36


@pytest.mark.parametrize("kind", ["string", "hash"])
async def test_a_stream_key_of_another_type_is_set_aside_and_no_line_is_lost(world: VirtualWorld, kind: str) -> None:
    store = world.redis.client()
    await (store.set(Keys.EVENTS, "x") if kind == "string" else store.hset(Keys.EVENTS, "x", "y"))
    sink = StreamSink(store, clock_of(world))
    sink({"at": 1.0, "source": "s", "kind": "k"})
    await sink.flush()
    await sink.flush()
    assert [line["kind"] for line in await lines(store)] == ["k", "stored_value_refused"]
    assert await store.type(Keys.damaged(Keys.EVENTS)) == kind.encode()


async def test_a_process_starts_although_the_seed_has_another_type(world: VirtualWorld) -> None:
    events: list[dict[str, Any]] = []
    env = env_of(world, events)
    await env.store.hset(Keys.SEED, "x", "y")
    settings = ProcessSettings(region="eastus", instance="i", redis_url="redis://h", project_secret="s")
    await _take_from_testbed(env, settings)
    assert [(event["kind"], event["key"]) for event in events] == [("stored_value_refused", Keys.SEED)]


async def test_effects_are_counted_although_their_key_has_another_type(world: VirtualWorld) -> None:
    events: list[dict[str, Any]] = []
    env = env_of(world, events)
    await env.store.set(Keys.fault_effects("f1"), "x")
    rule = FaultRule("f1", "latency", RuleTarget(), {"delay_s": 0.0}, 1.0, env.clock.epoch() + 60.0)
    _EffectCounter(env).count(FaultEffect(rule))
    await asyncio.sleep(1.0)
    assert await env.store.hvals(Keys.fault_effects("f1")) == [b"1"]
    assert [event["kind"] for event in events] == ["stored_value_refused"], "no task failed"


async def test_the_stream_keeps_the_newest_lines(world: VirtualWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_stream, "STREAM_LENGTH_MAX", 100)
    store = world.redis.client()
    sink = StreamSink(store, clock_of(world))
    for number in range(1000):
        sink({"at": float(number), "source": "s", "kind": "k"})
    await sink.flush()
    assert await store.xlen(Keys.EVENTS) <= 200
    assert (await lines(store))[-1]["at"] == 999.0


async def test_the_counted_effects_of_a_fault_leave_the_store(world: VirtualWorld) -> None:
    env = env_of(world, [])
    rule = FaultRule("f1", "latency", RuleTarget(), {"delay_s": 0.0}, 1.0, env.clock.epoch() + LEASE_MAX_S)
    _EffectCounter(env).count(FaultEffect(rule))
    await asyncio.sleep(LEASE_MAX_S)
    assert await env.store.hvals(Keys.fault_effects("f1")) == [b"1"], "a fault of the longest lease shows its effects"
    await asyncio.sleep(EFFECTS_KEPT_S - LEASE_MAX_S + 1.0)
    assert not await env.store.exists(Keys.fault_effects("f1"))


def test_a_refused_value_is_reported_once_and_is_not_kept() -> None:
    said: list[str] = []
    stored = Stored(lambda kind, **fields: said.append(f"{kind} {fields['field']}"))
    for raw in (b"x" * 1_000_000, b"x" * 1_000_000, b"y"):
        stored.refuse(raw, "identities", "a", "why")
    assert said == ["stored_value_refused a"] * 2
    assert all(isinstance(kept, int) for kept in stored._said.values())
