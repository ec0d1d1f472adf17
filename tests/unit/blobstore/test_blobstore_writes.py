"""Writes, large blobs, what a crash leaves, and what a restart finds."""

import asyncio
from collections.abc import AsyncIterator
from random import Random

import pytest

from compose.virtual.world import VirtualWorld
from tests.unit.blobstore.blobstore_region import PACKAGE, Answer, Region, body_of, md5

MIB = 2**20
BLOB = "/vmextmieastus/packages/new"
BLOCK = {"x-ms-blob-type": "BlockBlob"}


async def put(region: Region, data: bytes, path: str = BLOB, **headers: str) -> tuple[int, str]:
    named = {**BLOCK, **{name.replace("_", "-"): value for name, value in headers.items()}}
    answer = await region.call("PUT", path, bearer=region.token(), data=body_of(data), headers=named)
    return answer.status, answer.code


# --- blobs -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("world", ["http", "direct"], indirect=True)
async def test_put_blob_stores_bytes_headers_and_metadata(region: Region) -> None:
    headers = {**BLOCK, "x-ms-meta-Build": "42", "x-ms-blob-content-type": "text/plain", "Content-Language": "en"}
    answer = await region.call("PUT", BLOB, bearer=region.token(), data=b"hello", headers=headers)
    assert (answer.status, answer.headers["content-md5"]) == (201, md5(b"hello"))
    read = await region.get(BLOB)
    assert (read.body, read.headers["etag"]) == (b"hello", answer.headers["etag"])
    assert read.headers["x-ms-meta-build"] == "42"
    assert (read.headers["content-type"], read.headers["content-language"]) == ("text/plain", "en")


async def test_a_blob_replaced_keeps_its_creation_time(region: Region) -> None:
    await put(region, b"1")
    await asyncio.sleep(60.0)
    await put(region, b"22")
    read = await region.get(BLOB)
    assert (read.body, read.headers["content-length"]) == (b"22", "2")
    assert read.headers["x-ms-creation-time"] == "Mon, 02 Feb 2026 18:03:00 GMT"
    assert read.headers["last-modified"] == "Mon, 02 Feb 2026 18:04:00 GMT"


async def test_a_write_needs_a_token(region: Region) -> None:
    for method in ("PUT", "DELETE"):
        answer = await region.call(method, BLOB, headers=BLOCK)
        assert (answer.status, answer.code) == (401, "NoAuthenticationInformation")
        assert "www-authenticate" in answer.headers
    assert (await region.get(BLOB)).status == 404


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        (BLOB, {"x-ms-blob-type": "PageBlob"}, 400, "InvalidHeaderValue"),
        (BLOB, {"Content-MD5": md5(b"other")}, 400, "Md5Mismatch"),
        (BLOB, {"Content-MD5": "short"}, 400, "InvalidHeaderValue"),
        (BLOB, {"x-ms-meta-1st": "x"}, 400, "InvalidHeaderValue"),
        (BLOB, {"If-Match": '"0x1"'}, 412, "ConditionNotMet"),
        (PACKAGE, {"If-None-Match": "*"}, 409, "BlobAlreadyExists"),
        (f"{BLOB}?comp=block&blockid=x", {}, 400, "UnsupportedQueryParameter"),
        ("/vmextmieastus/nowhere/x", {}, 404, "ContainerNotFound"),
        ("/nosuchaccount/packages/x", {}, 404, "AccountNotFound"),
        ("/vmextmieastus/packages/" + "x" * 1025, {}, 400, "OutOfRangeInput"),
        ("/vmextmieastus/packages/a%01b", {}, 400, "InvalidResourceName"),
    ],
)
async def test_what_cannot_be_put(region: Region, path: str, headers: dict[str, str], status: int, code: str) -> None:
    before = (await region.get("/admin/accounts/vmextmieastus")).json()
    assert await put(region, b"hello", path, **headers) == (status, code)
    assert (await region.get("/admin/accounts/vmextmieastus")).json() == before


async def test_a_blob_without_a_type_or_over_the_limit_is_refused(world: VirtualWorld) -> None:
    region = await Region(world, {"blob_size_max_bytes": 10}).start()
    await region.serve_keys()
    missing = await region.call("PUT", BLOB, bearer=region.token(), data=b"x")
    assert (missing.status, missing.code) == (400, "MissingRequiredHeader")
    assert await put(region, b"x" * 11) == (413, "RequestBodyTooLarge")

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"xxxx"

    answer = await region.call("PUT", BLOB, bearer=region.token(), data=endless(), headers=BLOCK)
    assert (answer.status, answer.code) == (413, "RequestBodyTooLarge")


async def test_delete_blob(region: Region) -> None:
    await put(region, b"1")
    token = region.token()
    refused = await region.call("DELETE", BLOB, bearer=token, headers={"If-Match": '"0x1"'})
    assert (refused.status, refused.code) == (412, "ConditionNotMet")
    assert (await region.call("DELETE", BLOB, bearer=token)).status == 202
    assert (await region.get(BLOB)).code == "BlobNotFound"
    assert (await region.call("DELETE", BLOB, bearer=token)).code == "BlobNotFound"


# --- containers --------------------------------------------------------------------------------------


async def test_a_container_is_made_listed_and_deleted(region: Region) -> None:
    path, token = "/vmextmieastus/fresh?restype=container", region.token()
    headers = {"x-ms-blob-public-access": "container", "x-ms-meta-owner": "me"}
    assert (await region.call("PUT", path, bearer=token, headers=headers)).status == 201
    again = await region.call("PUT", path, bearer=token)
    assert (again.status, again.code) == (409, "ContainerAlreadyExists")
    properties = await region.get(path)
    assert properties.headers["x-ms-blob-public-access"] == "container"
    assert properties.headers["x-ms-meta-owner"] == "me"
    await region.blob("vmextmieastus/fresh/x", b"1")
    assert (await region.call("DELETE", path, bearer=token)).status == 202
    assert (await region.get("/vmextmieastus/fresh/x")).code == "ResourceNotFound"
    assert (await region.call("DELETE", path, bearer=token)).code == "ContainerNotFound"


@pytest.mark.parametrize(
    ("path", "headers", "code"),
    [
        ("/vmextmieastus/UPPER?restype=container", {}, "InvalidResourceName"),
        ("/vmextmieastus/a--b?restype=container", {}, "InvalidResourceName"),
        ("/vmextmieastus/ab?restype=container", {}, "OutOfRangeInput"),
        ("/vmextmieastus/fresh", {}, "InvalidQueryParameterValue"),
        ("/vmextmieastus/fresh?restype=container&comp=acl", {}, "UnsupportedQueryParameter"),
        ("/vmextmieastus/fresh?restype=container", {"x-ms-blob-public-access": "all"}, "InvalidHeaderValue"),
    ],
)
async def test_containers_that_cannot_be(region: Region, path: str, headers: dict[str, str], code: str) -> None:
    assert (await region.call("PUT", path, bearer=region.token(), headers=headers)).code == code


async def test_a_public_container_is_refused_on_a_locked_account_as_soon_as_the_switch_is_accepted(
    region: Region,
) -> None:
    await region.switch("vmextmieastus", False)
    path, token = "/vmextmieastus/fresh?restype=container", region.token()
    answer = await region.call("PUT", path, bearer=token, headers={"x-ms-blob-public-access": "blob"})
    assert (answer.status, answer.code) == (409, "PublicAccessNotPermitted")
    assert (await region.call("PUT", path, bearer=token)).status == 201


# --- large blobs -------------------------------------------------------------------------------------


@pytest.mark.parametrize("world", ["http", "direct"], indirect=True)
async def test_a_large_blob_is_read_whole_and_in_ranges_across_its_chunks(region: Region) -> None:
    data = Random(1).randbytes(9 * MIB + 12_345)
    stored = await region.blob("vmextmieastus/packages/large", data)
    assert stored.json() == {"name": "large", "size_bytes": len(data), "etag": stored.json()["etag"], "md5": md5(data)}
    path = "/vmextmieastus/packages/large"
    whole = await region.get(path)
    assert (whole.status, whole.headers["content-length"]) == (200, str(len(data)))
    assert whole.headers["content-md5"] == md5(data)
    assert md5(whole.body) == md5(data)
    for first, last in ((0, 0), (MIB - 1, MIB), (3 * MIB, 5 * MIB - 1), (9 * MIB, 14 * MIB)):
        part = await region.get(path, x_ms_range=f"bytes={first}-{last}")
        assert part.status == 206
        assert md5(part.body) == md5(data[first : last + 1])
        assert part.headers["content-length"] == str(len(part.body))
    checked = await region.get(path, x_ms_range=f"bytes=10-{MIB + 9}", x_ms_range_get_content_md5="true")
    assert checked.headers["content-md5"] == md5(data[10 : MIB + 10])
    assert (await region.call("HEAD", path)).headers["content-length"] == str(len(data))


async def test_a_large_blob_survives_a_restart(region: Region) -> None:
    data = Random(2).randbytes(2 * MIB + 1)
    await region.blob("vmextmieastus/packages/large", data)
    await region.restart()
    assert md5((await region.get("/vmextmieastus/packages/large")).body) == md5(data)


async def test_a_blob_replaced_while_it_is_read_ends_the_connection_short(region: Region) -> None:
    data = Random(3).randbytes(30 * MIB)
    await region.blob("vmextmieastus/packages/large", data)
    async with region.session.get(f"{region.served.url}/vmextmieastus/packages/large") as response:
        first = await response.content.readexactly(MIB)
        assert md5(first) == md5(data[:MIB])
        await region.blob("vmextmieastus/packages/large", b"small")
        with pytest.raises(OSError, match=r"(?i)payload|closed|reset"):
            await _drain(response.content)
    assert (await region.get("/vmextmieastus/packages/large")).body == b"small"


async def _drain(content: object) -> None:
    try:
        await content.read()  # type: ignore[attr-defined]
    except Exception as error:
        raise OSError(f"payload: {error!r}") from error


async def test_replaced_and_deleted_bytes_leave_redis(region: Region) -> None:
    async def bodies() -> int:
        return len(await region.env.store.keys("blobstore:eastus:body:*"))

    before = await bodies()
    await put(region, b"1")
    await put(region, b"2" * (3 * MIB))
    assert await bodies() == before + 1
    await region.call("DELETE", BLOB, bearer=region.token())
    assert await bodies() == before


async def test_a_refused_upload_stores_nothing(region: Region) -> None:
    keys = sorted(await region.env.store.keys("*"))
    assert await put(region, b"x" * (3 * MIB), Content_MD5=md5(b"other")) == (400, "Md5Mismatch")
    assert sorted(await region.env.store.keys("*")) == keys


async def unfinished_upload(region: Region) -> "asyncio.Task[Answer]":
    """An upload whose first 3 MiB have been sent; the rest never comes."""
    started = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"x" * (3 * MIB)
        started.set()
        await asyncio.sleep(1000.0)

    upload = asyncio.create_task(region.call("PUT", BLOB, bearer=region.token(), data=slow(), headers=BLOCK))
    await started.wait()
    return upload


async def test_an_upload_cut_off_by_a_crash_is_swept_at_the_next_start(region: Region) -> None:
    keys = sorted(await region.env.store.keys("blobstore:*"))
    upload = await unfinished_upload(region)
    await asyncio.sleep(1.0)
    assert sorted(await region.env.store.keys("blobstore:*")) != keys
    await region.restart()
    assert sorted(await region.env.store.keys("blobstore:*")) == keys
    assert (await region.get(BLOB)).code == "BlobNotFound"
    upload.cancel()
    await asyncio.gather(upload, return_exceptions=True)


async def test_an_upload_whose_sender_leaves_is_given_up(region: Region) -> None:
    keys = sorted(await region.env.store.keys("blobstore:*"))
    upload = await unfinished_upload(region)
    upload.cancel()
    await asyncio.gather(upload, return_exceptions=True)
    await asyncio.sleep(1.0)
    assert sorted(await region.env.store.keys("blobstore:*")) == keys


# --- restart -----------------------------------------------------------------------------------------


async def test_a_restart_loses_nothing_that_was_accepted(region: Region) -> None:
    await region.call(
        "PUT", "/admin/accounts/vmextmieastus/fresh", json={"access": "Container", "metadata": {"a": "b"}}
    )
    await put(region, b"hello", "/vmextmieastus/fresh/x", x_ms_meta_k="v")
    await region.arm("PUT", "group1!storageAccounts/created", json={"location": "eastus", "tags": {"t": "1"}})
    await region.arm("DELETE", "eastus!storageAccounts/vmextwineastus")
    await region.call("DELETE", PACKAGE, bearer=region.token())
    accounts = (await region.get("/admin/accounts")).json()
    listing = await region.arm("GET", "storageAccounts")
    read = await region.get("/vmextmieastus/fresh/x")
    await region.restart()
    assert (await region.get("/admin/accounts")).json() == accounts
    assert (await region.arm("GET", "storageAccounts")).json() == listing.json()
    again = await region.get("/vmextmieastus/fresh/x")
    changing = ("x-ms-request-id", "date")
    assert again.body == b"hello"
    assert {k: v for k, v in again.headers.items() if k not in changing} == {
        k: v for k, v in read.headers.items() if k not in changing
    }
    assert (await region.get(PACKAGE)).code == "BlobNotFound"


async def test_settings_seed_only_the_first_start(region: Region) -> None:
    await region.arm("DELETE", "eastus!storageAccounts/vmextwineastus")
    region.settings = {"accounts": [{"name": "late"}]}
    await region.restart()
    names = [account["name"] for account in (await region.get("/admin/accounts")).json()["value"]]
    assert "late" not in names
    assert "vmextwineastus" not in names


async def test_a_first_start_cut_off_by_a_crash_is_done_again(region: Region) -> None:
    store = region.env.store
    await store.delete("blobstore:eastus:seeded")  # what is written last
    await store.hdel("blobstore:eastus:blobs", PACKAGE.removeprefix("/"))
    await region.restart()
    assert (await region.get(PACKAGE)).status == 200
    assert len((await region.get("/admin/accounts")).json()["value"]) == 6


async def test_two_regions_share_a_redis_without_mixing(world: VirtualWorld) -> None:
    east, west = await Region(world).start(), await Region(world, name="westus").start()
    names = [account["name"] for account in (await west.get("/admin/accounts")).json()["value"]]
    assert len(names) == 6
    assert all(name.endswith("westus") for name in names)
    assert (await west.get(PACKAGE)).code == "AccountNotFound"
    await east.switch("vmextmieastus", False)
    await west.restart()
    assert west.metric("blobstore_accounts", public="true") == 6
