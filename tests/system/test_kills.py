"""SIGKILL of one process at a time under load: the testbed recovers and no accepted operation is lost.

The signal is sent to the process, as the kernel's out-of-memory killer does, and not by `docker kill`: the engine takes
that for a wish and would leave the container down. Accepted is what was answered with a URL to poll; each of these
must lead to an end, and so must every operation of the users that was in the store before the kill. One at a time, in a
region far from saturation, each victim is shown to heal by itself; then random ones die in mid-incident.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from redis.exceptions import RedisError

from chaos.kills.drill import Drill
from chaos.kills.orders import TERMINAL, Orders, operations
from compose.render import stack
from tests.system.system_desk import Desk, eventually
from tests.system.system_testbed import Stack

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]
REGION = "northeurope"
HEALED_S = 30.0
ENDED_S = 45.0
ORDER_EVERY_S = 0.4
BEFORE_S, AFTER_S = 1.5, 1.5
RESET_S = 60.0


@pytest.fixture
async def customer(desk: Desk, request: pytest.FixtureRequest) -> Orders:
    return Orders(desk.runtime, f"kill-{request.node.callspec.params['victim']}", [REGION], ORDER_EVERY_S)


@asynccontextmanager
async def ordering(customer: Orders) -> AsyncIterator[None]:
    """Orders come until the block ends."""
    orders = asyncio.create_task(customer.order_for_ever())
    try:
        yield
    finally:
        orders.cancel()
        await asyncio.gather(orders, return_exceptions=True)


VICTIMS = (
    f"blobstore-{REGION}",
    f"provisioner-{REGION}",
    f"router-{REGION}",
    f"identity-{REGION}-1",
    "loadgen",
    "redis",
    "controller",
)


@pytest.mark.parametrize("victim", VICTIMS)
async def test_the_testbed_heals_and_every_accepted_operation_ends(
    testbed: Stack, desk: Desk, customer: Orders, victim: str
) -> None:
    async def healed() -> bool:
        return (
            await asyncio.to_thread(testbed.restarts, victim) == restarts + 1
            and await desk.answers()
            and await desk.all_ready()
            and await users_come(desk)
        )

    restarts = testbed.restarts(victim)
    async with ordering(customer):
        await asyncio.sleep(BEFORE_S)
        known = set(await operations(desk.runtime))
        await asyncio.to_thread(testbed.kill_process, victim)
        took_s = await eventually(healed, within_s=HEALED_S, what=f"healthy again after SIGKILL of {victim}")
        await asyncio.sleep(AFTER_S)
    print(f"{victim}: healed after {took_s:.1f} s; {len(customer.accepted)} accepted, {customer.refused} refused")
    assert len(customer.accepted) >= 5
    await _all_end(desk, customer, known)


async def users_come(desk: Desk) -> bool:
    reply = await desk.ask("loadgen", "/admin/load")
    return reply.ok and bool(reply.json()["running"])


DRILL_KILLS, DRILL_SEED = 8, 1


async def test_random_kills_in_mid_incident_break_no_promise(testbed: Stack, desk: Desk) -> None:
    """A short `make kills`: every container heals, every accepted operation ends, every fault is over, no orphan."""
    rounds = await Drill(desk, DRILL_SEED, print).run(DRILL_KILLS)
    assert sum(len(one.kills) for one in rounds) == DRILL_KILLS
    assert [kill for one in rounds for kill in one.kills if kill.healed_s is None] == []
    assert [one for one in rounds if one.broken] == []
    assert sum(one.operations for one in rounds) > 100
    assert sum(one.orders for one in rounds) > 10


async def _all_end(desk: Desk, customer: Orders, known: set[str]) -> None:
    open_orders: list[str] = ["not looked at yet"]

    async def ended() -> bool:
        nonlocal open_orders
        try:
            states = await operations(desk.runtime)
        except (RedisError, OSError):  # this test's own connection died with Redis
            return False
        assert known <= set(states), "an accepted operation is gone from the store"
        open_orders = [f"{key} {states[key]}" for key in known if states[key] not in TERMINAL]
        open_orders += [f"{machine} {status}" for machine, status in (await customer.open()).items()]
        return not open_orders

    try:
        await eventually(ended, within_s=ENDED_S, what="every accepted operation ends")
    except AssertionError as error:
        raise AssertionError(f"{error}; {len(open_orders)} open: {open_orders[:10]}") from None


async def test_faults_outlive_the_controller_and_still_expire(testbed: Stack, desk: Desk) -> None:
    """Killed in mid-fault it comes back, undoes what is overdue, and takes over what is not."""
    lease_s = 3.0
    started = asyncio.get_running_loop().time()
    short = {
        "freeze": ("router-northeurope", {}),
        "cpu_limit": ("identity-northeurope-1", {"cpus": 0.5}),
        "partition": ("blobstore-northeurope", {"peer": "redis"}),
    }
    for kind, (victim, parameters) in short.items():
        await desk.inject(kind, {"instance": victim}, lease_s, parameters=parameters)
    kept = await desk.inject("freeze", {"instance": "router-centraluseuap"}, 120.0)
    await asyncio.to_thread(testbed.kill_process, "controller")
    await eventually(desk.answers, within_s=HEALED_S, what="the controller is back")
    back_s = asyncio.get_running_loop().time() - started
    assert [fault["id"] for fault in (await desk.done("GET", "/v1/faults"))["faults"] if fault["id"] == kept] == [kept]
    assert (await desk.ask("router-centraluseuap", timeout_s=0.7)).failure == "timeout", "its lease still runs"

    async def undone() -> bool:
        quota = await asyncio.to_thread(testbed.inspect, "identity-northeurope-1", "{{.HostConfig.CpuQuota}}")
        ready = await asyncio.gather(desk.ready("router-northeurope"), desk.ready("blobstore-northeurope"))
        return int(quota) <= 0 and all(ready)

    took_s = await eventually(undone, within_s=max(0.0, lease_s - back_s) + 3.0, what="overdue faults are undone")
    print(f"controller back {back_s:.1f} s after the first fault; overdue faults undone {took_s:.1f} s later")
    await desk.done("DELETE", f"/v1/faults/{kept}")
    assert await desk.ready("router-centraluseuap")


async def test_reset_returns_to_calm_from_any_state(testbed: Stack, desk: Desk) -> None:
    """Everything at once: the dead, the frozen, a stalled store, private accounts, drained traffic, an added node."""
    await desk.done("PUT", "/v1/anonymous-access", {"enabled": False})
    await desk.done("PUT", "/v1/regions/eastus/traffic", {"mode": "drain"})
    await desk.done("PUT", "/v1/mitigations/R7", {"on": True})
    await desk.done("POST", "/v1/operations/scale", {"region": "northeurope", "count": 1})
    await desk.inject("freeze", {"instance": "identity-westus-1"}, 600.0)
    await desk.inject("http_error", {"service": "router"}, 600.0, parameters={"status": 500})
    for name in ("loadgen", "provisioner-eastus", "blobstore-westus"):
        await desk.runtime.kill(name)
    await desk.inject("redis_stall", {}, 600.0)
    done = await desk.done("POST", "/v1/reset")
    print(f"reset from everything at once: {done}")
    await desk.runtime.refresh()
    assert {spec.name for spec in desk.runtime.instances()} == {spec.name for spec in stack().instances()}
    assert await desk.all_ready()
    assert await users_come(desk)
    status = await desk.done("GET", "/v1/status")
    assert (status["faults"], status["mitigations"], status["run"]) == ([], [], None)
    assert {(region["traffic"], region["exempt_private"]) for region in status["regions"]} == {("open", 0)}
    assert done["faults_ended"] == 3
    assert done["took_s"] < RESET_S
