"""A full store (`maxmemory`) refuses writes: tokens are served on, and what is due is deleted, which makes room."""

import asyncio

import pytest
from fakeredis._helpers import SimpleError

from compose.virtual.redis.engine import Session
from compose.virtual.world import VirtualWorld
from services.chassis.access import SECRET_HEADER, shared_secret
from services.chassis.registry import RENEW_IN_FULL_STORE
from services.chassis.store import Keys
from tests.contract.store_bench import REGION, SERVICES, Bench

REFUSED = {b"ZADD", b"HSET", b"HSETNX", b"HINCRBY", b"SET", b"MSET", b"XADD", b"SADD", b"INCR", b"INCRBY"}
"""The commands of ours that Redis flags as `denyoom`."""
FULL_S = 60.0
TOKEN = "metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://storage.azure.com"


def fill(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on the server refuses what needs memory, a command in a transaction when it is queued, as Redis does."""
    process = Session._process_command

    def refuse(session: Session, fields: list[bytes]) -> None:
        name = fields[0].upper()
        if name == b"EVAL":  # fakeredis has no Lua
            assert fields[1].decode() == RENEW_IN_FULL_STORE
            process(session, [b"ZADD", *fields[3:]])
        elif name in REFUSED:
            if session._transaction is not None:
                session._transaction_failed = True
            error = SimpleError("OOM command not allowed when used memory > 'maxmemory'.")
            session.put_response(session._decode_result(error))
        else:
            process(session, fields)

    monkeypatch.setattr(Session, "_process_command", refuse)


async def test_a_full_store_keeps_nodes_in_rotation_and_leftovers_go(
    world: VirtualWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(world)
    await bench.begin()
    http, headers = bench.runtime.http, {SECRET_HEADER: bench.runtime.secret}
    started = await http.call("POST", "http://loadgen:8080/admin/start", json={}, headers=headers, timeout_s=5.0)
    assert started.ok
    await bench.runtime.store.zadd(Keys.LEFTOVERS, {f"devops {REGION} identity app-1": 0.0})
    fill(monkeypatch)
    await asyncio.sleep(FULL_S)
    for service in SERVICES:
        assert await bench.live(service), f"{service} holds its lease"
    url = f"http://{SERVICES['router']}:8080/{TOKEN}"
    reply = await http.call("GET", url, headers={"Metadata": "true", "x-tenant": "t"}, timeout_s=5.0)
    assert reply.ok, reply.body
    assert await bench.runtime.store.zscore(Keys.LEFTOVERS, f"devops {REGION} identity app-1") is None
    monkeypatch.undo()
    await bench.wait_for(bench.in_rotation, 20.0)
    await bench.runtime.stop()


@pytest.mark.parametrize("service", SERVICES)
async def test_a_process_that_starts_again_meanwhile_comes_up(
    world: VirtualWorld, monkeypatch: pytest.MonkeyPatch, service: str
) -> None:
    bench = Bench(world)
    await bench.begin()
    await bench.runtime.kill(SERVICES[service])
    fill(monkeypatch)
    async with asyncio.timeout(20.0):
        await bench.runtime.revive(SERVICES[service])
    await bench.wait_for(bench.in_rotation, 20.0)
    await bench.runtime.stop()


async def test_a_new_node_joins_meanwhile_and_a_secret_is_that_of_the_store(
    world: VirtualWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(world)
    await bench.begin()
    await bench.runtime.store.set(Keys.SECRET, "kept")
    fill(monkeypatch)
    assert await shared_secret(bench.runtime.store, "given") == "kept"
    (added,) = await bench.runtime.add_nodes(REGION, 1)
    await asyncio.sleep(5.0)
    assert added.name in await bench.live("identity")
    await bench.runtime.stop()
