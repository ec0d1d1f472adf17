"""The blob service's repository over every Redis there is (see `store` in conftest)."""

import pytest

from services.blobstore.state import Blob, BlobContainer, PublicAccessSwitch, StorageAccount
from services.blobstore.store.repository import CHUNK_BYTES, Repository
from services.chassis.store import Store
from services.chassis.stored import Stored

pytestmark = pytest.mark.both_clocks
QUIET = Stored(lambda _kind, **_fields: None)


def account_of() -> StorageAccount:
    switch = PublicAccessSwitch(True).turned(False, 100.125, 0.5)
    return StorageAccount("acct", "group", 99.5, switch, tags={"a": "b"}, properties={"accessTier": "Cool"})


def blob_of(name: str, body_id: str, data: bytes) -> Blob:
    return Blob(name, body_id, len(data), "md5==", '"0x8D1"', 1.25, 2.5, {"Content-Type": "text/plain"}, {"k": "v"})


async def test_what_is_written_is_read_back_equal(store: Store) -> None:
    repository = Repository(store, "eastus", QUIET)
    account = account_of()
    account.containers["c1"] = BlobContainer("c1", "Blob", '"0x8D2"', 3.5, {"m": "n"})
    blob = blob_of("dir/ä b", "id1", b"hello")
    account.containers["c1"].put(blob)
    assert await repository.claim("acct")
    await repository.save_account(account)
    await repository.save_container("acct", account.containers["c1"])
    await repository.commit_blob("acct/c1", blob, None, [b"hello"])
    loaded = await Repository(store, "eastus", QUIET).load()
    assert loaded == {"acct": account}
    assert await repository.read_bodies(["id1", "unknown"]) == [b"hello", b""]
    assert await Repository(store, "westus", QUIET).load() == {}


async def test_bytes_are_bytes(store: Store) -> None:
    repository = Repository(store, "eastus", QUIET)
    data = bytes(range(256)) * (CHUNK_BYTES // 256)
    await repository.begin_upload("id1")
    await repository.write_chunk("id1", 0, data)
    await repository.write_chunk("id1", 1, b"\x00\xff\r\n")
    assert await repository.read_chunk("id1", 0) == data
    assert await repository.read_chunk("id1", 1) == b"\x00\xff\r\n"
    assert await repository.read_chunk("id1", 2) is None


async def test_a_name_belongs_to_the_region_that_claimed_it_first(store: Store) -> None:
    east, west = Repository(store, "eastus", QUIET), Repository(store, "westus", QUIET)
    assert not await east.taken("acct")
    assert await east.claim("acct")
    assert await east.claim("acct")
    assert not await west.claim("acct")
    assert await west.taken("acct")
    await east.save_account(account_of())
    await east.delete_account(account_of())
    assert await west.claim("acct")


async def test_a_commit_replaces_and_a_delete_removes_bytes(store: Store) -> None:
    repository = Repository(store, "eastus", QUIET)
    old, new = blob_of("x", "old", b"1"), blob_of("x", "new", b"2")
    await repository.commit_blob("acct/c1", old, None, [b"1"])
    await repository.begin_upload("new")
    await repository.write_chunk("new", 0, b"2")
    await repository.commit_blob("acct/c1", new, old)
    assert await repository.read_chunk("old", 0) is None
    assert await repository.read_chunk("new", 0) == b"2"
    await repository.delete_blob("acct/c1", new)
    assert await store.keys("*") == []


async def test_a_container_goes_with_its_blobs(store: Store) -> None:
    repository = Repository(store, "eastus", QUIET)
    container = BlobContainer("c1", "None", '"0x1"', 0.0)
    blob = blob_of("x", "id1", b"1")
    container.put(blob)
    await repository.save_container("acct", container)
    await repository.commit_blob("acct/c1", blob, None, [b"1"])
    await repository.delete_container("acct", container)
    assert await store.keys("*") == []


async def test_loading_sweeps_uploads_and_names_that_a_crash_left(store: Store) -> None:
    repository = Repository(store, "eastus", QUIET)
    await repository.claim("orphan")
    await Repository(store, "westus", QUIET).claim("foreign")
    await repository.begin_upload("half")
    await repository.write_chunk("half", 0, b"1")
    assert await repository.load() == {}
    assert await store.keys("*") == [b"blobstore:names"]
    assert await store.hgetall("blobstore:names") == {b"foreign": b"westus"}


async def test_an_abandoned_upload_stores_nothing(store: Store) -> None:
    repository = Repository(store, "eastus", QUIET)
    await repository.begin_upload("half")
    await repository.write_chunk("half", 0, b"1")
    await repository.abandon_upload("half")
    assert await store.keys("*") == []


async def test_seeding_is_marked_per_region(store: Store) -> None:
    repository = Repository(store, "eastus", QUIET)
    assert not await repository.is_seeded()
    await repository.mark_seeded()
    assert await repository.is_seeded()
    assert not await Repository(store, "westus", QUIET).is_seeded()
