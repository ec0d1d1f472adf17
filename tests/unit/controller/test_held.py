"""A request that a fault holds is released at the moment when the fault ends, by a call and by its lease.

Kinds from the catalogue: a new one has to say here whether it holds requests. What a cut connection needs afterwards
in Docker, where TCP repeats lost packets, is in `tests/system/test_stack.py`.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from chaos.faults.registry import CATALOGUE
from services.chassis.http import HttpClient
from tests.unit.controller.controller_desk import Desk

NAME, PEER = "blobstore-eastus", "provisioner-eastus"
BLOB = f"http://{NAME}:8080/vmextmieastus/packages/GitHub.Actions.LargerRunner/1.0/package.zip"
AT_ONCE = {"blobstore": {"service_time_s": 0.0}}
"""The time of an answer is then that of its release."""
HELD_S, LEASE_S = 10.0, 15.0
LONGER_S = 500.0
"""The caller's patience, and the delay of a latency fault: nothing but the end of the fault ends the wait."""
Waits = Callable[[Desk], Awaitable[str]]


async def blob(desk: Desk) -> str:
    reply = await desk.get(BLOB, LONGER_S)
    return reply.failure or str(reply.status)


async def peers_blob(desk: Desk) -> str:
    peer = HttpClient(desk.world.session(PEER))
    reply = await peer.call("GET", BLOB, timeout_s=LONGER_S)
    return reply.failure or str(reply.status)


async def store(desk: Desk) -> str:
    return str(await desk.testbed.runtime.store.ping())


HOLDING: dict[str, tuple[dict[str, Any], Waits, str, str]] = {
    "latency": ({"delay_s": LONGER_S}, blob, "200", "200"),
    "blackhole": ({}, blob, "reset", "200"),
    "freeze": ({}, blob, "200", "200"),
    "partition": ({"peer": PEER}, peers_blob, "200", "200"),
    "redis_stall": ({}, store, "True", "True"),
}
"""Parameters, who waits, what the one that was held gets, what the next one gets."""
NOT_HOLDING = {"http_error", "fail_first", "throttle", "connection_reset", "crash"}
NOT_HERE = {"cpu_limit"}


def test_every_kind_of_the_catalogue_is_told_apart() -> None:
    assert set(HOLDING) | NOT_HOLDING | NOT_HERE == set(CATALOGUE)


async def held(desk: Desk, kind: str) -> tuple[str, float, "asyncio.Task[tuple[str, float]]"]:
    """A fault, the time at which its lease ends, and a request that waits in it."""
    parameters, wait, _, _ = HOLDING[kind]
    await desk.testbed.operations.overlay(AT_ONCE)
    target = {} if kind == "redis_stall" else {"instance": NAME}
    body = {"kind": kind, "target": target, "parameters": parameters, "lease_s": LEASE_S}
    reply = await desk.call("POST", "/v1/faults", body)
    assert reply.status == 201, reply.body
    over_at = desk.now() + float(reply.json()["left_s"])
    await asyncio.sleep(0.1)

    async def waiting() -> tuple[str, float]:
        return await wait(desk), desk.now()

    task = asyncio.create_task(waiting())
    await asyncio.sleep(HELD_S)
    assert not task.done()
    return str(reply.json()["id"]), over_at, task


async def goes_on(desk: Desk, kind: str) -> None:
    """The next one is served at once."""
    _, wait, _, after = HOLDING[kind]
    before = desk.now()
    assert await wait(desk) == after
    assert desk.now() == before


@pytest.mark.parametrize("kind", HOLDING)
async def test_a_held_request_is_released_when_its_fault_is_deleted(desk: Desk, kind: str) -> None:
    fault, _, task = await held(desk, kind)
    deleted_at = desk.now()
    assert (await desk.call("DELETE", f"/v1/faults/{fault}")).status == 200
    result, at = await task
    assert (result, at) == (HOLDING[kind][2], deleted_at)
    await goes_on(desk, kind)


@pytest.mark.parametrize("kind", HOLDING)
async def test_a_held_request_is_released_when_the_lease_of_its_fault_ends(desk: Desk, kind: str) -> None:
    _, over_at, task = await held(desk, kind)
    result, at = await task
    assert (result, round(at, 6)) == (HOLDING[kind][2], over_at)
    await goes_on(desk, kind)
