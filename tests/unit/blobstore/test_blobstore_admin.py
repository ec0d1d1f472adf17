"""The operator API of the blob service."""

from typing import Any

import pytest

from services.blobstore import packages
from tests.unit.blobstore.blobstore_region import Region

SEED = {
    "exempt": True,
    "public": False,
    "container": "tools",
    "access": "Container",
    "tags": {"team": "a"},
    "packages": [{"publisher": "Acme", "type": "Agent", "version": "2.1", "size_bytes": 4096}],
}


async def test_an_account_is_seeded_with_container_and_packages(region: Region) -> None:
    created = await region.call("PUT", "/admin/accounts/seeded", json=SEED)
    assert created.status == 201
    assert created.json() == {
        "name": "seeded",
        "resource_group": "eastus",
        "public": False,
        "effective": False,
        "exempt": True,
        "tags": {"team": "a", "aftershock-exempt": "true"},
        "containers": [{"name": "tools", "access": "Container", "blobs": 1, "size_bytes": 4096}],
    }
    assert (await region.get("/admin/accounts/seeded")).json() == created.json()
    read = await region.call("GET", "/seeded/tools/Acme.Agent/2.1/package.zip", bearer=region.token())
    assert read.body == packages.build("Acme", "Agent", "2.1", 4096)


async def test_seeding_again_updates_at_once_and_says_who(region: Region) -> None:
    await region.call("PUT", "/admin/accounts/seeded", json=SEED)
    again = await region.call("PUT", "/admin/accounts/seeded", json={**SEED, "public": True})
    assert (again.status, again.json()["effective"]) == (200, True)
    assert (await region.get("/seeded/tools/Acme.Agent/2.1/package.zip")).status == 200
    change = {"account": "seeded", "region": "eastus", "public": True, "exempt": True, "actor": "admin"}
    assert region.changes() == [change]


async def test_a_switch_on_its_way_shows_both_values(region: Region) -> None:
    await region.switch("vmextmieastus", False)
    view = (await region.get("/admin/accounts/vmextmieastus")).json()
    assert (view["public"], view["effective"]) == (False, True)


async def test_everything_can_be_deleted(region: Region) -> None:
    await region.call("PUT", "/admin/accounts/seeded", json=SEED)
    for path in ("tools/Acme.Agent/2.1/package.zip", "tools", ""):
        url = f"/admin/accounts/seeded/{path}".rstrip("/")
        assert (await region.call("DELETE", url)).status == 204
        assert (await region.call("DELETE", url)).status == 404


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("seeded", {"publik": True}, "account.publik: unknown setting"),
        ("Seeded", {}, "account.name: String should match"),
        ("metrics", {}, "account.name: Value error, must not be one of admin, healthz, metrics"),
        ("seeded", {"access": "All"}, "account.access: Input should be"),
        ("seeded", {"packages": [{"publisher": "a"}]}, "account.packages.0.type: Field required"),
        ("seeded", [], "account: must be a JSON object"),
        ("vmextmieastus/packages", {"level": "Blob"}, "container.level: unknown setting"),
    ],
)
async def test_a_bad_field_is_named(region: Region, path: str, body: Any, words: str) -> None:
    answer = await region.call("PUT", f"/admin/accounts/{path}", json=body)
    assert answer.status == 422
    error = answer.json()["error"]
    assert error["code"] == "InvalidSetting"
    assert words in error["message"]


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "nosuchaccount", 404, "AccountNotFound"),
        ("PUT", "nosuchaccount/c1x", 404, "AccountNotFound"),
        ("PUT", "vmextmieastus/A", 400, "OutOfRangeInput"),
        ("PUT", "vmextmieastus/nowhere/x", 404, "ContainerNotFound"),
    ],
)
async def test_errors_are_json(region: Region, method: str, path: str, status: int, code: str) -> None:
    options: dict[str, Any] = {"json": {}} if method == "PUT" else {}
    answer = await region.call(method, f"/admin/accounts/{path}", **options)
    assert (answer.status, answer.json()["error"]["code"]) == (status, code)


async def test_a_body_that_is_not_json_is_refused(region: Region) -> None:
    answer = await region.call("PUT", "/admin/accounts/seeded", data=b"{")
    assert (answer.status, answer.json()["error"]["code"]) == (400, "InvalidRequestContent")
