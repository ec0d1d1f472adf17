"""The resource manager API of the blob service: accounts, containers, bodies, errors, headers, limits."""

import asyncio
from typing import Any

import pytest

from compose.virtual.world import VirtualWorld
from services.clients.identity.client import SUBSCRIPTION
from tests.unit.blobstore.blobstore_region import GROUPS, PACKAGE, PROVIDER, VERSION, Region

MANAGEMENT = "https://management.azure.com/"
NEW = "group1!storageAccounts/created"


def names(answer: Any) -> list[str]:
    return [account["name"] for account in answer.json()["value"]]


# --- accounts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("world", ["http", "direct"], indirect=True)
async def test_an_account_as_arm_shows_it(region: Region) -> None:
    answer = await region.arm("GET", "eastus!storageAccounts/vmextmieastus")
    assert answer.status == 200
    assert answer.json() == {
        "id": f"{GROUPS}/eastus/{PROVIDER}/storageAccounts/vmextmieastus",
        "name": "vmextmieastus",
        "type": "Microsoft.Storage/storageAccounts",
        "location": "eastus",
        "kind": "StorageV2",
        "sku": {"name": "Standard_LRS", "tier": "Standard"},
        "tags": {"aftershock-purpose": "extension-packages", "aftershock-exempt": "true"},
        "properties": {
            "accessTier": "Hot",
            "supportsHttpsTrafficOnly": False,
            "allowBlobPublicAccess": True,
            "provisioningState": "Succeeded",
            "creationTime": "2026-02-02T18:03:00.0000000Z",
            "primaryLocation": "eastus",
            "statusOfPrimary": "available",
            "primaryEndpoints": {"blob": "http://blobstore-eastus:8080/vmextmieastus/"},
        },
    }


async def test_lists_are_of_the_subscription_or_of_a_group(region: Region) -> None:
    await region.arm("PUT", NEW, json={"location": "eastus"})
    everything = names(await region.arm("GET", "storageAccounts"))
    assert everything == sorted(everything)
    assert len(everything) == 7
    assert names(await region.arm("GET", "GROUP1!storageAccounts")) == ["created"]
    assert names(await region.arm("GET", "nogroup!storageAccounts")) == []


async def test_create_read_update_delete(region: Region) -> None:
    body = {
        "location": "East US",
        "kind": "BlobStorage",
        "sku": {"name": "Premium_LRS"},
        "tags": {"team": "a"},
        "properties": {"allowBlobPublicAccess": True, "minimumTlsVersion": "TLS1_2"},
    }
    created = await region.arm("PUT", NEW, json=body)
    assert created.status == 200
    view = created.json()
    assert (view["kind"], view["sku"]["tier"], view["tags"]) == ("BlobStorage", "Premium", {"team": "a"})
    assert view["properties"]["allowBlobPublicAccess"] is True
    assert view["properties"]["minimumTlsVersion"] == "TLS1_2"
    assert (await region.arm("GET", NEW)).json() == view
    changed = (await region.arm("PATCH", NEW, json={"tags": {"aftershock-exempt": "true"}})).json()
    assert changed == {**view, "tags": {"aftershock-exempt": "true"}}
    assert region.metric("blobstore_accounts", exempt="true") == 5
    assert (await region.arm("DELETE", NEW)).status == 200
    assert (await region.arm("DELETE", NEW)).status == 204
    gone = await region.arm("GET", NEW)
    assert (gone.status, gone.json()["error"]["code"]) == (404, "ResourceNotFound")
    assert region.changes() == []


async def test_an_account_can_be_written_back_as_it_was_read(region: Region) -> None:
    view = (await region.arm("GET", "eastus!storageAccounts/vmextmieastus")).json()
    assert (await region.arm("PUT", "eastus!storageAccounts/vmextmieastus", json=view)).json() == view
    assert region.changes() == []


async def test_an_account_is_locked_unless_the_body_says_otherwise(region: Region) -> None:
    created = await region.arm("PUT", NEW, json={"location": "eastus"})
    assert created.json()["properties"]["allowBlobPublicAccess"] is False
    await region.arm("PUT", "group1!storageAccounts/created/blobServices/default/containers/c1", json={})
    assert (await region.get("/created/c1/x")).code == "PublicAccessNotPermitted"


async def test_put_on_an_existing_account_updates_it_with_propagation(region: Region) -> None:
    body = {"location": "eastus", "properties": {"allowBlobPublicAccess": False}}
    updated = await region.arm("PUT", "eastus!storageAccounts/vmextmieastus", json=body)
    assert updated.json()["properties"]["allowBlobPublicAccess"] is False
    assert updated.json()["tags"]["aftershock-exempt"] == "true"
    assert (await region.get(PACKAGE)).status == 200
    await asyncio.sleep(0.5)
    assert (await region.get(PACKAGE)).status == 409
    assert len(region.changes()) == 1


async def test_deleting_an_account_deletes_what_is_in_it(region: Region) -> None:
    store = region.env.store
    before = len(await store.keys("blobstore:eastus:body:*"))
    await region.arm("DELETE", "eastus!storageAccounts/vmextmieastus")
    assert (await region.get(PACKAGE)).code == "AccountNotFound"
    assert len(await store.keys("blobstore:eastus:body:*")) == before - 5
    assert b"vmextmieastus" not in await store.hkeys("blobstore:names")


async def test_names_are_global(world: VirtualWorld) -> None:
    east, west = await Region(world).start(), await Region(world, name="westus").start()
    assert (await east.arm("PUT", NEW, json={"location": "eastus"})).status == 200
    taken = await west.arm("PUT", NEW, json={"location": "westus"})
    assert (taken.status, taken.json()["error"]["code"]) == (409, "StorageAccountAlreadyTaken")
    elsewhere = await east.arm("PUT", "group2!storageAccounts/created", json={"location": "eastus"})
    assert (elsewhere.status, elsewhere.json()["error"]["code"]) == (409, "StorageAccountAlreadyTaken")
    assert (await east.arm("DELETE", NEW)).status == 200
    assert (await west.arm("PUT", NEW, json={"location": "westus"})).status == 200


@pytest.mark.parametrize(
    ("name", "available", "reason"),
    [
        ("free", True, None),
        ("vmextmieastus", False, "AlreadyExists"),
        ("metrics", False, "AlreadyExists"),
        ("No", False, "AccountNameInvalid"),
    ],
)
async def test_check_name_availability(region: Region, name: str, available: bool, reason: str | None) -> None:
    body = {"name": name, "type": "Microsoft.Storage/storageAccounts"}
    answer = (await region.arm("POST", "checkNameAvailability", json=body)).json()
    assert (answer["nameAvailable"], answer.get("reason")) == (available, reason)


async def test_arm_paths_are_case_insensitive(region: Region) -> None:
    path = f"/SUBSCRIPTIONS/{SUBSCRIPTION.upper()}/resourcegroups/EASTUS/PROVIDERS/microsoft.storage/STORAGEACCOUNTS"
    answer = await region.get(f"{path}/vmextmieastus/?{VERSION}")
    assert answer.json()["name"] == "vmextmieastus"


# --- containers --------------------------------------------------------------------------------------

CONTAINERS = "eastus!storageAccounts/vmextmieastus/blobServices/default/containers"


async def test_containers_by_arm(region: Region) -> None:
    body = {"properties": {"publicAccess": "Blob", "metadata": {"a": "b"}}}
    created = await region.arm("PUT", f"{CONTAINERS}/fresh", json=body)
    assert created.status == 201
    view = created.json()
    assert view["id"].endswith("/storageAccounts/vmextmieastus/blobServices/default/containers/fresh")
    assert view["properties"]["publicAccess"] == "Blob"
    assert view["properties"]["metadata"] == {"a": "b"}
    again = await region.arm("PUT", f"{CONTAINERS}/fresh", json=body)
    assert (again.status, again.json()) == (200, view)
    assert (await region.arm("GET", f"{CONTAINERS}/fresh")).json() == view
    assert names(await region.arm("GET", CONTAINERS)) == ["fresh", "packages"]
    patched = await region.arm("PATCH", f"{CONTAINERS}/fresh", json={"properties": {"publicAccess": "None"}})
    assert patched.json()["properties"]["publicAccess"] == "None"
    assert (await region.arm("DELETE", f"{CONTAINERS}/fresh")).status == 200
    assert (await region.arm("DELETE", f"{CONTAINERS}/fresh")).status == 204
    assert (await region.arm("GET", f"{CONTAINERS}/fresh")).status == 404


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
async def test_a_container_of_a_locked_account_cannot_be_made_public(region: Region, method: str) -> None:
    await region.switch("vmextmieastus", False)
    answer = await region.arm(method, f"{CONTAINERS}/packages", json={"properties": {"publicAccess": "Container"}})
    assert answer.status == 409
    error = answer.json()["error"]
    assert error["code"] == "PublicAccessNotPermitted"
    assert error["message"] == (
        "Public access is not permitted on this storage account.\n"
        f"RequestId:{answer.headers['x-ms-request-id']}\nTime:2026-02-02T18:03:00.0000000Z"
    )
    private = await region.arm(method, f"{CONTAINERS}/packages", json={"properties": {"publicAccess": "None"}})
    assert private.status == 200


async def test_a_level_decides_at_once_who_may_read(region: Region) -> None:
    await region.arm("PATCH", f"{CONTAINERS}/packages", json={"properties": {"publicAccess": "None"}})
    assert (await region.get(PACKAGE)).code == "ResourceNotFound"
    await region.arm("PATCH", f"{CONTAINERS}/packages", json={"properties": {"publicAccess": "Container"}})
    assert (await region.get("/vmextmieastus/packages?restype=container&comp=list")).status == 200


# --- bad requests ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "MissingApiVersionParameter"),
        ("api-version=", "MissingApiVersionParameter"),
        ("api-version=latest", "InvalidApiVersionParameter"),
    ],
)
async def test_the_api_version_is_required_but_any_date_will_do(region: Region, query: str, code: str) -> None:
    answer = await region.arm("GET", "storageAccounts", query=query)
    assert (answer.status, answer.json()["error"]["code"]) == (400, code)
    for version in ("2026-09-01", "2015-06-15", "2024-01-01-preview"):
        assert (await region.arm("GET", "storageAccounts", query=f"api-version={version}")).status == 200


@pytest.mark.parametrize(
    ("method", "rest", "status", "code"),
    [
        ("GET", "eastus!storageAccounts/nosuchaccount", 404, "ResourceNotFound"),
        ("GET", "westus!storageAccounts/vmextmieastus", 404, "ResourceNotFound"),
        ("PATCH", "westus!storageAccounts/vmextmieastus", 404, "ResourceNotFound"),
        ("GET", "eastus!storageAccounts/vmextmieastus/blobServices/default/containers/nope", 404, "ContainerNotFound"),
        ("GET", "eastus!disks", 404, "InvalidResourceType"),
        ("POST", "eastus!storageAccounts/vmextmieastus", 405, "MethodNotAllowed"),
        ("PUT", "eastus!storageAccounts", 405, "MethodNotAllowed"),
        ("PUT", "eastus!storageAccounts/Bad_Name", 400, "AccountNameInvalid"),
        ("DELETE", "eastus!storageAccounts/Bad_Name", 400, "AccountNameInvalid"),
        ("GET", "east%20us!storageAccounts", 400, "InvalidResourceGroup"),
        ("PUT", "eastus!storageAccounts/subscriptions", 409, "StorageAccountAlreadyTaken"),
        ("PUT", "eastus!storageAccounts/vmextmieastus/blobServices/default/containers/A", 400, "InvalidResourceName"),
    ],
)
async def test_what_arm_refuses(region: Region, method: str, rest: str, status: int, code: str) -> None:
    body = {} if "containers" in rest or method == "PATCH" else {"location": "eastus"}
    options: dict[str, Any] = {"json": body} if method in ("PUT", "PATCH") else {}
    answer = await region.arm(method, rest, **options)
    assert (answer.status, answer.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("body", "code", "target"),
    [
        ({"properties": {"allowBlobPublicAcess": False}}, "InvalidRequestContent", "properties.allowBlobPublicAcess"),
        ({"propertys": {}}, "InvalidRequestContent", "propertys"),
        (
            {"properties": {"allowBlobPublicAccess": "no"}},
            "InvalidRequestPropertyValue",
            "properties.allowBlobPublicAccess",
        ),
        (
            {"properties": {"allowBlobPublicAccess": 0}},
            "InvalidRequestPropertyValue",
            "properties.allowBlobPublicAccess",
        ),
        ({"properties": []}, "InvalidRequestPropertyValue", "properties"),
        ({"tags": {"a": 1}}, "InvalidRequestPropertyValue", "tags.a"),
        ({"sku": {"name": "Gold"}}, "InvalidRequestPropertyValue", "sku.name"),
        ([], "InvalidRequestPropertyValue", "body"),
    ],
)
async def test_a_bad_member_is_named_and_changes_nothing(region: Region, body: Any, code: str, target: str) -> None:
    answer = await region.arm("PATCH", "eastus!storageAccounts/vmextmieastus", json=body)
    error = answer.json()["error"]
    assert (answer.status, error["code"], error["target"]) == (400, code, target)
    assert region.changes() == []


async def test_a_body_that_is_not_json_is_refused(region: Region) -> None:
    for data in (b"", b"{", b"\xff"):
        answer = await region.arm("PATCH", "eastus!storageAccounts/vmextmieastus", data=data)
        assert (answer.status, answer.json()["error"]["code"]) == (400, "InvalidRequestContent")


async def test_a_new_account_needs_a_location_and_it_must_be_here(region: Region) -> None:
    missing = (await region.arm("PUT", NEW, json={})).json()["error"]
    assert (missing["code"], missing["target"]) == ("InvalidRequestPropertyValue", "location")
    elsewhere = (await region.arm("PUT", NEW, json={"location": "westus"})).json()["error"]
    assert (elsewhere["code"], elsewhere["target"]) == ("LocationNotAvailableForResourceType", "location")


async def test_another_subscription_is_not_found(region: Region) -> None:
    answer = await region.get(f"/subscriptions/other/{PROVIDER}/storageAccounts?{VERSION}")
    assert (answer.status, answer.json()["error"]["code"]) == (404, "SubscriptionNotFound")


# --- headers, tokens, limits -------------------------------------------------------------------------


async def test_headers_of_an_answer(region: Region) -> None:
    answer = await region.arm("GET", "storageAccounts", headers={"x-ms-correlation-request-id": "run-1"})
    request_id = answer.headers["x-ms-request-id"]
    assert answer.headers["x-ms-correlation-request-id"] == "run-1"
    assert answer.headers["x-ms-routing-request-id"] == f"EASTUS:20260202T180300Z:{request_id}"
    assert answer.headers["x-ms-ratelimit-remaining-subscription-reads"] == "249"
    written = await region.switch("vmextmieastus", False)
    assert written.headers["x-ms-ratelimit-remaining-subscription-writes"] == "199"
    assert written.headers["x-ms-correlation-request-id"] == written.headers["x-ms-request-id"]


async def test_a_token_is_not_needed_but_verified_when_sent(region: Region) -> None:
    assert (await region.arm("GET", "storageAccounts", bearer=region.token(MANAGEMENT))).status == 200
    for bearer in ("nonsense", region.token("https://storage.azure.com")):
        answer = await region.arm("GET", "storageAccounts", bearer=bearer)
        assert (answer.status, answer.json()["error"]["code"]) == (401, "InvalidAuthenticationToken")
        assert "management.azure.com" in answer.headers["www-authenticate"]
    region.jwks_status = 500
    await region.restart()
    answer = await region.arm("GET", "storageAccounts", bearer=region.token(MANAGEMENT))
    assert (answer.status, answer.headers["retry-after"]) == (503, "1")


async def test_reads_and_writes_have_a_bucket_each(world: VirtualWorld) -> None:
    limits = {"arm_read_burst": 3, "arm_read_rate_per_s": 0.4, "arm_write_burst": 1, "arm_write_rate_per_s": 10.0}
    region = await Region(world, limits).start()
    statuses = [(await region.arm("GET", "storageAccounts")).status for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    refused = await region.arm("GET", "storageAccounts")
    assert refused.headers["retry-after"] == "3"
    assert refused.headers["x-ms-ratelimit-remaining-subscription-reads"] == "0"
    assert refused.json()["error"]["code"] == "SubscriptionRequestsThrottled"
    assert (await region.switch("vmextmieastus", False)).status == 200
    assert (await region.switch("vmextmieastus", True)).status == 429
    await asyncio.sleep(2.499)
    assert (await region.arm("GET", "storageAccounts")).status == 429
    await asyncio.sleep(0.001)
    assert (await region.arm("GET", "storageAccounts")).status == 200
    assert (await region.get(PACKAGE)).status == 409  # the one change that was admitted
