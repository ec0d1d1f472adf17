"""An accepted operation: its steps, their times, and the retries of a blocked job."""

import asyncio

import pytest

from compose.virtual.world import VirtualWorld
from tests.contract.provisioner_bench import RUNNER, SCRIPT, Bench


async def test_a_machine_is_ready_after_allocation_and_three_identity_calls(world: VirtualWorld) -> None:
    bench = await Bench(world).open()
    reply = await bench.put_machine("vm1")
    assert reply.status == 201
    await bench.end(reply)

    job = (await bench.operation(reply))["name"]
    (finished,) = bench.finished(job)
    assert bench.at(finished) == 0.8  # 0.5 allocation + 3 × 0.1 identity
    assert finished | {"at": 0, "source": ""} == {
        "at": 0,
        "source": "",
        "kind": "job_finished",
        "job": job,
        "operation": "vm_create",
        "tenant": "github-actions",
        "region": "eastus",
        "result": "succeeded",
        "code": "",
        "age_s": 0.8,
        "tries": 1,
    }
    path = "/vmextmieastus/packages/GitHub.Actions.LargerRunner/1.0/package.zip"
    assert bench.storage.reads == [(0.5, path, False)]
    assert [call[1:] for call in bench.identity.calls] == [
        ("PUT", "vm-rg-vm1"),
        ("GET", "https://management.azure.com/"),
        ("GET", "https://storage.azure.com/"),
    ]
    assert not any(bench.identity.backlog)


async def test_a_blocked_job_returns_exactly_ten_seconds_later_until_it_gets_through(world: VirtualWorld) -> None:
    bench = await Bench(world).open()
    bench.storage.closed = {"vmextmieastus"}
    reply = await bench.put_machine("vm1")
    await asyncio.sleep(25.0)
    assert [time for time, _, _ in bench.storage.reads] == [0.5, 10.5, 20.5]
    assert bench.metric("provisioner_jobs", tenant="github-actions", state="blocked") == 1.0
    assert bench.metric("provisioner_oldest_job_age_seconds") == 25.0
    assert bench.metric("provisioner_extension_errors_total", code="VMExtensionProvisioningError") == 3.0

    bench.storage.closed = set()
    await bench.end(reply)
    (finished,) = bench.of_kind("job_finished")
    assert (bench.at(finished), finished["tries"], finished["result"]) == (30.8, 4, "succeeded")
    assert bench.metric("provisioner_job_tries_total", result="blocked") == 3.0
    assert bench.metric("provisioner_job_tries_total", result="done") == 1.0
    assert bench.metric("provisioner_jobs", state="blocked") == 0.0
    assert all(bench.identity.backlog), "a job that was blocked says so to the identity service"


async def test_allocation_happens_once_and_the_failing_identity_step_is_where_it_resumes(world: VirtualWorld) -> None:
    bench = await Bench(world).open()
    bench.identity.down = True
    reply = await bench.put_machine("vm1")
    await asyncio.sleep(5.0)
    bench.identity.down = False
    await bench.end(reply)
    (finished,) = bench.of_kind("job_finished")
    assert bench.at(finished) == 10.9  # 0.6 first failure + 10 + 3 × 0.1
    assert len(bench.storage.reads) == 1
    assert bench.metric("provisioner_job_tries_total", result="identity_failed") == 1.0


async def test_a_scale_set_fetches_every_extension_of_its_profile_and_wraps_their_failure(world: VirtualWorld) -> None:
    bench = await Bench(world).open(max_tries=1)
    bench.storage.closed = {"vmextlinuxeastus"}
    publisher, _, type_ = SCRIPT.partition("/")
    extension = {"name": "enableagent", "properties": {"publisher": publisher, "type": type_}}
    body = {
        "location": "East US",
        "sku": {"name": "Standard_D2s_v3", "capacity": 3},
        "tags": {"aftershock-extension": RUNNER},
        "properties": {"virtualMachineProfile": {"extensionProfile": {"extensions": [extension]}}},
    }
    failed = await bench.end(await bench.call("PUT", "virtualMachineScaleSets/agents", body))
    assert [path.split("/")[3] for _, path, _ in bench.storage.reads] == [
        "GitHub.Actions.LargerRunner",
        "Microsoft.Azure.Extensions.CustomScript",
    ]
    assert failed["status"] == "Failed"
    assert failed["error"] == {
        "code": "ResourceOperationFailure",
        "message": "The resource operation completed with terminal provisioning state 'Failed'.",
        "details": [
            {
                "code": "VMExtensionProvisioningError",
                "message": "VM has reported a failure when processing extension 'enableagent' (publisher "
                "'Microsoft.Azure.Extensions' and type 'CustomScript'). Error message: 'The Extension failed to "
                "execute: HTTP Error 409: Public access is not permitted on this storage account.'.",
            }
        ],
    }
    assert (await bench.call("GET", "virtualMachineScaleSets/agents")).json()["properties"]["provisioningState"] == (
        "Failed"
    )


async def test_scaling_out_fetches_again_and_scaling_in_does_not(world: VirtualWorld) -> None:
    bench = await Bench(world).open()
    tags = {"aftershock-extension": RUNNER}
    body = {"location": "eastus", "sku": {"name": "Standard_D2s_v3", "capacity": 1}, "tags": tags}
    await bench.end(await bench.call("PUT", "virtualMachineScaleSets/agents", body))
    await bench.end(await bench.call("PATCH", "virtualMachineScaleSets/agents", {"sku": {"capacity": 5}}))
    assert (len(bench.storage.reads), len(bench.identity.calls)) == (2, 6)
    view = (await bench.call("GET", "virtualMachineScaleSets/agents/instanceView")).json()
    assert view["virtualMachine"]["statusesSummary"] == [{"code": "ProvisioningState/succeeded", "count": 5}]
    await bench.end(await bench.call("PUT", "virtualMachineScaleSets/agents", body))
    assert (len(bench.storage.reads), len(bench.identity.calls)) == (2, 6)
    kinds = [event["operation"] for event in bench.of_kind("job_finished")]
    assert kinds == ["vmss_create", "vmss_scale_out", "vmss_scale_in"]


async def test_a_delete_cancels_what_is_blocked_at_once_and_needs_no_identity_call(world: VirtualWorld) -> None:
    bench = await Bench(world).open()
    bench.storage.closed = {"vmextmieastus"}
    creation = await bench.put_machine("vm1")
    await asyncio.sleep(2.0)
    deletion = await bench.call("DELETE", "virtualMachines/vm1")
    assert deletion.status == 202
    assert (await bench.operation(creation))["status"] == "Canceled"
    await bench.end(deletion)
    create, delete = bench.of_kind("job_finished")
    assert (create["operation"], create["result"], bench.at(create)) == ("vm_create", "canceled", 2.0)
    assert (delete["operation"], delete["result"], bench.at(delete)) == ("vm_delete", "succeeded", 2.2)
    assert bench.identity.calls == []
    assert (await bench.call("GET", "virtualMachines/vm1")).status == 404
    await asyncio.sleep(30.0)
    assert len(bench.storage.reads) == 1, "the cancelled job never comes back"


async def test_a_delete_waits_for_the_step_under_way_so_that_no_identity_is_left_behind(world: VirtualWorld) -> None:
    bench = await Bench(world).open()
    bench.identity.delay_s = 3.0
    creation = await bench.put_machine("vm1")
    await asyncio.sleep(1.0)  # the identity is being assigned, until 3.5
    deletion = await bench.call("DELETE", "virtualMachines/vm1")
    assert (await bench.operation(creation))["status"] == "Canceled"
    await bench.end(deletion)
    assert [(time, method) for time, method, _ in bench.identity.calls] == [(0.5, "PUT"), (3.7, "DELETE")]
    assert bench.identity.identities == set()


async def test_deleting_a_machine_cancels_its_extensions(world: VirtualWorld) -> None:
    bench = await Bench(world).open()
    await bench.end(await bench.put_machine("vm1"))
    bench.storage.closed = {"vmextlinuxeastus"}
    extension = await bench.put_extension("vm1", "script")
    await asyncio.sleep(1.0)
    deletion = await bench.call("DELETE", "virtualMachines/vm1")
    assert (await bench.operation(extension))["status"] == "Canceled"
    await bench.end(deletion)
    assert (await bench.call("GET", "virtualMachines/vm1/extensions/script")).status == 404
    assert await bench.redis_names() == ["compute:eastus:operations", "compute:eastus:queue"]


async def test_no_more_jobs_run_than_there_are_slots_and_blocked_ones_hold_none(world: VirtualWorld) -> None:
    bench = await Bench(world).open(slots=3)
    bench.storage.closed = {"vmextlinuxeastus"}
    for number in range(4):
        await bench.put_machine(f"blocked{number}", package=SCRIPT)
    for number in range(7):
        await bench.put_machine(f"vm{number}")
    running = []
    while len(bench.of_kind("job_finished")) < 7:
        running.append(bench.metric("provisioner_jobs", state="running"))
        await asyncio.sleep(0.1)
    assert max(running) == 3.0
    ends = [bench.at(event) for event in bench.of_kind("job_finished")]
    # the blocked ones take 0.5 s of a slot each (three at 0, one at 0.5), the others 0.8 s
    assert ends == [1.3, 1.3, 1.8, 2.1, 2.1, 2.6, 2.9]
    assert bench.metric("provisioner_jobs", state="blocked") == 4.0


@pytest.mark.parametrize(("share", "end"), [(1.0, 23.0), (0.5, 15.5)])
async def test_fresh_jobs_overtake_the_backlog_when_it_may_use_only_part_of_the_slots(
    world: VirtualWorld, share: float, end: float
) -> None:
    bench = await Bench(world).open(slots=2, backlog_share_max=share)
    bench.storage.closed = {"vmextlinuxeastus"}
    bench.identity.delay_s = 1.0
    for number in range(6):
        await bench.put_machine(f"old{number}", package=SCRIPT)  # due in pairs at 10.5, 11.0 and 11.5
    await asyncio.sleep(9.0)
    bench.storage.closed = set()
    await asyncio.sleep(3.0)
    fresh = await bench.operation(await bench.put_machine("fresh"))
    await asyncio.sleep(20.0)
    (finished,) = bench.finished(fresh["name"])
    assert bench.at(finished) == end


async def test_paced_jobs_come_back_one_by_one(world: VirtualWorld) -> None:
    bench = await Bench(world).open(resume_rate_per_s=2.0)
    bench.storage.closed = {"vmextmieastus"}
    for number in range(4):
        await bench.put_machine(f"vm{number}")
    await asyncio.sleep(5.0)
    bench.storage.closed = set()
    await asyncio.sleep(10.0)
    assert [time for time, _, _ in bench.storage.reads[4:]] == [10.5, 11.0, 11.5, 12.0]


async def test_growing_requeue_delays(world: VirtualWorld) -> None:
    bench = await Bench(world).open(requeue_delay_s=5.0, requeue_multiplier=2.0, requeue_delay_max_s=15.0)
    bench.storage.closed = {"vmextmieastus"}
    await bench.put_machine("vm1")
    await asyncio.sleep(60.0)
    assert [time for time, _, _ in bench.storage.reads] == [0.5, 5.5, 15.5, 30.5, 45.5]


async def test_jittered_requeue_spreads_a_herd_and_repeats_with_the_seed(world: VirtualWorld) -> None:
    bench = await Bench(world).open(requeue_jitter=0.5)
    bench.storage.closed = {"vmextmieastus"}
    for number in range(20):
        await bench.put_machine(f"vm{number}")
    await asyncio.sleep(15.9)
    times = [time for time, _, _ in bench.storage.reads[20:]]
    assert len({round(time, 6) for time in times[:20]}) == 20
    assert 5.5 <= times[0] < times[19] <= 15.5


async def test_an_operation_that_takes_too_long_fails_with_azures_timeout(world: VirtualWorld) -> None:
    bench = await Bench(world).open(operation_timeout_s=25.0)
    bench.storage.closed = {"vmextmieastus"}
    reply = await bench.put_machine("vm1")
    failed = await bench.end(reply)
    assert failed["error"] == {
        "code": "VMExtensionProvisioningTimeout",
        "message": "Provisioning of VM extension LargerRunner has timed out. Extension provisioning has taken too long "
        "to complete.",
    }
    (finished,) = bench.of_kind("job_finished")
    assert (bench.at(finished), finished["result"], finished["tries"]) == (25.0, "failed", 3)


async def test_a_storage_that_is_down_or_sends_damaged_bytes_is_a_repository_error(world: VirtualWorld) -> None:
    bench = await Bench(world).open(max_tries=1)
    bench.storage.damaged = True
    damaged = await bench.end(await bench.put_machine("vm1"))
    bench.storage.down = True
    down = await bench.end(await bench.put_machine("vm2"))
    assert damaged["error"]["code"] == down["error"]["code"] == "VMArtifactRepositoryInternalError"
    assert damaged["error"]["message"].endswith("the package's Content-MD5 does not match its bytes")
    assert down["error"]["message"].endswith("HTTP status 503")


async def test_a_failed_machine_is_provisioned_again_by_the_same_put(world: VirtualWorld) -> None:
    bench = await Bench(world).open(max_tries=1)
    bench.identity.down = True
    failed = await bench.end(await bench.put_machine("vm1"))
    assert failed["error"]["code"] == "FailedIdentityOperation"
    bench.identity.down = False
    again = await bench.put_machine("vm1")
    assert again.status == 200
    assert (await bench.end(again))["status"] == "Succeeded"


async def test_the_mirror_is_read_only_after_the_account_refuses(world: VirtualWorld) -> None:
    bench = await Bench(world).open(artifact_fallback="mirror")
    await bench.end(await bench.put_machine("vm1"))
    bench.storage.closed = {"vmextmieastus"}
    await bench.end(await bench.put_machine("vm2"))
    accounts = [path.split("/")[1] for _, path, _ in bench.storage.reads]
    assert accounts == ["vmextmieastus", "vmextmieastus", "vmextwineastus"]


async def test_the_bearer_read_costs_one_token_for_all_jobs(world: VirtualWorld) -> None:
    bench = await Bench(world).open(artifact_fallback="bearer", identity_calls=0)
    bench.storage.closed = {"vmextmieastus"}
    await bench.put_machine("vm1")
    await bench.end(await bench.put_machine("vm2"))
    assert [bearer for _, _, bearer in bench.storage.reads] == [False, False, True, True]
    assert [call[1:] for call in bench.identity.calls] == [("GET", "https://storage.azure.com/")]


async def test_the_bearer_read_fails_with_the_identity_service(world: VirtualWorld) -> None:
    bench = await Bench(world).open(artifact_fallback="bearer", max_tries=1)
    bench.storage.closed = {"vmextmieastus"}
    bench.identity.down = True
    failed = await bench.end(await bench.put_machine("vm1"))
    assert failed["error"]["code"] == "VMExtensionProvisioningError"


async def test_a_machine_without_identity_makes_no_identity_call(world: VirtualWorld) -> None:
    bench = await Bench(world).open()
    await bench.end(await bench.put_machine("vm1", identity={"type": "None"}))
    await bench.end(await bench.call("DELETE", "virtualMachines/vm1"))
    assert bench.identity.calls == []


async def test_a_user_assigned_identity_outlives_the_machine(world: VirtualWorld) -> None:
    bench = await Bench(world).open()
    name = "/subscriptions/sub/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/shared"
    identity = {"type": "UserAssigned", "userAssignedIdentities": {name: {}}}
    await bench.end(await bench.put_machine("vm1", identity=identity))
    view = (await bench.call("GET", "virtualMachines/vm1")).json()
    assert view["identity"]["userAssignedIdentities"] == {
        name: {"principalId": "principal-shared", "clientId": "client-shared"}
    }
    await bench.end(await bench.call("DELETE", "virtualMachines/vm1"))
    assert bench.identity.identities == {"shared"}


async def test_an_identity_that_vanished_while_it_was_being_used_is_assigned_again(world: VirtualWorld) -> None:
    bench = await Bench(world).open()
    await bench.put_machine("vm1")
    await asyncio.sleep(0.65)
    bench.identity.identities.clear()  # somebody deletes it during the first token
    await asyncio.sleep(15.0)
    assert [method for _, method, _ in bench.identity.calls] == ["PUT", "GET", "PUT", "GET", "GET"]
    (finished,) = bench.of_kind("job_finished")
    assert (finished["result"], finished["tries"]) == ("succeeded", 2)


async def test_settings_that_change_while_jobs_are_blocked_apply_to_the_next_try(world: VirtualWorld) -> None:
    bench = await Bench(world).open()
    bench.storage.closed = {"vmextmieastus"}
    await bench.put_machine("vm1")
    await asyncio.sleep(1.0)
    await bench.overlay({"provisioner": {"requeue_delay_s": 2.0}})
    await asyncio.sleep(14.0)
    assert [time for time, _, _ in bench.storage.reads] == [0.5, 10.5, 12.5, 14.5]
    await bench.overlay({"provisioner": {"requeue_delay_s": -1.0}})
    (rejected,) = bench.of_kind("setting_rejected")
    assert rejected["error"] == "provisioner.requeue_delay_s: Input should be greater than 0 (got -1.0)"
