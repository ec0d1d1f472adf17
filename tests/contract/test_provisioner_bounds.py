"""What a provisioner keeps has a bound: finished operations, operations in progress, resources, tenants in metrics."""

import asyncio

import pytest

from compose.virtual.world import VirtualWorld
from services.provisioner import metrics
from tests.contract.provisioner_bench import SCRIPT, Bench

RETENTION_S, POLL_S = 60.0, 10.0


async def busy(bench: Bench, seconds: float) -> None:
    """Something new is accepted every two seconds: the queue never pauses for as long as `poll_s`."""
    for number in range(int(seconds / 2)):
        await bench.put_machine("vm1", tags={"number": str(number)})
        await asyncio.sleep(2.0)


async def stored(bench: Bench) -> int:
    assert bench.env is not None
    return int(await bench.env.store.hlen("compute:eastus:operations"))


async def test_operations_are_forgotten_while_work_never_pauses(world: VirtualWorld) -> None:
    bench = await Bench(world).open(operation_retention_s=RETENTION_S, poll_s=POLL_S)
    await busy(bench, 200.0)
    assert bench.provisioner is not None
    assert len(bench.provisioner.compute.operations) <= (RETENTION_S + POLL_S) / 2 + 1
    assert await stored(bench) == len(bench.provisioner.compute.operations)
    assert bench.metric("provisioner_operations_forgotten_total") == 100 - await stored(bench)


async def test_a_client_that_polls_finds_its_operation_for_the_whole_retention(world: VirtualWorld) -> None:
    bench = await Bench(world).open(operation_retention_s=RETENTION_S, poll_s=POLL_S)
    reply = await bench.put_machine("vm2")
    await bench.end(reply)
    await busy(bench, RETENTION_S - 2.0)
    assert (await bench.operation(reply))["status"] == "Succeeded"


async def test_forgotten_operations_leave_the_store_after_an_outage_too(world: VirtualWorld) -> None:
    bench = await Bench(world).open(operation_retention_s=RETENTION_S, poll_s=POLL_S)
    await busy(bench, 20.0)
    await asyncio.sleep(RETENTION_S - 20.0)
    world.redis.stall(40.0)
    await asyncio.sleep(100.0)
    assert bench.provisioner is not None
    assert (await stored(bench), len(bench.provisioner.compute.operations)) == (0, 0)


async def test_the_oldest_of_too_many_finished_operations_go_first(world: VirtualWorld) -> None:
    bench = await Bench(world).open(operations_max=3, poll_s=POLL_S)
    replies = []
    for number in range(5):
        replies.append(await bench.put_machine(f"vm{number}"))
        await bench.end(replies[-1])
    await asyncio.sleep(2 * POLL_S)
    found = [(await bench.call("GET", reply.headers["Azure-AsyncOperation"])).status for reply in replies]
    assert found == [404, 404, 200, 200, 200]


async def test_a_resource_beyond_the_quota_is_refused_until_one_is_deleted(world: VirtualWorld) -> None:
    bench = await Bench(world).open(resources_max=2)
    for name in ("vm1", "vm2"):
        await bench.end(await bench.put_machine(name))
    refused = await bench.put_machine("vm3")
    assert (refused.status, refused.json()["error"]["code"]) == (409, "QuotaExceeded")
    assert "eastus" in refused.json()["error"]["message"]
    assert (await bench.put_extension("vm1", "script")).status == 409
    assert (await bench.put_machine("vm1")).status == 200, "what exists may change"
    await asyncio.sleep(5.0)
    await bench.end(await bench.call("DELETE", "virtualMachines/vm2"))
    assert (await bench.put_machine("vm3")).status == 201


async def test_an_operation_beyond_the_limit_is_answered_with_retry_after(world: VirtualWorld) -> None:
    bench = await Bench(world).open(jobs_max=2)
    bench.storage.closed.add("vmextlinuxeastus")
    for name in ("vm1", "vm2"):
        await bench.put_machine(name, package=SCRIPT)
    refused = await bench.put_machine("vm3")
    assert (refused.status, refused.json()["error"]["code"]) == (429, "TooManyRequests")
    assert int(refused.headers["Retry-After"]) > 0
    bench.storage.closed.clear()
    await asyncio.sleep(30.0)
    assert (await bench.put_machine("vm3")).status == 201


async def test_simultaneous_requests_do_not_pass_the_limits_together(world: VirtualWorld) -> None:
    bench = await Bench(world).open(resources_max=5)
    replies = await asyncio.gather(*(bench.put_machine(f"vm{number}") for number in range(20)))
    assert sorted(reply.status for reply in replies) == [201] * 5 + [409] * 15


async def test_unknown_tenants_beyond_the_bound_share_one_metric_label(
    world: VirtualWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "TENANTS_MAX", 3)
    bench = await Bench(world).open()
    for number in range(10):
        await bench.put_machine(f"vm{number}", tags={"aftershock-tenant": f"made-up-{number}"})
    await asyncio.sleep(30.0)
    assert bench.provisioner is not None
    assert len(bench.provisioner.scheduler._metrics._tenants) <= 5
    assert bench.metric("provisioner_job_tries_total", tenant="other", result="done") >= 6
    assert sum(bench.metric("provisioner_jobs", tenant="other", state=state) for state in ("queued", "running")) == 0
