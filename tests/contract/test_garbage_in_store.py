"""Garbage under any key of the store is reported by key and skipped; every service keeps working and can restart.

The families are a closed set: a key that a busy testbed writes and that is not declared here fails the test.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from chaos.controller.app import create_controller
from chaos.controller.auth import Tokens
from chaos.controller.testbed import Testbed
from chaos.experiment.plan import make_plan
from chaos.record.recorder import Recorder
from chaos.scenarios.loader import load
from chaos.scenarios.restrict import restrict
from compose.virtual.world import VirtualWorld
from services.chassis.access import SECRET_HEADER
from services.chassis.live import announce
from services.chassis.store import Keys, text
from services.clients.identity.client import SUBSCRIPTION
from tests.contract.store_bench import BACK_S, REGION, SERVICES, TOPOLOGY, Bench

CONTROLLER = "http://controller"
BUSY_S = 8.0
IDENTITIES = "Microsoft.ManagedIdentity/userAssignedIdentities"
GARBAGE = {
    "torn": b"{",
    "empty": b"",
    "not-utf8": b"\xff\xfe\x00",
    "a-list": b"[1, 2]",
    "null": b"null",
    "a-number": b"-1e999",
    "other-fields": b'{"name": 5, "id": [], "tags": "x", "regions": 7}',
    "nested-3000-deep": b"[" * 3000,
    "half-a-megabyte": b'{"a": "' + b"x" * 500_000,
}
SAID = {
    "overlay",
    "fault:*",
    "instance-fault:*",
    "instances:*",
    "traffic:*",
    "identities",
    "compute:*:operations",
    "compute:*:resources",
    "blobstore:*:accounts",
    "blobstore:*:containers",
    "blobstore:*:blobs",
    "blobstore:*:body:*",
    "mitigations",
}
"""Somebody reads these and says when it cannot."""
QUIET = {
    "fault-effects:*": "counts; what is no number counts nothing",
    "fault-sequence": "a counter; goes on after the faults there are",
    "identity-nodes-started": "only whether the field exists",
    "blobstore:names": "a region's name; another one means taken",
    "blobstore:*:seeded": "only whether it exists",
    "blobstore:*:uploads": "names of bytes to sweep",
    "compute:*:progress": "said only for a job that is blocked; see its own test",
    "compute:*:delayed": "scores, which Redis keeps as numbers",
    "compute:*:queue": "an entry without a job is taken out",
    "loadgen:leftovers": "an entry that names nothing is taken out",
}


def family(key: str) -> str:
    key = re.sub(r"^(compute|blobstore):(?!names)[^:]+", r"\1:*", key)
    key = re.sub(r"^(fault|instance-fault|fault-effects|traffic):.*", r"\1:*", key)
    return re.sub(r"^(instances|blobstore:\*:body):.*", r"\1:*", key)


class Garbled(Bench):
    """The testbed with a controller, under load, and with something in every family."""

    def __init__(self, world: VirtualWorld, runs: Path) -> None:
        super().__init__(world)
        self.runs = runs

    async def begin(self) -> None:
        await super().begin()
        scenario = restrict(load("azure-fnj8-vqz-short"), [REGION])
        self.plan = make_plan(scenario, 1)
        await self.start_controller()
        await self.load("start")
        await self.inject("freeze", {"instance": "identity-eastus-2"})
        await self.inject("latency", {"service": "blobstore"}, {"delay_s": 0.01})
        await self.ask("PUT", f"/v1/regions/{REGION}/traffic", {"mode": "open"})
        await self.ask("PUT", "/v1/mitigations/R7", {"on": True})
        await asyncio.sleep(BUSY_S)

    async def start_controller(self) -> None:
        self.testbed = Testbed(self.runtime, restrict(load("azure-fnj8-vqz-short"), [REGION]), self.runs)
        app = create_controller(self.testbed, Tokens("read", "operate"))
        self.controller = await self.world.serve(app, "controller", 80)

    async def load(self, what: str) -> None:
        headers = {SECRET_HEADER: self.runtime.secret}
        url = f"http://loadgen:8080/admin/{what}"
        reply = await self.runtime.http.call("POST", url, json={}, headers=headers, timeout_s=5.0)
        assert reply.ok, reply.body

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": "Bearer operate"}
        url = CONTROLLER + path
        return await self.runtime.http.call(method, url, json=body, headers=headers, timeout_s=30.0)

    async def inject(self, kind: str, target: dict[str, str], parameters: dict[str, Any] | None = None) -> Any:
        body = {"kind": kind, "target": target, "lease_s": 3000, "parameters": parameters or {}}
        reply = await self.ask("POST", "/v1/faults", body)
        assert reply.ok, reply.body
        return reply.json()

    async def keys(self) -> list[str]:
        return sorted([text(key) async for key in self.runtime.store.scan_iter("*", count=1000)])

    async def garble(self, garbage: bytes) -> None:
        """Every string, one field in ten and one new field of every hash, a member, an entry."""
        store = self.runtime.store
        for key in await self.keys():
            kind = text(await store.type(key))
            if kind == "string":
                await store.set(key, garbage)
            elif kind == "hash":
                fields = sorted(await store.hkeys(key))
                await store.hset(key, mapping={**dict.fromkeys(fields[::10], garbage), b"garbage": garbage})
            elif kind == "zset":
                await store.zadd(key, {garbage: self.runtime.clock.epoch() + 1e6})
            elif kind == "set":
                await store.sadd(key, garbage)
            elif kind == "stream":
                await store.xadd(key, {garbage or b"x": garbage})

    def said(self) -> set[str]:
        events = [*self.events, *self.testbed.feed.history]
        return {family(event["key"]) for event in events if event["kind"] == "stored_value_refused"}

    async def restart_everybody(self) -> None:
        self.controller.kill()
        for spec in [spec for spec in self.runtime.instances() if spec.name != "loadgen"]:
            await self.runtime.resume(spec.name)
            await self.runtime.kill(spec.name)
            await self.runtime.revive(spec.name)
        await self.start_controller()


@pytest.fixture
async def garbled(world: VirtualWorld, tmp_path: Path) -> AsyncIterator[Garbled]:
    made = Garbled(world, tmp_path)
    await made.begin()
    yield made
    made.controller.kill()
    await made.runtime.stop()


async def test_the_key_families_cover_everything_that_a_busy_testbed_writes(garbled: Garbled) -> None:
    assert {family(key) for key in await garbled.keys()} <= SAID | set(QUIET)
    assert {family(key) for key in await garbled.keys()} >= SAID


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE)
async def test_every_service_keeps_working_and_reports_unreadable_values(garbled: Garbled, garbage: bytes) -> None:
    await garbled.garble(garbage)
    await announce(garbled.runtime.store, "settings")
    await asyncio.sleep(5.0)
    assert (await garbled.ask("GET", "/v1/status")).ok
    assert (await garbled.ask("GET", "/v1/faults")).ok
    assert (await garbled.ask("PUT", "/v1/mitigations/R7", {"on": False})).ok
    await garbled.inject("latency", {"service": "router"}, {"delay_s": 0.01})
    await garbled.garble(garbage)
    await garbled.restart_everybody()
    await garbled.wait_for(garbled.in_rotation, BACK_S + 60.0)
    assert (await garbled.ask("GET", "/v1/faults")).ok
    listed = f"http://{SERVICES['router']}:8080/subscriptions/{SUBSCRIPTION}/providers/{IDENTITIES}"
    reply = await garbled.runtime.http.call("GET", f"{listed}?api-version=2024-11-30", timeout_s=5.0)
    assert reply.ok, reply.body
    assert garbled.said() >= SAID
    await order_ends(garbled)


async def order_ends(garbled: Garbled) -> None:
    """A new order is accepted and ends. Without users, since cold nodes under load would collapse again."""
    await garbled.load("stop")
    base = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/afterwards"
    body = {"location": REGION, "properties": {}, "identity": {"type": "SystemAssigned"}}
    url = f"http://{SERVICES['provisioner']}:8080{base}?api-version=2024-07-01"
    reply = await garbled.runtime.http.call("PUT", url, json=body, timeout_s=5.0)
    assert reply.status == 201, reply.body
    operation = reply.headers["Azure-AsyncOperation"]

    async def ended() -> bool:
        said = await garbled.runtime.http.call("GET", operation, timeout_s=5.0)
        return bool(said.ok and said.json()["status"] == "Succeeded")

    await garbled.wait_for(ended, 300.0)


ONE_EACH = {"fault:*", "instance-fault:*", "blobstore:*:body:*"}
"""One key for each fault or blob: of another type it is as good as missing, and its name is not used again."""


@pytest.mark.parametrize("kind", ["string", "hash"])
async def test_a_key_of_another_type_is_set_aside(garbled: Garbled, kind: str) -> None:
    store = garbled.runtime.store
    wrong = [
        key
        for key in await garbled.keys()
        if family(key) not in ONE_EACH and text(await store.type(key)) not in (kind, "none")
    ]
    for key in wrong:
        await store.delete(key)
        await (store.set(key, "x") if kind == "string" else store.hset(key, "x", "y"))
    await announce(store, "settings")
    await asyncio.sleep(5.0)
    await garbled.restart_everybody()
    await garbled.wait_for(garbled.in_rotation, BACK_S + 60.0)
    assert (await garbled.ask("GET", "/v1/faults")).ok
    await garbled.inject("latency", {"service": "router"}, {"delay_s": 0.01})
    await asyncio.sleep(10.0)
    garbled.events.clear()
    await asyncio.sleep(10.0)
    failing = {event["task"] for event in garbled.events if event["kind"] == "task_failed"}
    assert not failing, "nothing goes on failing"
    assert {family(key) for key in wrong if text(await store.type(key)) == kind} == set()


async def test_a_job_with_unreadable_progress_restarts_at_its_first_step(garbled: Garbled) -> None:
    store, key = garbled.runtime.store, f"compute:{REGION}:progress"
    await garbled.ask("PUT", "/v1/anonymous-access", {"enabled": False})
    await asyncio.sleep(15.0)
    jobs = await store.hkeys(key)
    assert jobs, "closed packages block jobs"
    await store.hset(key, mapping=dict.fromkeys(jobs, b"999|x"))
    await garbled.ask("PUT", "/v1/anonymous-access", {"enabled": True})
    await garbled.restart_everybody()
    assert "compute:*:progress" in garbled.said()


async def test_a_recorder_skips_lines_that_are_not_events(world: VirtualWorld) -> None:
    store = world.redis.client()
    good = {"at": 1.0, "source": "router-eastus", "kind": "traffic_changed", "mode": "open"}
    for garbage in [*GARBAGE.values(), b'{"at": 1, "source": "x", "kind": "arrival"}']:
        await store.xadd(Keys.EVENTS, {"line": garbage})
    await store.xadd(Keys.EVENTS, {"no line": "x"})
    await store.xadd(Keys.EVENTS, {"line": json.dumps(good)})
    bench = Bench(world)
    recorder = Recorder(bench.runtime.clock, 0.0)
    await recorder.drain(store)
    assert [event["mode"] for event in recorder.events if event["kind"] == "traffic_changed"] == ["open"]
    refused = [event for event in recorder.events if event["kind"] == "stored_value_refused"]
    assert len(refused) == len(GARBAGE) + 2
    recorder.close()


def test_the_topology_of_the_bench_has_every_service() -> None:
    assert {spec.service for spec in TOPOLOGY.instances()} == set(SERVICES)
