"""Every accepted operation reaches a terminal state, once, whatever is killed meanwhile."""

import asyncio

import pytest

from compose.virtual.world import VirtualWorld
from tests.contract.provisioner_bench import Bench

MOMENTS_S = (0.0, 0.2, 0.5, 0.55, 0.65, 0.75, 5.0, 10.55)


@pytest.mark.parametrize("moment_s", MOMENTS_S)
async def test_a_killed_provisioner_leaves_no_operation_behind(world: VirtualWorld, moment_s: float) -> None:
    """Accepted, allocating, fetching, blocked, in the middle of identity calls: the next process finishes the job."""
    bench = await Bench(world).open()
    bench.storage.closed = {"vmextlinuxeastus"}
    await bench.put_machine("vm1")
    await bench.put_machine("vm2", package="Microsoft.Azure.Extensions/CustomScript")
    await asyncio.sleep(moment_s)
    bench.kill()
    bench.storage.closed = set()
    await asyncio.sleep(3.0)
    await bench.start()
    await asyncio.sleep(30.0)
    for event in bench.of_kind("job_accepted"):
        (finished,) = bench.finished(event["job"])
        assert finished["result"] == "succeeded"
    for name in ("vm1", "vm2"):
        view = (await bench.call("GET", f"virtualMachines/{name}")).json()
        assert view["properties"]["provisioningState"] == "Succeeded"
    assert bench.identity.identities == {"vm-rg-vm1", "vm-rg-vm2"}
    assert await bench.queue() == []
    assert await bench.redis_names() == [
        "compute:eastus:operations",
        "compute:eastus:queue",
        "compute:eastus:resources",
    ]


async def test_a_blocked_job_keeps_its_due_time_its_step_and_its_tries_over_a_restart(world: VirtualWorld) -> None:
    bench = await Bench(world).open()
    bench.identity.down = True
    await bench.put_machine("vm1")
    await asyncio.sleep(2.0)  # blocked at 0.6 until 10.6
    bench.kill()
    bench.identity.down = False
    await asyncio.sleep(4.0)
    await bench.start()
    await asyncio.sleep(10.0)
    assert [time for time, _, _ in bench.storage.reads] == [0.5], "allocation and fetch are not repeated"
    (finished,) = bench.of_kind("job_finished")
    assert (bench.at(finished), finished["tries"]) == (10.9, 2)
    (resumed,) = bench.of_kind("jobs_resumed")
    assert resumed["jobs"] == 1


async def test_a_job_that_fell_due_during_an_outage_resumes_at_once(world: VirtualWorld) -> None:
    bench = await Bench(world).open()
    bench.storage.closed = {"vmextmieastus"}
    await bench.put_machine("vm1")
    await asyncio.sleep(2.0)
    bench.kill()
    await asyncio.sleep(60.0)
    await bench.start()
    await asyncio.sleep(1.0)
    assert [time for time, _, _ in bench.storage.reads] == [0.5, 62.0]


async def test_an_identity_whose_ids_were_not_recorded_is_asked_for_again(world: VirtualWorld) -> None:
    bench = await Bench(world).open()
    bench.identity.tokens_down = True
    await bench.put_machine("vm1", identity={"type": "SystemAssigned"})
    await asyncio.sleep(2.0)
    bench.kill()
    bench.identity.tokens_down = False
    await bench.start()
    await asyncio.sleep(15.0)
    assert [method for _, method, _ in bench.identity.calls] == ["PUT", "GET", "PUT", "GET", "GET"]
    view = (await bench.call("GET", "virtualMachines/vm1")).json()
    assert view["identity"] == {
        "type": "SystemAssigned",
        "principalId": "principal-vm-rg-vm1",
        "tenantId": "directory",
    }


async def test_an_identity_that_may_have_been_assigned_before_the_crash_is_deleted_with_the_machine(
    world: VirtualWorld,
) -> None:
    bench = await Bench(world).open()
    bench.identity.down = True
    await bench.put_machine("vm1")
    await asyncio.sleep(2.0)  # blocked in the assignment, until 10.6
    bench.kill()
    bench.identity.down = False
    await bench.start()
    await bench.end(await bench.call("DELETE", "virtualMachines/vm1"))
    assert [method for _, method, _ in bench.identity.calls] == ["PUT", "DELETE"]


async def test_a_stopped_provisioner_touches_no_job_again(world: VirtualWorld) -> None:
    bench = await Bench(world).open()
    bench.storage.closed = {"vmextmieastus"}
    await bench.put_machine("vm1")
    await asyncio.sleep(2.0)
    await bench.served.stop()
    await asyncio.sleep(30.0)
    assert len(bench.storage.reads) == 1


async def test_a_delete_wins_over_a_creation_that_ends_while_the_delete_is_being_recorded(world: VirtualWorld) -> None:
    bench = await Bench(world).open()
    creation = await bench.put_machine("vm1")
    await asyncio.sleep(0.75)  # the last token arrives at 0.8
    world.redis.delay_s = 0.3
    deletion = await bench.call("DELETE", "virtualMachines/vm1")
    await bench.end(deletion)
    world.redis.delay_s = 0.0
    assert (await bench.operation(creation))["status"] == "Canceled"
    assert [event["result"] for event in bench.of_kind("job_finished")] == ["canceled", "succeeded"]
    assert bench.identity.identities == set()
    bench.kill()
    await bench.start()
    assert (await bench.operation(creation))["status"] == "Canceled"
    assert (await bench.call("GET", "virtualMachines/vm1")).status == 404


@pytest.mark.parametrize("executed", [True, False])
@pytest.mark.parametrize("moment_s", [0.75, 0.2])
async def test_a_creation_goes_on_when_its_delete_was_answered_with_503(
    world: VirtualWorld, moment_s: float, executed: bool
) -> None:
    bench = await Bench(world).open()
    creation = await bench.put_machine("vm1")
    await asyncio.sleep(moment_s)
    bench.lose_next_transaction(executed=executed, after_s=0.4)
    assert (await bench.call("DELETE", "virtualMachines/vm1")).status == 503
    assert (await bench.end(creation))["status"] == "Succeeded"
    assert await bench.queue() == []
    bench.kill()
    await bench.start()
    await asyncio.sleep(15.0)
    view = (await bench.call("GET", "virtualMachines/vm1")).json()
    assert view["properties"]["provisioningState"] == "Succeeded"
    assert len(bench.of_kind("job_finished")) == 1


async def test_an_extension_stays_cancelled_when_the_delete_of_its_machine_fails(world: VirtualWorld) -> None:
    bench = await Bench(world).open()
    await bench.end(await bench.put_machine("vm1"))
    bench.storage.closed = {"vmextlinuxeastus"}
    await bench.put_extension("vm1", "script")
    await asyncio.sleep(1.0)
    bench.identity.down = True
    await bench.overlay({"provisioner": {"max_tries": 1}})
    failed = await bench.end(await bench.call("DELETE", "virtualMachines/vm1"))
    assert failed["error"]["code"] == "FailedIdentityOperation"
    bench.kill()
    await bench.start()
    extension = (await bench.call("GET", "virtualMachines/vm1/extensions/script")).json()
    assert extension["properties"]["provisioningState"] == "Canceled"
    bench.identity.down = False
    assert (await bench.end(await bench.call("DELETE", "virtualMachines/vm1")))["status"] == "Succeeded"


async def test_a_stop_with_grace_hands_the_jobs_over_too(world: VirtualWorld) -> None:
    bench = await Bench(world).open()
    await bench.put_machine("vm1")
    await asyncio.sleep(0.55)
    await bench.served.stop()
    await asyncio.sleep(1.0)
    assert bench.of_kind("job_finished") == []
    await bench.start()
    await asyncio.sleep(5.0)
    (finished,) = bench.of_kind("job_finished")
    assert finished["result"] == "succeeded"


async def test_finished_operations_and_resources_are_still_there_after_a_restart(world: VirtualWorld) -> None:
    bench = await Bench(world).open(max_tries=1)
    done = await bench.put_machine("vm1")
    await bench.end(done)
    bench.storage.closed = {"vmextmieastus"}
    failed = await bench.put_machine("vm2")
    before = [await bench.end(done), await bench.end(failed)]
    bench.kill()
    await bench.start(max_tries=1)
    assert [await bench.operation(done), await bench.operation(failed)] == before
    assert before[1]["error"]["code"] == "VMExtensionProvisioningError"
    states = [
        item["properties"]["provisioningState"] for item in (await bench.call("GET", "virtualMachines")).json()["value"]
    ]
    assert states == ["Succeeded", "Failed"]


async def test_a_cancelled_creation_stays_cancelled_when_the_process_dies_in_the_delete(world: VirtualWorld) -> None:
    bench = await Bench(world).open()
    bench.identity.delay_s = 2.0
    creation = await bench.put_machine("vm1")
    await asyncio.sleep(1.0)
    deletion = await bench.call("DELETE", "virtualMachines/vm1")
    bench.kill()
    await bench.start()
    assert (await bench.end(deletion))["status"] == "Succeeded"
    assert (await bench.operation(creation))["status"] == "Canceled"
    assert bench.identity.identities == set(), "the identity that was being assigned is deleted"
    assert (await bench.call("GET", "virtualMachines/vm1")).status == 404


async def test_no_acknowledgement_without_a_record(world: VirtualWorld) -> None:
    bench = await Bench(world).open()
    world.redis.stall(3.0)
    reply = await bench.put_machine("vm1")
    assert (reply.status, bench.now()) == (201, 3.0), "the answer waits for Redis"


async def test_jobs_continue_during_a_redis_outage_and_their_results_appear_after_it(world: VirtualWorld) -> None:
    bench = await Bench(world).open()
    reply = await bench.put_machine("vm1")
    world.redis.stall(5.0)
    await asyncio.sleep(2.0)
    assert (await bench.operation(reply))["status"] == "InProgress"
    await bench.end(reply)
    (finished,) = bench.of_kind("job_finished")
    assert (bench.at(finished), finished["age_s"]) == (5.0, 0.8)


async def test_everything_is_written_again_when_redis_comes_back_without_its_last_writes(world: VirtualWorld) -> None:
    bench = await Bench(world).open(poll_s=1.0)
    bench.storage.closed = {"vmextmieastus"}
    await bench.end(await bench.put_machine("old", package=""))
    before = await bench.snapshot()
    creation = await bench.put_machine("vm1")
    await asyncio.sleep(2.0)
    await bench.restore(before)  # an append-only file that lost its tail
    await asyncio.sleep(3.0)
    assert len(await bench.queue()) == 1
    bench.kill()
    bench.storage.closed = set()
    await bench.start()
    assert (await bench.end(creation))["status"] == "Succeeded"


async def test_a_job_whose_end_redis_forgot_is_not_done_again(world: VirtualWorld) -> None:
    bench = await Bench(world).open(poll_s=1.0)
    bench.storage.closed = {"vmextmieastus"}
    creation = await bench.put_machine("vm1")
    await asyncio.sleep(2.0)
    before = await bench.snapshot()
    bench.storage.closed = set()
    await bench.end(creation)
    await bench.restore(before)
    await asyncio.sleep(3.0)
    assert await bench.queue() == []
    calls = len(bench.identity.calls)
    bench.kill()
    await bench.start()
    await asyncio.sleep(30.0)
    assert (await bench.operation(creation))["status"] == "Succeeded"
    assert len(bench.identity.calls) == calls
    assert len(bench.of_kind("job_finished")) == 1


@pytest.mark.parametrize("executed", [True, False])
async def test_an_end_that_redis_did_not_confirm_is_written_again_and_reported_once(
    world: VirtualWorld, executed: bool
) -> None:
    bench = await Bench(world).open()
    creation = await bench.put_machine("vm1")
    bench.lose_next_transaction(executed=executed)
    assert (await bench.end(creation))["status"] == "Succeeded"
    (finished,) = bench.of_kind("job_finished")
    assert (bench.at(finished), finished["age_s"]) == (1.3, 0.8)  # done at 0.8, Redis back after 0.5
    assert await bench.queue() == []


async def test_a_machine_whose_deletion_redis_forgot_does_not_come_back(world: VirtualWorld) -> None:
    bench = await Bench(world).open(poll_s=1.0)
    await bench.end(await bench.put_machine("vm1"))
    before = await bench.snapshot()
    await bench.end(await bench.call("DELETE", "virtualMachines/vm1"))
    await bench.put_machine("vm2")
    await bench.restore(before)
    await asyncio.sleep(5.0)
    bench.kill()
    await bench.start()
    assert [item["name"] for item in (await bench.call("GET", "virtualMachines")).json()["value"]] == ["vm2"]


@pytest.mark.parametrize("executed", [True, False])
async def test_an_acceptance_whose_answer_was_lost_is_503_and_is_carried_out_only_if_redis_has_it(
    world: VirtualWorld, executed: bool
) -> None:
    bench = await Bench(world).open(poll_s=1.0)
    bench.lose_next_transaction(executed=executed)
    reply = await bench.put_machine("vm1")
    assert (reply.status, reply.headers["Retry-After"]) == (503, "15")
    await asyncio.sleep(5.0)
    machine = await bench.call("GET", "virtualMachines/vm1")
    assert machine.status == (200 if executed else 404)
    assert [event["result"] for event in bench.of_kind("job_finished")] == (["succeeded"] if executed else [])
    if executed:
        assert machine.json()["properties"]["provisioningState"] == "Succeeded"
    assert await bench.queue() == []


async def test_a_queue_entry_read_by_a_worker_that_lost_the_reply_is_delivered_by_the_audit(
    world: VirtualWorld,
) -> None:
    bench = await Bench(world).open(poll_s=2.0)
    bench.lose_next_reading()
    reply = await bench.put_machine("vm1")
    await asyncio.sleep(1.0)
    assert bench.storage.reads == []
    assert (await bench.end(reply))["status"] == "Succeeded"


async def test_queue_entries_without_a_job_are_removed(world: VirtualWorld) -> None:
    bench = await Bench(world).open()
    assert bench.env is not None
    await bench.env.store.xadd("compute:eastus:queue", {"job": "nobody"})
    await bench.env.store.xadd("compute:eastus:queue", {"other": "field"})
    await bench.end(await bench.put_machine("vm1"))
    assert await bench.queue() == []


async def test_a_hundred_operations_survive_kills_at_odd_moments(world: VirtualWorld) -> None:
    """The whole promise at once: creations, deletes and a flickering storage, five kills, one terminal state each."""
    bench = await Bench(world).open(slots=10)
    replies = []
    for number in range(100):
        reply = await bench.put_machine(f"vm{number}")
        replies.append(reply)
        if number % 10 == 7:
            replies.append(await bench.call("DELETE", f"virtualMachines/vm{number - 3}"))
        if number % 20 == 13:
            bench.storage.closed = {"vmextmieastus"} if number % 40 == 13 else set()
            bench.kill()
            await asyncio.sleep(0.3)
            await bench.start(slots=10)
        await asyncio.sleep(0.13)
    bench.storage.closed = set()
    await asyncio.sleep(60.0)
    ends = [(await bench.operation(reply))["status"] for reply in replies]
    assert len(replies) == 110
    assert "InProgress" not in ends
    for event in bench.of_kind("job_accepted"):
        assert len(bench.finished(event["job"])) == 1
    deleted = {f"vm{number - 3}" for number in range(100) if number % 10 == 7}
    names = {item["name"] for item in (await bench.call("GET", "virtualMachines")).json()["value"]}
    assert names == {f"vm{number}" for number in range(100)} - deleted
    assert bench.identity.identities == {f"vm-rg-{name}" for name in names}
    assert await bench.queue() == []
