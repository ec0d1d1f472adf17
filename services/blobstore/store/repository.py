"""The blob service's state in Redis: accounts, containers, blobs, bytes.

Bytes are stored in chunks under their own id. A single write of the record makes them a blob, so a crash during an
upload leaves only an id in `uploads` and its chunks, which the next start removes.
"""

from collections.abc import Collection, Iterable

from services.blobstore.state import Blob, BlobContainer, StorageAccount
from services.blobstore.store.records import ACCOUNT, BLOB, CONTAINER, dump_account, dump_blob, dump_container
from services.chassis.store import Store, text
from services.chassis.stored import Stored

CHUNK_BYTES = 2**20
NAMES_KEY = "blobstore:names"
"""Account name → region, for the whole testbed: in Azure, account names are global."""


class Repository:
    """Loads all state once, at start; later it only writes, and reads chunks of large blobs."""

    def __init__(self, store: Store, region: str, stored: Stored) -> None:
        self._store = store
        self._stored = stored
        self.damaged: set[str] = set()
        """Accounts that the last `load` could not read completely."""
        self._region = region
        prefix = f"blobstore:{region}"
        self._seeded = f"{prefix}:seeded"
        self._accounts = f"{prefix}:accounts"
        self._containers = f"{prefix}:containers"
        self._blobs = f"{prefix}:blobs"
        self._uploads = f"{prefix}:uploads"
        self._body_prefix = f"{prefix}:body:"
        stored.expect("string", self._seeded)
        stored.expect("hash", self._accounts, self._containers, self._blobs, NAMES_KEY)
        stored.expect("set", self._uploads)

    # --- start ---------------------------------------------------------------------------------------

    async def is_seeded(self) -> bool:
        return bool(await self._store.exists(self._seeded))

    async def mark_seeded(self) -> None:
        await self._store.set(self._seeded, 1)

    async def load(self) -> dict[str, StorageAccount]:
        """Removes what interrupted changes left, then returns all accounts with their containers and blobs."""
        await self._sweep()
        async with self._store.pipeline(transaction=True) as pipe:
            for key in (self._accounts, self._containers, self._blobs):
                pipe.hgetall(key)
            raw_accounts, raw_containers, raw_blobs = await pipe.execute()
        self.damaged.clear()
        rows = self._stored.read_all(ACCOUNT, raw_accounts, self._accounts)
        accounts = {path: row.account() for path, row in rows.items() if row.name == path}
        self._note_damage(raw_accounts, accounts)
        containers = self._stored.read_all(CONTAINER, raw_containers, self._containers)
        for path, container in containers.items():
            account_name, _, name = path.partition("/")
            if account_name in accounts and container.name == name:
                accounts[account_name].containers[name] = container
        self._note_damage(raw_containers, containers)
        blobs = self._stored.read_all(BLOB, raw_blobs, self._blobs)
        for path, blob in blobs.items():
            account_name, container_name, name = [*path.split("/", 2), "", ""][:3]
            owner = accounts.get(account_name)
            if owner is not None and container_name in owner.containers and blob.name == name:
                owner.containers[container_name].put(blob)
        self._note_damage(raw_blobs, blobs)
        return accounts

    def _note_damage(self, raws: Iterable[bytes], good: Collection[str]) -> None:
        for raw in raws:
            if text(raw) not in good:
                self.damaged.add(text(raw).partition("/")[0])

    def refuse_body(self, account_name: str, blob: Blob, body: bytes) -> None:
        """Reports that the stored bytes of a blob are corrupt."""
        self.damaged.add(account_name)
        self._stored.refuse(body, self._body(blob.body_id), "0", f"{account_name}/{blob.name}: not the bytes uploaded")

    async def _sweep(self) -> None:
        """Removes bytes of uncommitted uploads, and names claimed for accounts that were never written."""
        abandoned = sorted(await self._store.smembers(self._uploads))
        accounts = await self._store.hkeys(self._accounts)
        claimed = await self._store.hgetall(NAMES_KEY)
        orphans = sorted(n for n, region in claimed.items() if text(region) == self._region and n not in set(accounts))
        async with self._store.pipeline(transaction=True) as pipe:
            for body_id in abandoned:
                pipe.delete(self._body(text(body_id)))
                pipe.srem(self._uploads, body_id)
            if orphans:
                pipe.hdel(NAMES_KEY, *orphans)
            await pipe.execute()

    # --- accounts and containers ---------------------------------------------------------------------

    async def claim(self, name: str) -> bool:
        """Claims the account name for this region; returns False if another region has it."""
        if await self._store.hsetnx(NAMES_KEY, name, self._region):
            return True
        return text(await self._store.hget(NAMES_KEY, name) or "") == self._region

    async def reclaim(self, name: str) -> None:
        """Sets this region as the owner of an account that has a record here."""
        await self._store.hset(NAMES_KEY, name, self._region)

    async def taken(self, name: str) -> bool:
        return bool(await self._store.hexists(NAMES_KEY, name))

    async def save_account(self, account: StorageAccount) -> None:
        await self._store.hset(self._accounts, account.name, dump_account(account))

    async def delete_account(self, account: StorageAccount) -> None:
        async with self._store.pipeline(transaction=True) as pipe:
            for container in account.containers.values():
                self._delete_container(pipe, account.name, container)
            pipe.hdel(self._accounts, account.name)
            pipe.hdel(NAMES_KEY, account.name)
            await pipe.execute()

    async def save_container(self, account_name: str, container: BlobContainer) -> None:
        await self._store.hset(self._containers, f"{account_name}/{container.name}", dump_container(container))

    async def delete_container(self, account_name: str, container: BlobContainer) -> None:
        async with self._store.pipeline(transaction=True) as pipe:
            self._delete_container(pipe, account_name, container)
            await pipe.execute()

    def _delete_container(self, pipe: Store, account_name: str, container: BlobContainer) -> None:
        path = f"{account_name}/{container.name}"
        pipe.hdel(self._containers, path)
        for blob in container.blobs.values():
            pipe.hdel(self._blobs, f"{path}/{blob.name}")
            pipe.delete(self._body(blob.body_id))

    # --- blobs ---------------------------------------------------------------------------------------

    def _body(self, body_id: str) -> str:
        return self._body_prefix + body_id

    async def begin_upload(self, body_id: str) -> None:
        """Registers an upload; must precede its first chunk."""
        await self._store.sadd(self._uploads, body_id)

    async def write_chunk(self, body_id: str, index: int, data: bytes) -> None:
        await self._store.hset(self._body(body_id), str(index), data)

    async def abandon_upload(self, body_id: str) -> None:
        async with self._store.pipeline(transaction=True) as pipe:
            pipe.delete(self._body(body_id))
            pipe.srem(self._uploads, body_id)
            await pipe.execute()

    async def commit_blob(self, path: str, blob: Blob, replaced: Blob | None, bodies: Iterable[bytes] = ()) -> None:
        """Commits uploaded bytes as the blob at `account/container`; `bodies` are chunks written with the commit."""
        async with self._store.pipeline(transaction=True) as pipe:
            for index, data in enumerate(bodies):
                pipe.hset(self._body(blob.body_id), str(index), data)
            pipe.hset(self._blobs, f"{path}/{blob.name}", dump_blob(blob))
            pipe.srem(self._uploads, blob.body_id)
            if replaced is not None:
                pipe.delete(self._body(replaced.body_id))
            await pipe.execute()

    async def delete_blob(self, path: str, blob: Blob) -> None:
        async with self._store.pipeline(transaction=True) as pipe:
            pipe.hdel(self._blobs, f"{path}/{blob.name}")
            pipe.delete(self._body(blob.body_id))
            await pipe.execute()

    async def read_chunk(self, body_id: str, index: int) -> bytes | None:
        """One chunk, or None if the blob was replaced or deleted meanwhile."""
        data = await self._store.hget(self._body(body_id), str(index))
        return data if isinstance(data, bytes) else None

    async def read_bodies(self, body_ids: list[str]) -> list[bytes]:
        """The bytes of small blobs, which have at most one chunk."""
        async with self._store.pipeline(transaction=False) as pipe:
            for body_id in body_ids:
                pipe.hget(self._body(body_id), "0")
            return [data or b"" for data in await pipe.execute()]
