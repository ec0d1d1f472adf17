"""The provisioner's API follows the conventions of Azure Resource Manager."""

import asyncio
import io
import json
from typing import Any

import pytest

from compose.virtual.world import VirtualWorld
from tests.contract.provisioner_bench import API, RUNNER, SCRIPT, Bench, error_of

MACHINE = "virtualMachines/vm1"
SET = "virtualMachineScaleSets/agents"
EXTENSION = "virtualMachines/vm1/extensions/script"
OPERATIONS = "/subscriptions/sub/providers/Microsoft.Compute/locations/eastus/operations"


async def test_an_accepted_put_names_the_url_and_the_interval_of_polls(world: VirtualWorld) -> None:
    bench = await Bench(world).open()
    reply = await bench.put_machine("vm1")
    assert reply.status == 201
    url = reply.headers["Azure-AsyncOperation"]
    operation_id = url.rsplit("/", 1)[1].partition("?")[0]
    assert url == (
        f"{bench.base}/subscriptions/sub/providers/Microsoft.Compute/locations/eastus/operations/{operation_id}?{API}"
    )
    assert reply.headers["Retry-After"] == "15"
    assert reply.json()["properties"]["provisioningState"] == "Creating"
    polled = await bench.call("GET", url)
    assert polled.headers["Retry-After"] == "15"
    assert polled.json() == {
        "id": url.removeprefix(bench.base).partition("?")[0],
        "name": operation_id,
        "status": "InProgress",
        "startTime": "2026-02-02T18:03:00.000000+00:00",
        "percentComplete": 0.0,
    }
    await asyncio.sleep(1.0)
    done = await bench.call("GET", url)
    assert "Retry-After" not in done.headers
    assert done.json() == polled.json() | {
        "status": "Succeeded",
        "percentComplete": 100.0,
        "endTime": "2026-02-02T18:03:00.800000+00:00",
    }
    assert (await bench.call("GET", MACHINE)).json()["properties"]["provisioningState"] == "Succeeded"


async def test_the_location_protocol_uses_the_status_code(world: VirtualWorld) -> None:
    bench = await Bench(world).open()
    await bench.end(await bench.put_machine("vm1"))
    deletion = await bench.call("DELETE", MACHINE)
    location = deletion.headers["Location"]
    assert (await bench.call("GET", location)).status == 202
    await asyncio.sleep(5.0)
    assert (await bench.call("GET", location)).status == 204


async def test_the_second_put_is_an_update_with_200(world: VirtualWorld) -> None:
    bench = await Bench(world).open()
    await bench.end(await bench.put_machine("vm1"))
    reply = await bench.put_machine("vm1", properties={"hardwareProfile": {"vmSize": "Standard_D4s_v3"}})
    assert reply.status == 200
    assert "Azure-AsyncOperation" in reply.headers
    assert reply.json()["properties"]["provisioningState"] == "Updating"
    await bench.end(reply)
    assert (await bench.call("GET", MACHINE)).json()["properties"]["hardwareProfile"] == {"vmSize": "Standard_D4s_v3"}


async def test_a_patch_merges_and_replaces_tags_whole(world: VirtualWorld) -> None:
    bench = await Bench(world).open()
    await bench.end(await bench.put_machine("vm1", properties={"hardwareProfile": {"vmSize": "A"}, "licenseType": "x"}))
    patch = {"tags": {"team": "blue"}, "properties": {"hardwareProfile": {"vmSize": "B"}}}
    reply = await bench.call("PATCH", MACHINE, patch)
    assert reply.status == 200
    await bench.end(reply)
    view = (await bench.call("GET", MACHINE)).json()
    assert view["tags"] == {"team": "blue"}
    assert view["properties"]["hardwareProfile"] == {"vmSize": "B"}
    assert view["properties"]["licenseType"] == "x"


async def test_a_change_during_a_change_is_a_conflict(world: VirtualWorld) -> None:
    bench = await Bench(world).open()
    await bench.put_machine("vm1")
    for method, path, body in (
        ("PUT", MACHINE, {"location": "eastus"}),
        ("PATCH", MACHINE, {"tags": {}}),
        ("POST", f"{MACHINE}/restart", None),
        ("PUT", EXTENSION, extension()),
    ):
        reply = await bench.call(method, path, body)
        assert (reply.status, error_of(reply)["code"]) == (409, "Conflict"), (method, path)
    await asyncio.sleep(1.0)
    assert (await bench.call("POST", f"{MACHINE}/restart")).status == 202


async def test_two_requests_at_once_make_one_operation(world: VirtualWorld) -> None:
    bench = await Bench(world).open()
    replies = await asyncio.gather(*(asyncio.create_task(bench.put_machine("vm1")) for _ in range(3)))
    assert sorted(reply.status for reply in replies) == [201, 409, 409]
    await asyncio.sleep(1.0)
    assert len(bench.of_kind("job_accepted")) == 1


async def test_a_machine_is_not_deleted_under_an_extension_that_is_just_being_accepted(world: VirtualWorld) -> None:
    bench = await Bench(world).open()
    await bench.end(await bench.put_machine("vm1"))
    world.redis.delay_s = 0.3
    accepting = asyncio.create_task(bench.put_extension("vm1", "script"))
    await asyncio.sleep(0.1)
    assert (await bench.call("DELETE", MACHINE)).status == 409
    assert (await accepting).status == 201
    assert (await bench.call("DELETE", MACHINE)).status == 202


async def test_deleting_twice_is_one_operation_and_deleting_nothing_is_204(world: VirtualWorld) -> None:
    bench = await Bench(world).open()
    assert (await bench.call("DELETE", MACHINE)).status == 204
    await bench.end(await bench.put_machine("vm1"))
    first = await bench.call("DELETE", MACHINE)
    second = await bench.call("DELETE", MACHINE)
    assert first.headers["Azure-AsyncOperation"] == second.headers["Azure-AsyncOperation"]
    await bench.end(first)
    assert (await bench.call("DELETE", MACHINE)).status == 204
    assert len([event for event in bench.of_kind("job_finished") if event["operation"] == "vm_delete"]) == 1


@pytest.mark.parametrize(
    ("action", "power", "calls"),
    [
        ("powerOff", "stopped", ["GET"]),
        ("deallocate", "deallocated", ["GET"]),
        ("restart", "running", ["GET"]),
        ("start", "running", ["GET"]),
        ("reimage", "running", ["PUT", "GET", "GET"]),
    ],
)
async def test_lifecycle_operations(world: VirtualWorld, action: str, power: str, calls: list[str]) -> None:
    bench = await Bench(world).open()
    await bench.end(await bench.put_machine("vm1"))
    del bench.identity.calls[:], bench.storage.reads[:]
    reply = await bench.call("POST", f"{MACHINE}/{action}")
    assert (reply.status, reply.body) == (202, b"")
    assert (await bench.end(reply))["status"] == "Succeeded"
    assert [method for _, method, _ in bench.identity.calls] == calls
    assert len(bench.storage.reads) == (1 if action == "reimage" else 0)
    statuses = (await bench.call("GET", f"{MACHINE}/instanceView")).json()["statuses"]
    assert [status["code"] for status in statuses] == ["ProvisioningState/succeeded", f"PowerState/{power}"]


async def test_an_extension_shows_in_the_machines_instance_view(world: VirtualWorld) -> None:
    bench = await Bench(world).open(max_tries=1)
    await bench.end(await bench.put_machine("vm1"))
    await bench.end(await bench.put_extension("vm1", "script"))
    bench.storage.closed = {"vmextwineastus"}
    failed = await bench.end(await bench.put_extension("vm1", "windows", "Microsoft.Compute/CustomScriptExtension"))
    assert failed["error"] == {
        "code": "VMExtensionProvisioningError",
        "message": "VM has reported a failure when processing extension 'windows' (publisher 'Microsoft.Compute' and "
        "type 'CustomScriptExtension'). Error message: 'The Extension failed to execute: HTTP Error 409: Public access "
        "is not permitted on this storage account.'.",
    }
    view = (await bench.call("GET", f"{MACHINE}?$expand=instanceView&{API}")).json()
    extensions = view["properties"]["instanceView"]["extensions"]
    shown = [(item["name"], item["type"], item["statuses"][0]["code"]) for item in extensions]
    assert shown == [
        ("LargerRunner", "GitHub.Actions.LargerRunner", "ProvisioningState/succeeded"),
        ("script", "Microsoft.Azure.Extensions.CustomScript", "ProvisioningState/succeeded"),
        ("windows", "Microsoft.Compute.CustomScriptExtension", "ProvisioningState/failed"),
    ]
    assert extensions[2]["statuses"][0]["message"] == failed["error"]["message"]
    listed = (await bench.call("GET", f"{MACHINE}/extensions")).json()["value"]
    assert [(item["name"], item["properties"]["provisioningState"]) for item in listed] == [
        ("script", "Succeeded"),
        ("windows", "Failed"),
    ]


async def test_an_extension_under_update_says_so_in_the_instance_view(world: VirtualWorld) -> None:
    bench = await Bench(world).open()
    await bench.end(await bench.put_machine("vm1"))
    await bench.end(await bench.put_extension("vm1", "script"))
    bench.storage.closed = {"vmextlinuxeastus"}
    await bench.put_extension("vm1", "script", settings={"commandToExecute": "true"})
    await asyncio.sleep(1.0)
    view = (await bench.call("GET", f"{MACHINE}/instanceView")).json()
    assert view["extensions"][1]["statuses"][0]["code"] == "ProvisioningState/updating"


async def test_an_extension_inherits_its_machines_tenant(world: VirtualWorld) -> None:
    bench = await Bench(world).open()
    await bench.end(await bench.put_machine("vm1"))
    await bench.end(await bench.put_extension("vm1", "script"))
    assert [event["tenant"] for event in bench.of_kind("job_finished")] == ["github-actions", "github-actions"]


async def test_the_type_of_an_extension_cannot_change(world: VirtualWorld) -> None:
    bench = await Bench(world).open()
    await bench.end(await bench.put_machine("vm1"))
    await bench.end(await bench.put_extension("vm1", "script"))
    reply = await bench.put_extension("vm1", "script", RUNNER)
    assert (reply.status, error_of(reply)["code"]) == (409, "PropertyChangeNotAllowed")


async def test_secrets_are_neither_shown_nor_kept(world: VirtualWorld) -> None:
    bench = await Bench(world).open()
    await bench.end(
        await bench.put_machine("vm1", properties={"osProfile": {"adminUsername": "me", "adminPassword": "hunter2"}})
    )
    await bench.end(await bench.put_extension("vm1", "script", protectedSettings={"key": "hunter2"}))
    assert bench.env is not None
    rows: dict[Any, Any] = await bench.env.store.hgetall("compute:eastus:resources")
    shown = (await bench.call("GET", MACHINE)).body + (await bench.call("GET", EXTENSION)).body
    assert b"hunter2" not in b"".join([*rows.values(), shown])


async def test_lists_are_paged_and_follow_scope_and_case(world: VirtualWorld) -> None:
    bench = await Bench(world).open(list_page_size=2, identity_calls=0)
    for name in ("b", "a", "c"):
        await bench.put_machine(name, package="")
    other = "/subscriptions/sub/resourceGroups/other/providers/Microsoft.Compute/virtualMachines/d"
    await bench.call("PUT", other, {"location": "eastus"})
    first = (await bench.call("GET", "virtualMachines")).json()
    assert [item["name"] for item in first["value"]] == ["a", "b"]
    second = (await bench.call("GET", first["nextLink"])).json()
    assert [item["name"] for item in second["value"]] == ["c"]
    assert "nextLink" not in second
    lower = "/SUBSCRIPTIONS/SUB/resourcegroups/OTHER/PROVIDERS/microsoft.compute/VIRTUALMACHINES"
    assert [item["id"] for item in (await bench.call("GET", lower)).json()["value"]] == [other]
    everywhere = "/subscriptions/sub/providers/Microsoft.Compute/virtualMachines"
    assert len((await bench.call("GET", everywhere)).json()["value"]) == 2
    assert (await bench.call("GET", "virtualMachineScaleSets")).json() == {"value": []}


async def test_every_answer_carries_arms_ids(world: VirtualWorld) -> None:
    bench = await Bench(world).open()
    mine = {
        "x-ms-correlation-request-id": "11111111-2222-4333-8444-555555555555",
        "x-ms-client-request-id": "mine",
        "x-ms-return-client-request-id": "true",
    }
    for reply in (await bench.call("GET", MACHINE, **mine), await bench.call("GET", "virtualMachines", **mine)):
        assert reply.headers["x-ms-correlation-request-id"] == mine["x-ms-correlation-request-id"]
        assert reply.headers["x-ms-client-request-id"] == "mine"
        request_id = reply.headers["x-ms-request-id"]
        assert reply.headers["x-ms-routing-request-id"] == f"EASTUS:20260202T180300Z:{request_id}"


async def test_the_throttle_answers_429_with_the_real_wait_as_retry_after(world: VirtualWorld) -> None:
    bench = await Bench(world).open(throttle_enabled=True, throttle_reads_burst=2.0, throttle_reads_per_s=0.5)
    statuses = [(await bench.call("GET", "virtualMachines")).status for _ in range(3)]
    refused = await bench.call("GET", "virtualMachines")
    assert statuses == [200, 200, 429]
    assert (refused.status, refused.headers["Retry-After"]) == (429, "2")
    assert refused.headers["x-ms-ratelimit-remaining-subscription-reads"] == "0"
    assert error_of(refused)["code"] == "OperationNotAllowed"
    assert error_of(refused)["details"][0]["code"] == "TooManyRequests"
    assert (await bench.put_machine("vm1")).status == 201, "writes have a bucket of their own"
    await asyncio.sleep(2.0)
    allowed = await bench.call("GET", "virtualMachines")
    assert (allowed.status, allowed.headers["x-ms-ratelimit-remaining-subscription-reads"]) == (200, "0")


async def test_finished_operations_are_forgotten_after_their_retention(world: VirtualWorld) -> None:
    bench = await Bench(world).open(operation_retention_s=60.0, poll_s=10.0)
    reply = await bench.put_machine("vm1")
    await bench.end(reply)
    path = reply.headers["Azure-AsyncOperation"]
    await asyncio.sleep(55.0)
    assert (await bench.call("GET", path)).status == 200
    await asyncio.sleep(20.0)
    gone = await bench.call("GET", path)
    assert (gone.status, error_of(gone)["code"]) == (404, "OperationNotFound")
    assert (await bench.call("GET", MACHINE)).json()["properties"]["provisioningState"] == "Succeeded"
    assert await bench.redis_names() == ["compute:eastus:queue", "compute:eastus:resources"]


def machine(**changes: Any) -> dict[str, Any]:
    return {"location": "eastus", **changes}


def extension(**changes: Any) -> dict[str, Any]:
    publisher, _, type_ = SCRIPT.partition("/")
    return {"location": "eastus", "properties": {"publisher": publisher, "type": type_, **changes}}


NAN = float("nan")
COMPUTE = "providers/Microsoft.Compute/virtualMachines/x"
BAD_BODIES = [
    (MACHINE, {}, 400, "LocationRequired", "location"),
    (MACHINE, machine(location="westus"), 400, "LocationNotAvailableForResourceType", "location"),
    (MACHINE, machine(location=7), 400, "LocationNotAvailableForResourceType", "location"),
    (MACHINE, [], 400, "InvalidParameter", "body"),
    (MACHINE, None, 400, "InvalidRequestContent", None),
    (MACHINE, machine(tags=[]), 400, "InvalidParameter", "tags"),
    (MACHINE, machine(tags={"a": 1}), 400, "InvalidParameter", "tags"),
    (MACHINE, machine(tags={str(n): "" for n in range(51)}), 400, "InvalidParameter", "tags"),
    (MACHINE, machine(tags={"a": "x" * 257}), 400, "InvalidParameter", "tags.a"),
    (MACHINE, machine(tags={"aftershock-tenant": "a b"}), 400, "InvalidParameter", "tags.aftershock-tenant"),
    (MACHINE, machine(tags={"aftershock-extension": "x/y"}), 400, "InvalidParameter", "tags.aftershock-extension"),
    (MACHINE, machine(properties=[]), 400, "InvalidParameter", "properties"),
    (MACHINE, machine(properties={"hardwareProfile": 1}), 400, "InvalidParameter", "properties.hardwareProfile"),
    (
        MACHINE,
        machine(properties={"hardwareProfile": {"vmSize": 1}}),
        400,
        "InvalidParameter",
        "properties.hardwareProfile.vmSize",
    ),
    (MACHINE, machine(properties={"osProfile": "x"}), 400, "InvalidParameter", "properties.osProfile"),
    (MACHINE, machine(properties={"x": NAN}), 400, "InvalidRequestContent", None),
    (MACHINE, machine(identity="x"), 400, "InvalidParameter", "identity"),
    (MACHINE, machine(identity={"type": "Mine"}), 400, "InvalidParameter", "identity.type"),
    (MACHINE, machine(identity={"type": "UserAssigned"}), 400, "InvalidParameter", "identity.userAssignedIdentities"),
    ("virtualMachines/-bad", machine(), 400, "InvalidParameter", "vmName"),
    ("virtualMachines/" + "x" * 65, machine(), 400, "InvalidParameter", "vmName"),
    ("virtualMachines/a%2Fb", machine(), 400, "InvalidParameter", "vmName"),
    (SET, machine(sku={"capacity": -1}), 400, "InvalidParameter", "sku.capacity"),
    (SET, machine(sku={"capacity": 1001}), 400, "InvalidParameter", "sku.capacity"),
    (SET, machine(sku={"capacity": "3"}), 400, "InvalidParameter", "sku.capacity"),
    (SET, machine(sku={"capacity": True}), 400, "InvalidParameter", "sku.capacity"),
    (SET, machine(sku=[]), 400, "InvalidParameter", "sku"),
    (
        SET,
        machine(properties={"virtualMachineProfile": {"extensionProfile": {"extensions": [{"name": "x"}]}}}),
        400,
        "InvalidParameter",
        "properties.virtualMachineProfile.extensionProfile.extensions[0].properties",
    ),
    ("virtualMachines/none/extensions/e", extension(), 404, "ParentResourceNotFound", None),
    ("virtualMachines/there/extensions/e", machine(), 400, "InvalidParameter", "properties.publisher"),
    ("virtualMachines/there/extensions/e", extension(type="Nope"), 404, "ArtifactNotFound", "properties.type"),
    (
        "virtualMachines/there/extensions/e",
        extension(typeHandlerVersion="two"),
        400,
        "InvalidParameter",
        "properties.typeHandlerVersion",
    ),
    (
        "virtualMachines/there/extensions/e",
        extension(suppressFailures="no"),
        400,
        "InvalidParameter",
        "properties.suppressFailures",
    ),
    (
        "/subscriptions/a b/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/x",
        machine(),
        400,
        "InvalidSubscriptionId",
        None,
    ),
    (
        "/subscriptions/sub/resourceGroups/r%2Fg/providers/Microsoft.Compute/virtualMachines/x",
        machine(),
        400,
        "InvalidParameter",
        "resourceGroupName",
    ),
]


async def test_bad_bodies_name_the_field_and_the_rule(world: VirtualWorld) -> None:
    bench = await Bench(world).open()
    await bench.end(await bench.put_machine("there"))
    for path, body, status, code, target in BAD_BODIES:
        url = bench.url(path)
        reply = await bench.client.call(
            "PUT", url, timeout_s=5.0, data=b"" if body is None else json.dumps(body).encode()
        )
        error = error_of(reply)
        assert (reply.status, error["code"], error.get("target")) == (status, code, target), (path, body, error)
        assert len(error["message"]) > 20
    assert [item["name"] for item in (await bench.call("GET", "virtualMachines")).json()["value"]] == ["there"]
    assert len(bench.of_kind("job_accepted")) == 1


async def test_odd_patches_are_refused_or_harmless(world: VirtualWorld) -> None:
    bench = await Bench(world).open()
    await bench.end(await bench.put_machine("vm1"))
    await bench.end(await bench.put_extension("vm1", "script"))
    for path, patch, status in (
        (EXTENSION, {"properties": None}, 200),
        (EXTENSION, {"properties": {"publisher": None}}, 409),
        (EXTENSION, {"location": None, "tags": None, "identity": None}, 200),
        (MACHINE, {"properties": None, "location": None, "tags": None, "identity": None, "sku": None}, 200),
        (MACHINE, {"location": "westus"}, 400),
        (MACHINE, {"properties": {"provisioningState": "Failed"}}, 200),
        (MACHINE, {"id": "other", "name": "other"}, 200),
    ):
        reply = await bench.call("PATCH", path, patch)
        assert reply.status == status, (patch, reply.body)
        if status == 200:
            assert (await bench.end(reply))["status"] == "Succeeded"
    assert (await bench.call("GET", EXTENSION)).json()["properties"]["type"] == "CustomScript"
    assert (await bench.call("GET", MACHINE)).json()["properties"]["provisioningState"] == "Succeeded"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", f"{MACHINE}?api-version=", 400, "MissingApiVersionParameter"),
        ("PUT", f"{MACHINE}?api-version=", 400, "MissingApiVersionParameter"),
        ("GET", f"{MACHINE}?api-version=latest", 400, "InvalidApiVersionParameter"),
        ("GET", MACHINE, 404, "ResourceNotFound"),
        ("PATCH", MACHINE, 404, "ResourceNotFound"),
        ("GET", EXTENSION, 404, "ParentResourceNotFound"),
        ("POST", f"{MACHINE}/start", 404, "ResourceNotFound"),
        ("POST", f"{MACHINE}/explode", 404, "NotFound"),
        ("POST", MACHINE, 405, "MethodNotAllowed"),
        ("GET", "virtualMachines?$skiptoken=abc", 400, "InvalidSkipToken"),
        ("GET", "disks", 404, "NotFound"),
        (
            "GET",
            "/subscriptions/sub/providers/Microsoft.Compute/locations/eastus/operations/x",
            404,
            "OperationNotFound",
        ),
    ],
)
async def test_invalid_requests_get_their_documented_error(
    world: VirtualWorld, method: str, path: str, status: int, code: str
) -> None:
    bench = await Bench(world).open()
    reply = await bench.call(method, path, {} if method in ("PUT", "PATCH") else None)
    assert (reply.status, error_of(reply)["code"]) == (status, code)
    assert reply.headers["Content-Type"] == "application/json; charset=utf-8"


async def test_an_operation_is_found_only_under_its_own_subscription_and_region(world: VirtualWorld) -> None:
    bench = await Bench(world).open()
    url = (await bench.put_machine("vm1")).headers["Azure-AsyncOperation"]
    assert (await bench.call("GET", url.replace("/sub/", "/other/"))).status == 404
    assert (await bench.call("GET", url.replace("/eastus/", "/westus/"))).status == 404
    assert (await bench.call("GET", url.replace("/eastus/", "/EastUS/"))).status == 200


async def test_bodies_that_are_too_large_or_too_deep(world: VirtualWorld) -> None:
    bench = await Bench(world).open()
    cases: list[tuple[Any, int, str]] = [
        (b"[" * 100_000, 400, "InvalidRequestContent"),
        (b'{"location":' + b'{"a":' * 70 + b"1" + b"}" * 71, 400, "InvalidRequestContent"),
        (io.BytesIO(b" " * (4 * 2**20 + 1)), 413, "RequestContentTooLarge"),
        (b"\xff\xfe{", 400, "InvalidRequestContent"),
    ]
    for data, status, code in cases:
        reply = await bench.client.call("PUT", bench.url(MACHINE), timeout_s=5.0, data=data)
        assert (reply.status, error_of(reply)["code"]) == (status, code)
