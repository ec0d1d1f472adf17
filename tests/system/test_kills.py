"""SIGKILL during the incident: the testbed heals and no accepted operation is lost; faults outlive their controller.

The signal is sent to the process, as the out-of-memory killer of the kernel does, and not by `docker kill`: the engine
counts that as a wish and would leave the container down.
"""

import asyncio

import pytest

from chaos.kills.drill import Drill
from compose.render import stack
from compose.run_lease import RunLease
from compose.runtime import RuntimeUnavailable
from services.chassis.background import Background
from tests.system.system_desk import Desk
from tests.system.system_testbed import Stack
from tests.words.operator import eventually

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]
HEALED_S = 30.0
RESET_S = 60.0
VICTIMS = (
    "provisioner-eastus",
    "redis",
    "blobstore-eastus",
    "identity-eastus-1",
    "router-westus",
    "loadgen",
    "prometheus",
    "alertmanager",
)
"""One of each service; the controller is the last of a round. Two random ones die between them."""
DRILL_KILLS, DRILL_SEED = len(VICTIMS) + 3, 1


async def users_come(desk: Desk) -> bool:
    reply = await desk.ask("loadgen", "/admin/load")
    return reply.ok and bool(reply.json()["running"])


async def test_random_kills_in_mid_incident_break_no_promise(testbed: Stack, desk: Desk) -> None:
    """A short `make kills`: every container heals, every accepted operation ends, every fault is over, no orphan."""
    rounds = await Drill(desk, DRILL_SEED, print, VICTIMS).run(DRILL_KILLS)
    assert sum(len(one.kills) for one in rounds) == DRILL_KILLS
    assert [kill for one in rounds for kill in one.kills if kill.healed_s is None] == []
    assert [one for one in rounds if one.broken] == []
    assert sum(one.operations for one in rounds) > 100
    assert sum(one.orders for one in rounds) > 10


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
    await desk.runtime.engine.kill_process(await desk.runtime.engine.find("controller"))
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


async def test_reset_returns_to_calm_from_any_state(testbed: Stack, desk: Desk, background: Background) -> None:
    """Everything at once: the dead, the frozen, a stalled store, private accounts, drained traffic, an added node.

    And a run of another process: it is named, not run over by another, and ends.
    """
    await desk.done("PUT", "/v1/anonymous-access", {"enabled": False})
    await desk.done("PUT", "/v1/regions/eastus/traffic", {"mode": "drain"})
    await desk.done("PUT", "/v1/mitigations/R7", {"on": True})
    await desk.done("POST", "/v1/operations/scale", {"region": "northeurope", "count": 1})
    other = RunLease(desk.runtime.store, background)
    await other.acquire()
    await eventually(desk.shows_other_run, within_s=5.0, what="the banner names the other run")
    assert (await desk.chaos("POST", "/v1/runs", {"scenario": "calm-day"})).status == 409
    await desk.inject("freeze", {"instance": "identity-westus-1"}, 600.0)
    await desk.inject("http_error", {"service": "router"}, 600.0, parameters={"status": 500})
    for name in ("loadgen", "provisioner-eastus", "blobstore-westus"):
        await desk.runtime.kill(name)
    await desk.inject("partition", {"instance": "router-eastus"}, 600.0, parameters={"peer": "redis"})
    await desk.runtime.store.set("left-over", 1)
    await desk.inject("redis_stall", {}, 600.0)
    done = await desk.done("POST", "/v1/reset")
    print(f"reset from everything at once: {done}")
    with pytest.raises(RuntimeUnavailable, match="the testbed was reset"):
        await asyncio.wait_for(other.until_lost(), timeout=1.0)
    assert not await desk.shows_other_run()
    await desk.runtime.refresh()
    assert {spec.name for spec in desk.runtime.instances()} == {spec.name for spec in stack().instances()}
    assert await desk.all_ready()
    assert await users_come(desk)
    status = await desk.done("GET", "/v1/status")
    assert (status["faults"], status["mitigations"], status["run"]) == ([], [], None)
    assert {(region["traffic"], region["exempt_private"]) for region in status["regions"]} == {("open", 0)}
    assert done["faults_ended"] == 4
    assert not await desk.runtime.store.exists("left-over")
    assert done["took_s"] < RESET_S
