"""The Redis format of accounts, containers and blobs: one JSON record per hash field."""

import json
from dataclasses import dataclass, field
from typing import Any

from services.blobstore.state import Blob, BlobContainer, Moment, PublicAccessSwitch, StorageAccount
from services.chassis.stored import StoredShape


@dataclass(frozen=True, slots=True)
class AccountRow:
    """A stored account, with the fields of its switch inlined."""

    name: str
    resource_group: str
    created_at: Moment
    public: bool
    pending: tuple[tuple[Moment, bool], ...]
    kind: str
    sku: str
    tags: dict[str, str] = field(default_factory=dict)
    properties: dict[str, Any] = field(default_factory=dict)

    def account(self) -> StorageAccount:
        return StorageAccount(
            self.name,
            self.resource_group,
            self.created_at,
            PublicAccessSwitch(self.public, self.pending),
            self.kind,
            self.sku,
            self.tags,
            self.properties,
        )


ACCOUNT: StoredShape[AccountRow] = StoredShape(AccountRow)
CONTAINER: StoredShape[BlobContainer] = StoredShape(BlobContainer)
BLOB: StoredShape[Blob] = StoredShape(Blob)


def dump_account(account: StorageAccount) -> str:
    record = {
        "name": account.name,
        "resource_group": account.resource_group,
        "created_at": account.created_at,
        "public": account.switch.public,
        "pending": account.switch.pending,
        "kind": account.kind,
        "sku": account.sku,
        "tags": account.tags,
        "properties": account.properties,
    }
    return json.dumps(record, sort_keys=True)


def dump_container(container: BlobContainer) -> str:
    record = {
        "name": container.name,
        "level": container.level,
        "etag": container.etag,
        "modified_at": container.modified_at,
        "metadata": container.metadata,
    }
    return json.dumps(record, sort_keys=True)


def dump_blob(blob: Blob) -> str:
    record = {name: getattr(blob, name) for name in Blob.__slots__}
    return json.dumps(record, sort_keys=True)
