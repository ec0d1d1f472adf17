"""Faults overlap: an effect lasts until the last fault that asks for it ends, whatever else goes on.

Every pair of kinds that virtual time offers, on one target, in both orders: while both are under way, when the first
lease is over, and when both are.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

import aiohttp
import pytest

from chaos.faults.leases import FaultLeases
from chaos.faults.model import FaultSpec, FaultTarget
from chaos.faults.records import INSTANCE_PREFIX, SEQUENCE_KEY
from chaos.faults.registry import CATALOGUE
from compose.run_lease import KEY, LEASE_S
from compose.runtime import InstanceDown
from services.chassis.store import Keys
from tests.unit.controller.controller_desk import Desk

NAME = "blobstore-eastus"
BASE = f"http://{NAME}:8080"
BLOB = f"{BASE}/vmextmieastus/packages/GitHub.Actions.LargerRunner/1.0/package.zip"
PEER = "provisioner-eastus"
DELAY_S, LOOK_S, BLOB_S = 0.2, 0.2, 0.8
"""Of the fault `latency`; the longest look at what is not delayed, and at a blob."""
PARAMETERS: dict[str, dict[str, Any]] = {
    "latency": {"delay_s": DELAY_S},
    "http_error": {"status": 500},
    "fail_first": {"count": 1000, "status": 503},
    "throttle": {"rate_per_s": 0},
    "partition": {"peer": PEER},
}
KINDS = [kind for kind in CATALOGUE if kind != "cpu_limit"]
"""Those that virtual time offers; limits of processors overlap in `test_of_several_cpu_limits_the_lowest_counts`."""
ENDERS = ("http_error", "fail_first", "throttle", "connection_reset", "blackhole")
STATUS = {500: "http_error", 503: "fail_first", 429: "throttle"}
FAILURE = {"reset": "connection_reset", "timeout": "blackhole"}


async def inject(desk: Desk, kind: str, lease_s: float, instance: str = NAME, **more: Any) -> dict[str, Any]:
    target = {} if kind == "redis_stall" else {"instance": instance}
    body = {"kind": kind, "target": target, "parameters": PARAMETERS.get(kind, {}), "lease_s": lease_s, **more}
    reply = await desk.call("POST", "/v1/faults", body)
    assert reply.status != 422, f"PARAMETERS of {kind}: {reply.json()}"
    await asyncio.sleep(0.1)
    return {"status": reply.status, **reply.json()}


async def seen(desk: Desk) -> set[str]:
    """The kinds whose effect shows at the target just now."""
    found = set()
    if not await answers(desk.testbed.runtime.store.ping(), LOOK_S):
        found.add("redis_stall")
    alive = await desk.get(f"{BASE}/healthz", timeout_s=LOOK_S)
    if alive.failure:
        return found | {"crash" if alive.failure == "refused" else "freeze"}
    if not await answers(peers_look(desk), LOOK_S):
        found.add("partition")
    before = desk.now()
    reply = await desk.get(BLOB, timeout_s=BLOB_S)
    if reply.failure:
        found.add(FAILURE[reply.failure])
    elif reply.status in STATUS:
        found.add(STATUS[reply.status])
    if DELAY_S / 2 < desk.now() - before < BLOB_S - DELAY_S / 2:
        found.add("latency")
    return found


async def peers_look(desk: Desk, base: str = BASE) -> None:
    async with desk.world.session(PEER).get(f"{base}/healthz") as reply:
        await reply.read()


async def answers(work: Any, within_s: float) -> bool:
    try:
        await asyncio.wait_for(work, within_s)
    except (TimeoutError, aiohttp.ClientError):
        return False
    return True


def expected(active: Sequence[str]) -> set[str]:
    """What shows of these faults, oldest first: the dead and the frozen hide the rest, the first ender wins."""
    stalled = {"redis_stall"} & set(active)
    for kind in ("crash", "freeze"):
        if kind in active:
            return stalled | {kind}
    enders = [kind for kind in active if kind in ENDERS][:1]
    others = {kind for kind in active if kind == "partition"} | ({"latency"} & set(active))
    return stalled | others - ({"latency"} if enders == ["blackhole"] else set()) | set(enders)


def short_and_long(*kinds: str) -> tuple[float, float]:
    """Leases. Looking takes up to 1.4 s and has to end before the next lease does.

    A stall needs longer ones because of the store's retries: one of 6 s was not over at 6.5 s.
    """
    return (10.0, 20.0) if "redis_stall" in kinds else (2.0, 4.0)


@pytest.mark.parametrize("first", KINDS)
async def test_every_pair_of_kinds_on_one_target(desk: Desk, first: str) -> None:
    for second in KINDS:
        short_s, long_s = short_and_long(first, second)
        for leases in ((short_s, long_s), (long_s, short_s)):
            began = desk.now()
            one = await inject(desk, first, leases[0])
            two = await inject(desk, second, leases[1])
            where = (first, second, leases)
            if first == "redis_stall" and second != first:
                assert two["status"] == 503, "without the store nobody would find it to undo it"
                both, left = [first], [first] if leases[0] == long_s else []
            else:
                assert (one["status"], two["status"]) == (201, 201), (one, two)
                both, left = [first, second], [(first, second)[leases.index(long_s)]]
            assert await seen(desk) == expected(both), where
            await asyncio.sleep(began + short_s + 0.5 - desk.now())
            down = {"crash"} if "crash" in both and left == ["redis_stall"] else set()
            assert await seen(desk) == expected(left) | down, (*where, "a started process waits for its store")
            assert set(await listed(desk)) == {*left, *down}, where
            await asyncio.sleep(began + long_s + 1.5 - desk.now())
            assert await seen(desk) == set(), where
            assert await listed(desk) == [], where


async def listed(desk: Desk) -> list[str]:
    return [fault["kind"] for fault in (await desk.call("GET", "/v1/faults")).json()["faults"]]


async def test_a_call_ends_one_of_two_and_not_the_other(desk: Desk) -> None:
    for kind in KINDS:
        one, two = await inject(desk, kind, 60.0), await inject(desk, kind, 60.0)
        assert (await desk.call("DELETE", f"/v1/faults/{one['id']}")).status == 200
        await asyncio.sleep(0.1)
        assert await seen(desk) == {kind}
        assert (await desk.call("DELETE", f"/v1/faults/{one['id']}")).status in (404, 503), kind
        assert (await desk.call("DELETE", f"/v1/faults/{two['id']}")).status == 200
        await asyncio.sleep(0.1)
        assert await seen(desk) == set(), kind


async def test_two_freezes_with_leases_of_4_and_14_s_last_14_s(desk: Desk) -> None:
    await inject(desk, "freeze", 4.0)
    await inject(desk, "freeze", 13.9)  # injected a tenth of a second later
    began = desk.now() - 0.2
    assert (await desk.get(f"{BASE}/healthz")).status == 200
    assert desk.now() - began == pytest.approx(14.0, abs=1e-6)


async def test_a_repair_does_not_revive_what_a_fault_keeps_down(desk: Desk) -> None:
    fault = await inject(desk, "crash", 10.0)
    reply = await desk.call("POST", "/v1/operations/repair", {"instance": NAME})
    assert reply.status == 200
    assert reply.json() == {"instance": NAME, "state": "down", "unmet": [f"{NAME}: crash {fault['id']} goes on"]}
    assert await seen(desk) == {"crash"}
    await asyncio.sleep(10.0)
    assert await seen(desk) == set()
    repaired = await desk.call("POST", "/v1/operations/repair", {"instance": NAME})
    assert repaired.json() == {"instance": NAME, "state": "restarted", "unmet": []}
    assert await seen(desk) == set()


async def test_a_repair_revives_an_instance_that_no_fault_keeps_down(desk: Desk) -> None:
    await desk.testbed.runtime.kill(NAME)
    assert (await desk.call("POST", "/v1/operations/repair", {"instance": NAME})).json()["state"] == "restarted"
    assert await seen(desk) == set()


async def test_a_repaired_node_is_frozen_again_while_the_fault_lasts(desk: Desk) -> None:
    fault = await inject(desk, "freeze", 10.0)
    reply = await desk.call("POST", "/v1/operations/repair", {"instance": NAME})
    assert reply.json()["unmet"] == [f"{NAME}: freeze {fault['id']} goes on"]
    assert await seen(desk) == {"freeze"}
    await asyncio.sleep(10.0)
    assert await seen(desk) == set()


async def test_a_fault_on_a_group_reports_its_dead_member_and_affects_the_others(desk: Desk) -> None:
    await desk.testbed.runtime.kill("blobstore-westus")
    body = {"kind": "freeze", "target": {"service": "blobstore"}, "lease_s": 10}
    reply = await desk.call("POST", "/v1/faults", body)
    assert reply.status == 201
    document = reply.json()
    assert document["unmet"] == ["blobstore-westus: is not running"]
    assert (document["effects"], document["instances"]) == (1, ["blobstore-eastus", "blobstore-westus"])
    assert (await desk.call("GET", f"/v1/faults/{document['id']}")).json()["unmet"] == document["unmet"]
    assert await seen(desk) == {"freeze"}
    await asyncio.sleep(10.0)
    assert await seen(desk) == set()
    assert (await desk.get("http://blobstore-westus:8080/healthz")).failure == "refused", "no fault of ours killed it"


async def test_killing_a_dead_and_reviving_a_live_instance_are_not_errors(desk: Desk) -> None:
    runtime = desk.testbed.runtime
    await runtime.revive(NAME)
    assert await seen(desk) == set()
    await runtime.kill(NAME)
    await runtime.kill(NAME)
    await runtime.resume(NAME)
    with pytest.raises(InstanceDown, match=f"{NAME}: is not running"):
        await runtime.pause(NAME)
    await runtime.revive(NAME)
    await runtime.revive(NAME)
    assert await seen(desk) == set()


@pytest.mark.parametrize("kind", ["crash", "freeze", "partition", "latency"])
async def test_a_fault_on_a_node_that_a_scale_in_removes_concerns_no_later_node(desk: Desk, kind: str) -> None:
    node = "identity-eastus-2"
    await desk.call("POST", "/v1/operations/scale", {"region": "eastus", "count": 1})
    fault = await inject(desk, kind, 10.0, node)
    assert fault["instances"] == [node]
    assert (await desk.call("POST", "/v1/operations/scale", {"region": "eastus", "count": -1})).json()["nodes"] == [
        node
    ]
    added = await desk.call("POST", "/v1/operations/scale", {"region": "eastus", "count": 1})
    assert added.json()["nodes"] == [node], "the number is free again"
    if CATALOGUE[kind].level == "instance":
        shown = (await desk.call("GET", f"/v1/faults/{fault['id']}")).json()
        assert (shown["instances"], shown["unmet"]) == ([], [f"{node}: was removed"])
    else:
        assert await listed(desk) == []
    assert await answers(peers_look(desk, f"http://{node}:8080"), 0.5), "the later node is as it was added"
    assert (await desk.call("POST", "/v1/operations/repair", {"instance": node})).json()["state"] == "restarted"
    await asyncio.sleep(11.0)
    assert (await desk.get(f"http://{node}:8080/readyz")).status == 200
    assert await listed(desk) == []


async def test_a_fault_of_another_process_on_the_testbed_counts_too(desk: Desk) -> None:
    """A run beside the controller: each has its own memory, and the store is what they share."""
    other = FaultLeases(
        desk.testbed.runtime, desk.testbed.events, desk.testbed.env.streams["other"], desk.testbed.env.background
    )
    await inject(desk, "freeze", 10.0)
    theirs = await other.start(FaultSpec(kind="freeze", target=FaultTarget(instance=NAME), lease_s=30.0))
    await asyncio.sleep(12.0)
    assert await seen(desk) == {"freeze"}
    assert (await desk.call("DELETE", f"/v1/faults/{theirs.id}")).status == 200, "and either may end it"
    assert await seen(desk) == set()
    await asyncio.sleep(30.0)
    assert [event["id"] for event in desk.testbed.feed.history if event["kind"] == "fault_ended"] == ["f1", "f2"]
    await other.close()


async def test_the_faults_of_a_run_that_was_killed_end_with_their_leases(desk: Desk) -> None:
    """The controller takes them over when the lease of the run is over; nobody else would end them."""
    testbed = desk.testbed
    killed = FaultLeases(testbed.runtime, testbed.events, testbed.env.streams["killed"], testbed.env.background)
    await testbed.runtime.store.set(KEY, "elsewhere/1/1", ex=LEASE_S)
    await killed.start(FaultSpec(kind="freeze", target=FaultTarget(instance=NAME), lease_s=20.0))
    await killed.close()
    await asyncio.sleep(19.5)
    assert await seen(desk) == {"freeze"}
    await asyncio.sleep(1.0)
    assert await seen(desk) == set()
    assert await listed(desk) == []
    assert [event["why"] for event in testbed.feed.history if event["kind"] == "fault_ended"] == ["lease"]


@pytest.mark.parametrize("lost", ["deleted", "lowered"])
async def test_an_id_is_that_of_one_fault_although_the_sequence_was_lost(desk: Desk, lost: str) -> None:
    testbed = desk.testbed
    store = testbed.runtime.store
    ids = [(await inject(desk, kind, 60.0))["id"] for kind in ("latency", "freeze")]
    await (store.delete(SEQUENCE_KEY) if lost == "deleted" else store.set(SEQUENCE_KEY, 0))
    other = FaultLeases(testbed.runtime, testbed.events, testbed.env.streams["other"], testbed.env.background)
    for kind in ("freeze", "latency"):
        target, parameters = FaultTarget(instance=NAME), PARAMETERS.get(kind, {})
        ids.append((await other.start(FaultSpec(kind=kind, target=target, parameters=parameters, lease_s=60.0))).id)
    assert ids == ["f1", "f2", "f3", "f4"]
    assert [fault.id for fault in await other.active()] == ids
    await other.close()


async def test_a_record_under_the_key_of_another_fault_is_none(desk: Desk) -> None:
    store = desk.testbed.runtime.store
    for kind, prefix in (("latency", Keys.FAULT_PREFIX), ("freeze", INSTANCE_PREFIX)):
        fault = await inject(desk, kind, 60.0)
        await store.set(f"{prefix}f99", await store.get(prefix + fault["id"]) or b"")
        assert await listed(desk) == [kind]
        assert (await desk.call("DELETE", f"/v1/faults/{fault['id']}")).status == 200
        await store.delete(f"{prefix}f99")


class Limits:
    """A runtime as far as limits of processors are concerned."""

    name = "compose"
    started = None

    def __init__(self, desk: Desk) -> None:
        self.clock, self.store = desk.testbed.runtime.clock, desk.testbed.runtime.store
        self.instances = desk.testbed.runtime.instances
        self.said: list[float | None] = []

    async def cpu_limit(self, _name: str, cpus: float | None) -> None:
        self.said.append(cpus)


async def test_of_several_cpu_limits_the_lowest_counts(desk: Desk) -> None:
    runtime: Any = Limits(desk)
    faults = FaultLeases(runtime, desk.testbed.events, desk.testbed.env.streams["limits"], desk.testbed.env.background)
    target = FaultTarget(instance=NAME)
    for cpus, lease_s in ((0.5, 10.0), (0.1, 4.0), (0.3, 8.0)):
        await faults.start(FaultSpec(kind="cpu_limit", target=target, parameters={"cpus": cpus}, lease_s=lease_s))
    await asyncio.sleep(11.0)
    assert runtime.said == [0.5, 0.1, 0.1, 0.3, 0.5, None]
    await faults.close()
