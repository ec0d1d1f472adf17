"""The state of a blob service: reads from memory, changes to Redis first.

A change is written to Redis before memory shows it and before the caller gets a response. One lock serialises changes,
so memory and Redis see them in the same order; reads never wait for it.
"""

import asyncio
import base64
import hashlib
import math
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any

from multidict import CIMultiDict

from services.blobstore import errors, packages
from services.blobstore.errors import BlobError
from services.blobstore.settings import EXEMPT_TAG, AccountSeed, BlobstoreSettings
from services.blobstore.state import AccessLevel, Blob, BlobContainer, Etags, PublicAccessSwitch, StorageAccount
from services.blobstore.store.repository import CHUNK_BYTES, Repository
from services.chassis.env import Env
from services.chassis.errors import ServiceError

SERVER = "Windows-Azure-Blob/1.0 Microsoft-HTTPAPI/2.0"
PACKAGE_HEADERS = {"Content-Type": "application/zip"}
BlobCheck = Callable[[Blob | None], None]


@dataclass(frozen=True, slots=True)
class PreparedBlob:
    """A blob prepared for reads: its constant headers, and its bytes unless it is large."""

    headers: CIMultiDict[str]
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Upload:
    """The properties of a new blob. `check` gets the blob it replaces and may raise."""

    content: dict[str, str]
    metadata: dict[str, str]
    md5: str | None = None
    check: BlobCheck = lambda _blob: None
    size_max_bytes: float = math.inf


class Storage:
    """The accounts of one region."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._repository = Repository(env.store, env.region, env.stored)
        self._lock = asyncio.Lock()
        self._etags = Etags()
        self.settings = env.settings(BlobstoreSettings)
        self.accounts: dict[str, StorageAccount] = {}
        self.ready: dict[str, PreparedBlob] = {}

    def __repr__(self) -> str:
        return f"<Storage {self._env.region}, {len(self.accounts)} accounts, {len(self.ready)} blobs>"

    # --- start ---------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Loads the state. At the first start, creates the accounts of the settings.

        Accounts of the settings that are damaged are completed again.
        """
        self.accounts = await self._repository.load()
        for account in self.accounts.values():
            for container in account.containers.values():
                self._etags.seen(container.etag)
        await self._prepare_all()
        seeds = self.settings.seeds(self._env.region)
        if not await self._repository.is_seeded():
            for seed in seeds:
                await self.seed(seed)
            await self._repository.mark_seeded()
        for seed in seeds:
            if seed.name in self._repository.damaged:  # without its packages a region could not provision anything
                await self._mend(seed)

    async def _prepare_all(self) -> None:
        """Loads headers and small bodies into memory. A small blob with corrupt bytes is left out."""
        held = [
            (account, container, blob)
            for account in self.accounts.values()
            for container in account.containers.values()
            for blob in container.blobs.values()
        ]
        small = [blob.body_id for _, _, blob in held if blob.size <= self.settings.memory_blob_size_max_bytes]
        bodies = dict(zip(small, await self._repository.read_bodies(small), strict=True))
        for account, container, blob in held:
            body = bodies.get(blob.body_id)
            if body is not None and md5_of(body) != blob.md5:
                self._repository.refuse_body(account.name, blob, body)
                container.remove(blob.name)
                continue
            self._etags.seen(blob.etag)
            self.ready[blob.body_id] = PreparedBlob(read_headers(blob), body)

    async def _mend(self, seed: AccountSeed) -> None:
        """Creates the missing parts of an account of the settings; existing parts stay unchanged."""
        await self._repository.reclaim(seed.name)
        account = self.accounts.get(seed.name)
        if account is None or seed.container not in account.containers:
            await self.seed(seed, public=account.switch.accepted if account else seed.public)
        else:
            await self._put_packages(seed, missing_from=account.containers[seed.container])

    async def seed(
        self, seed: AccountSeed, actor: str = "seed", *, public: bool | None = None
    ) -> tuple[StorageAccount, bool]:
        """Creates the account with its container and packages; returns it and whether it is new."""
        tags = {**seed.tags, EXEMPT_TAG: "true" if seed.exempt else "false"}
        known = self.accounts.get(seed.name)
        public = seed.public if public is None else public
        if known is None:
            account = await self.create_account(seed.name, self._env.region, public=public, tags=tags)
        else:
            account = await self.update_account(seed.name, actor, public=public, tags=tags, delay_s=0.0)
        await self.put_container(seed.name, seed.container, seed.access)
        await self._put_packages(seed)
        return account, known is None

    async def _put_packages(self, seed: AccountSeed, missing_from: BlobContainer | None = None) -> None:
        for package in seed.packages:
            if missing_from is not None and package.blob_name in missing_from.blobs:
                continue
            size = package.size_bytes or self.settings.package_size_bytes
            data = packages.build(package.publisher, package.type, package.version, size)
            await self.put_blob(seed.name, seed.container, package.blob_name, _once(data), Upload(PACKAGE_HEADERS, {}))

    # --- accounts ------------------------------------------------------------------------------------

    def account(self, name: str) -> StorageAccount:
        account = self.accounts.get(name)
        if account is None:
            raise BlobError(errors.ACCOUNT_NOT_FOUND)
        return account

    async def is_taken(self, name: str) -> bool:
        """Whether any region of the testbed has an account with that name."""
        return name in self.accounts or await self._repository.taken(name)

    async def create_account(
        self, name: str, resource_group: str, *, public: bool, tags: dict[str, str], **more: Any
    ) -> StorageAccount:
        """Creates an account. `more` holds further fields of `StorageAccount`.

        Raises:
            ServiceError: `StorageAccountAlreadyTaken`, if another region has one with that name.
        """
        async with self._lock:
            if name in self.accounts or not await self._repository.claim(name):
                raise ServiceError(errors.ARM_NAME_TAKEN, name=name)
            account = StorageAccount(
                name, resource_group, self._env.clock.epoch(), PublicAccessSwitch(public), tags=tags, **more
            )
            await self._repository.save_account(account)
            self.accounts[name] = account
        return account

    async def update_account(
        self, name: str, actor: str, *, public: bool | None = None, delay_s: float | None = None, **more: Any
    ) -> StorageAccount:
        """Changes an account; None or a missing field leaves it unchanged. The switch takes effect after `delay_s`.

        `actor` goes into the `account_changed` event. A switch to its current value emits no event.
        """
        async with self._lock:
            before = self.account(name)
            switch = before.switch
            if public is not None:
                delay = self.settings.propagation_delay_s if delay_s is None else delay_s
                switch = switch.turned(public, self._env.clock.epoch(), delay)
            account = replace(before, switch=switch, **more)
            if account == before:
                return before
            await self._repository.save_account(account)
            self.accounts[name] = account
        if switch is not before.switch:
            self._env.events.emit(
                "account_changed",
                account=name,
                region=self._env.region,
                public=switch.accepted,
                exempt=account.exempt,
                actor=actor,
            )
        return account

    async def delete_account(self, name: str) -> None:
        async with self._lock:
            account = self.account(name)
            await self._repository.delete_account(account)
            del self.accounts[name]
            for container in account.containers.values():
                self._forget(container)

    # --- containers ----------------------------------------------------------------------------------

    def container(self, account_name: str, name: str) -> BlobContainer:
        container = self.account(account_name).containers.get(name)
        if container is None:
            raise BlobError(errors.CONTAINER_NOT_FOUND)
        return container

    async def put_container(
        self, account_name: str, name: str, level: AccessLevel | None, metadata: dict[str, str] | None = None
    ) -> tuple[BlobContainer, bool]:
        """Creates a container or changes its level and metadata (None: unchanged); returns it and whether it is new."""
        async with self._lock:
            account = self.account(account_name)
            now = self._env.clock.epoch()
            before = account.containers.get(name)
            if before is None:
                container = BlobContainer(name, level or "None", self._etags.next(now), now, metadata or {})
            else:
                wanted_level = before.level if level is None else level
                wanted = before.metadata if metadata is None else metadata
                if (wanted_level, wanted) == (before.level, before.metadata):
                    return before, False
                container = replace(
                    before, level=wanted_level, metadata=wanted, etag=self._etags.next(now), modified_at=now
                )
            await self._repository.save_container(account_name, container)
            account.containers[name] = container
        return container, before is None

    async def delete_container(self, account_name: str, name: str) -> None:
        async with self._lock:
            container = self.container(account_name, name)
            await self._repository.delete_container(account_name, container)
            del self.account(account_name).containers[name]
            self._forget(container)

    def _forget(self, container: BlobContainer) -> None:
        for blob in container.blobs.values():
            self.ready.pop(blob.body_id, None)

    # --- blobs ---------------------------------------------------------------------------------------

    async def put_blob(
        self, account_name: str, container_name: str, name: str, chunks: AsyncIterator[bytes], upload: Upload
    ) -> Blob:
        """Stores a blob from a stream of bytes; it becomes visible only when it is complete.

        Raises:
            BlobError: the container is missing, the MD5 differs, the blob is too large, or `upload.check` refuses.
        """
        upload.check(self.container(account_name, container_name).blobs.get(name))
        body_id = self._env.streams.uuid("bodies")
        receiver = _Receiver(self._repository, body_id, upload.size_max_bytes)
        try:
            await receiver.receive(chunks)
            if upload.md5 is not None and upload.md5 != receiver.md5():
                raise BlobError(errors.MD5_MISMATCH)
        except BaseException:
            await receiver.abandon()
            raise
        try:
            return await self._commit(account_name, container_name, name, receiver, upload)
        except BlobError:  # refused; after another failure the commit may have succeeded, and the next start cleans up
            await receiver.abandon()
            raise

    async def _commit(
        self, account_name: str, container_name: str, name: str, receiver: "_Receiver", upload: Upload
    ) -> Blob:
        async with self._lock:
            container = self.container(account_name, container_name)
            replaced = container.blobs.get(name)
            upload.check(replaced)
            now = self._env.clock.epoch()
            created_at = replaced.created_at if replaced else now
            etag = self._etags.next(now)
            blob = Blob(
                name,
                receiver.body_id,
                receiver.size,
                receiver.md5(),
                etag,
                created_at,
                now,
                upload.content,
                upload.metadata,
            )
            await self._repository.commit_blob(f"{account_name}/{container_name}", blob, replaced, receiver.unwritten)
            small = receiver.size <= self.settings.memory_blob_size_max_bytes
            body = b"".join(receiver.unwritten) if small else None
            self.ready[blob.body_id] = PreparedBlob(read_headers(blob), body)
            container.put(blob)
            if replaced is not None:
                self.ready.pop(replaced.body_id, None)
        return blob

    async def delete_blob(self, account_name: str, container_name: str, name: str, check: BlobCheck) -> None:
        async with self._lock:
            container = self.container(account_name, container_name)
            blob = container.blobs.get(name)
            check(blob)
            if blob is None:
                raise BlobError(errors.BLOB_NOT_FOUND)
            await self._repository.delete_blob(f"{account_name}/{container_name}", blob)
            container.remove(name)
            self.ready.pop(blob.body_id, None)

    async def read_large(self, blob: Blob, first: int, end: int) -> AsyncIterator[bytes]:
        """The bytes `first` to `end` (exclusive) of a blob that is not in memory, chunk by chunk.

        Raises:
            ConnectionResetError: the blob was replaced or deleted while it was read.
        """
        for index in range(first // CHUNK_BYTES, -(-end // CHUNK_BYTES)):
            chunk = await self._repository.read_chunk(blob.body_id, index)
            if chunk is None:
                raise ConnectionResetError(f"{blob.name} changed while it was read")
            start = index * CHUNK_BYTES
            yield chunk[max(0, first - start) : end - start]


class _Receiver:
    """Splits an upload into chunks. Full chunks go to Redis at once; the last one is written with the commit."""

    def __init__(self, repository: Repository, body_id: str, size_max_bytes: float) -> None:
        self._repository = repository
        self._size_max_bytes = size_max_bytes
        self._hash = hashlib.md5(usedforsecurity=False)
        self._written = 0
        self.body_id = body_id
        self.size = 0
        self.unwritten: list[bytes] = []

    async def receive(self, chunks: AsyncIterator[bytes]) -> None:
        buffer = bytearray()
        async for data in chunks:
            self._hash.update(data)
            self.size += len(data)
            if self.size > self._size_max_bytes:
                raise BlobError(errors.BODY_TOO_LARGE)
            buffer += data
            while len(buffer) > CHUNK_BYTES:
                await self._write(bytes(buffer[:CHUNK_BYTES]))
                del buffer[:CHUNK_BYTES]
        if not self._written:
            self.unwritten = [bytes(buffer)]
        else:
            await self._write(bytes(buffer))

    async def _write(self, data: bytes) -> None:
        if not self._written:
            await self._repository.begin_upload(self.body_id)
        await self._repository.write_chunk(self.body_id, self._written, data)
        self._written += 1

    async def abandon(self) -> None:
        if self._written:
            await self._repository.abandon_upload(self.body_id)

    def md5(self) -> str:
        return _base64(self._hash)


def md5_of(body: bytes) -> str:
    """The MD5 in the format of `Content-MD5` (base64)."""
    return _base64(hashlib.md5(body, usedforsecurity=False))


def _base64(digest: Any) -> str:
    return base64.b64encode(digest.digest()).decode()


def read_headers(blob: Blob) -> CIMultiDict[str]:
    """The headers that every successful read of the blob carries."""
    headers = CIMultiDict(
        {
            "Content-Type": "application/octet-stream",
            **blob.content,
            "ETag": blob.etag,
            "Last-Modified": blob.last_modified,
            "Accept-Ranges": "bytes",
            "Server": SERVER,
            "x-ms-creation-time": blob.created,
            "x-ms-blob-type": "BlockBlob",
            "x-ms-lease-status": "unlocked",
            "x-ms-lease-state": "available",
            "x-ms-server-encrypted": "true",
        }
    )
    headers.update({f"x-ms-meta-{key}": value for key, value in blob.metadata.items()})
    return headers


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data
