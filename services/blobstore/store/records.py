"""How accounts, containers and blobs are written to Redis and read back: JSON records, one per hash field."""

import json
from typing import Any

from services.blobstore.state import Account, Blob, Container, Switch


def dump_account(account: Account) -> str:
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


def load_account(raw: bytes) -> Account:
    record: dict[str, Any] = json.loads(raw)
    pending = tuple((at, value) for at, value in record.pop("pending"))
    return Account(switch=Switch(record.pop("public"), pending), **record)


def dump_container(container: Container) -> str:
    record = {
        "name": container.name,
        "level": container.level,
        "etag": container.etag,
        "modified_at": container.modified_at,
        "metadata": container.metadata,
    }
    return json.dumps(record, sort_keys=True)


def load_container(raw: bytes) -> Container:
    return Container(**json.loads(raw))


def dump_blob(blob: Blob) -> str:
    record = {name: getattr(blob, name) for name in Blob.__slots__}
    return json.dumps(record, sort_keys=True)


def load_blob(raw: bytes) -> Blob:
    return Blob(**json.loads(raw))
