"""azure-storage-blob, synchronous and asynchronous, against the blob service, without a credential."""

import hashlib
from collections.abc import Iterator
from random import Random
from typing import Any

import pytest
import requests
from azure.core import MatchConditions
from azure.core.exceptions import (
    HttpResponseError,
    ResourceExistsError,
    ResourceModifiedError,
    ResourceNotFoundError,
)
from azure.storage.blob import BlobClient, ContainerClient
from azure.storage.blob.aio import BlobClient as AsyncBlobClient
from azure.storage.blob.aio import ContainerClient as AsyncContainerClient

from tests.clients.client_bench import AsyncCounting, Bench, Counting

ACCOUNT = "clientblobs"
DATA = Random(1).randbytes(300_000)
LARGE_BYTES = 65 * 2**20
NAMES = [f"logs/{number:02d}.txt" for number in range(25)] + ["other.txt"]
FAST_RETRY: dict[str, Any] = {
    "initial_backoff": 0.05,
    "increment_base": 0.01,
    "random_jitter_range": 0,
    "retry_total": 3,
}


@pytest.fixture(scope="module")
def account(bench: Bench) -> Iterator[str]:
    """The account's URL: one readable and listable container, one listing-free, one private."""
    bench.admin("PUT", ACCOUNT, json={"public": True})
    for container, access in (("open", "Container"), ("blobs", "Blob"), ("private", "None")):
        bench.admin("PUT", f"{ACCOUNT}/{container}", json={"access": access})
        bench.admin("PUT", f"{ACCOUNT}/{container}/data.bin", data=DATA, headers={"x-ms-meta-kind": "test"})
    for name in NAMES:
        bench.admin("PUT", f"{ACCOUNT}/open/{name}", data=name.encode())
    yield f"{bench.url('blobstore')}/{ACCOUNT}"
    bench.admin("DELETE", ACCOUNT)


def blob(account: str, name: str = "data.bin", container: str = "open", **options: Any) -> BlobClient:
    return BlobClient(account_url=account, container_name=container, blob_name=name, **options)


def aio_blob(account: str, name: str = "data.bin", container: str = "open", **options: Any) -> AsyncBlobClient:
    return AsyncBlobClient(account_url=account, container_name=container, blob_name=name, **options)


def test_an_anonymous_download_gives_the_bytes_and_the_properties(account: str) -> None:
    with blob(account) as client:
        stream = client.download_blob()
        assert stream.readall() == DATA
        found = client.get_blob_properties()
    assert (found.size, found.metadata, found.blob_type) == (len(DATA), {"kind": "test"}, "BlockBlob")
    assert bytes(found.content_settings.content_md5) == hashlib.md5(DATA).digest()
    assert found.etag == stream.properties.etag


@pytest.mark.parametrize(("offset", "length"), [(0, 1), (10, 1000), (299_990, 100), (1, None)])
def test_a_range_is_exactly_that_range(account: str, offset: int, length: int | None) -> None:
    expected = DATA[offset:] if length is None else DATA[offset : offset + length]
    with blob(account) as client:
        assert client.download_blob(offset=offset, length=length).readall() == expected


def test_a_range_can_be_checked_by_its_md5(account: str) -> None:
    with blob(account) as client:
        assert client.download_blob(offset=100, length=1000, validate_content=True).readall() == DATA[100:1100]


def test_an_empty_blob_downloads(bench: Bench, account: str) -> None:
    bench.admin("PUT", f"{ACCOUNT}/open/empty", data=b"")
    with blob(account, "empty") as client:
        assert client.download_blob().readall() == b""
    bench.admin("DELETE", f"{ACCOUNT}/open/empty")


SMALL_CHUNKS = {"max_single_get_size": 2**20, "max_chunk_get_size": 2**18}


@pytest.mark.parametrize(
    ("size_bytes", "limits"),
    [(5 * 2**20, SMALL_CHUNKS), pytest.param(LARGE_BYTES, {}, marks=pytest.mark.long)],
    ids=["small chunks", "more than 64 MiB"],
)
def test_a_large_blob_comes_in_chunks(bench: Bench, account: str, size_bytes: int, limits: dict[str, int]) -> None:
    content = DATA[: 2**16] * (size_bytes // 2**16)
    bench.admin("PUT", f"{ACCOUNT}/blobs/large.bin", data=content)
    transport = Counting()
    with blob(account, "large.bin", "blobs", transport=transport, **limits) as client:
        downloaded = client.download_blob(max_concurrency=2).readall()
    assert hashlib.sha256(downloaded).digest() == hashlib.sha256(content).digest()
    assert len(transport.sent) > 2
    bench.admin("DELETE", f"{ACCOUNT}/blobs/large.bin")


def test_conditional_reads(account: str) -> None:
    with blob(account) as client:
        etag = client.get_blob_properties().etag
        matching = client.download_blob(etag=etag, match_condition=MatchConditions.IfNotModified)
        assert matching.readall() == DATA
        with pytest.raises(ResourceModifiedError) as caught:
            client.download_blob(etag='"0x1"', match_condition=MatchConditions.IfNotModified)
        assert (caught.value.status_code, caught.value.error_code) == (412, "ConditionNotMet")
        with pytest.raises(HttpResponseError) as unchanged:
            client.download_blob(etag=etag, match_condition=MatchConditions.IfModified)
        assert unchanged.value.status_code == 304


def test_listing_with_prefix_hierarchy_and_pages(account: str) -> None:
    with ContainerClient(account_url=account, container_name="open") as client:
        assert [item.name for item in client.list_blobs(name_starts_with="logs/")] == NAMES[:25]
        pages = [[item.name for item in page] for page in client.list_blobs(results_per_page=10).by_page()]
        assert [len(page) for page in pages] == [10, 10, 7]
        assert sorted(name for page in pages for name in page) == sorted([*NAMES, "data.bin"])
        assert sorted(item.name for item in client.walk_blobs()) == ["data.bin", "logs/", "other.txt"]
        assert client.get_container_properties().public_access == "container"


def test_what_is_missing_is_404(account: str) -> None:
    with blob(account, "nothing") as client, pytest.raises(ResourceNotFoundError) as caught:
        client.download_blob()
    assert caught.value.error_code == "BlobNotFound"
    with blob(account, container="nowhere") as client, pytest.raises(ResourceNotFoundError) as caught:
        client.download_blob()
    assert caught.value.error_code in ("ContainerNotFound", "ResourceNotFound")
    with blob(account, "nothing") as client:
        assert not client.exists()


def test_a_private_container_hides_what_it_has(account: str) -> None:
    with blob(account, container="private") as client, pytest.raises(ResourceNotFoundError) as caught:
        client.download_blob()
    assert caught.value.error_code == "ResourceNotFound"
    with ContainerClient(account_url=account, container_name="blobs") as client, pytest.raises(ResourceNotFoundError):
        list(client.list_blobs())


def test_with_the_switch_off_there_is_one_request_and_its_code(bench: Bench, account: str) -> None:
    transport = Counting()
    with bench.outage(ACCOUNT):
        with blob(account, transport=transport) as client, pytest.raises(ResourceExistsError) as caught:
            client.download_blob()
        assert (caught.value.status_code, caught.value.error_code) == (409, "PublicAccessNotPermitted")
        assert "Public access is not permitted on this storage account." in str(caught.value.message)
        assert len(transport.sent) == 1
        with blob(account) as client:
            assert client.exists(), "the client's own trap: a 409 counts as being there"
    with blob(account) as client:
        assert client.download_blob().readall() == DATA


def test_a_503_is_tried_again(bench: Bench, account: str) -> None:
    transport = Counting()
    with (
        bench.fault("blobstore", "fail_first", account=ACCOUNT, count=2, status=503),
        blob(account, transport=transport, **FAST_RETRY) as client,
    ):
        assert client.download_blob().readall() == DATA
    assert len(transport.sent) == 3


def test_a_503_that_stays_ends_in_an_error(bench: Bench, account: str) -> None:
    transport = Counting()
    with (
        bench.fault("blobstore", "http_error", account=ACCOUNT, status=503, code="ServerBusy"),
        blob(account, transport=transport, **FAST_RETRY) as client,
        pytest.raises(HttpResponseError) as caught,
    ):
        client.download_blob()
    assert (caught.value.status_code, caught.value.error_code) == (503, "ServerBusy")
    assert len(transport.sent) == 4


@pytest.mark.parametrize("version", ["2015-02-21", "2021-12-02", "2026-10-06", "2099-01-01"])
def test_any_x_ms_version_is_accepted(account: str, version: str) -> None:
    answer = requests.get(f"{account}/open/data.bin", headers={"x-ms-version": version}, timeout=10)
    assert (answer.status_code, answer.content == DATA) == (200, True)


# --- asynchronous ----------------------------------------------------------------------------------------


async def test_aio_download_range_and_properties(account: str) -> None:
    async with aio_blob(account) as client:
        stream = await client.download_blob()
        assert await stream.readall() == DATA
        part = await client.download_blob(offset=10, length=90)
        assert await part.readall() == DATA[10:100]
        assert (await client.get_blob_properties()).size == len(DATA)


async def test_aio_listing(account: str) -> None:
    async with AsyncContainerClient(account_url=account, container_name="open") as client:
        names = [item.name async for item in client.list_blobs(name_starts_with="logs/", results_per_page=10)]
    assert names == NAMES[:25]


async def test_aio_refusals(bench: Bench, account: str) -> None:
    async with aio_blob(account, "nothing") as client:
        with pytest.raises(ResourceNotFoundError) as missing:
            await client.download_blob()
    assert missing.value.error_code == "BlobNotFound"
    async with aio_blob(account, container="private") as client:
        with pytest.raises(ResourceNotFoundError):
            await client.download_blob()
    async with aio_blob(account) as client:
        with pytest.raises(ResourceModifiedError):
            await client.download_blob(etag='"0x1"', match_condition=MatchConditions.IfNotModified)


async def test_aio_with_the_switch_off_there_is_one_request(bench: Bench, account: str) -> None:
    transport = AsyncCounting()
    with bench.outage(ACCOUNT):
        async with aio_blob(account, transport=transport) as client:
            with pytest.raises(ResourceExistsError) as caught:
                await client.download_blob()
    assert caught.value.error_code == "PublicAccessNotPermitted"
    assert len(transport.sent) == 1


async def test_aio_a_503_is_tried_again(bench: Bench, account: str) -> None:
    transport = AsyncCounting()
    with bench.fault("blobstore", "fail_first", account=ACCOUNT, count=2, status=503):
        async with aio_blob(account, transport=transport, **FAST_RETRY) as client:
            stream = await client.download_blob()
            assert await stream.readall() == DATA
    assert len(transport.sent) == 3
