"""The identity store: create, update, delete, look up. The data is in Redis; a node's memory is only a cache.

A caller without a user-assigned identity has a system-assigned one, derived from the caller's name and not stored.
"""

import json
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any

from services.chassis.store import Store
from services.chassis.stored import Stored, StoredShape
from services.chassis.streams import stable_uuid
from services.policies.recent import Recent

TENANT_ID = stable_uuid("tenant")
KEY = "identities"
CACHE_MAX = 256
"""As many as tokens are kept: nearly all are asked for within the minute in which they were made."""


class DirectoryFull(Exception):
    """One more identity would be over the limit. Nothing was stored."""


def resource_id(subscription: str, group: str, name: str) -> str:
    return (
        f"/subscriptions/{subscription}/resourceGroups/{group}"
        f"/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{name}"
    )


@lru_cache(maxsize=1024)
def system_assigned(caller: str) -> dict[str, str]:
    """The system-assigned identity of `caller`, which is any stable name of a resource."""
    return {
        "id": f"system:{caller}",
        "clientId": stable_uuid(f"client:{caller}"),
        "principalId": stable_uuid(f"principal:{caller}"),
        "tenantId": TENANT_ID,
    }


@dataclass(frozen=True, slots=True)
class _Row:
    """One stored identity."""

    id: str
    location: str
    clientId: str
    principalId: str
    tenantId: str
    tags: dict[str, str] = field(default_factory=dict)


_ROW: StoredShape[_Row] = StoredShape(_Row)


class Directory:
    """User-assigned identities in one hash, under resource id, client id and object id alike.

    Client and object ids are derived from the resource id, so each change is a single, atomic command.
    """

    def __init__(self, store: Store, stored: Stored) -> None:
        self._store = store
        self._stored = stored
        stored.expect("hash", KEY)
        self._cache: Recent[str, dict[str, Any]] = Recent(CACHE_MAX)

    async def get(self, key: str) -> dict[str, Any] | None:
        """The identity with this resource id, client id or object id, or None."""
        raw = await self._store.hget(KEY, key.lower())
        row = self._stored.read(_ROW, raw, KEY, key.lower()) if raw is not None else None
        return asdict(row) if row else None

    async def put(
        self, rid: str, location: str, tags: dict[str, str], identities_max: int
    ) -> tuple[dict[str, Any], bool]:
        """Creates or updates an identity; returns it and whether it is new. It is stored when this returns.

        Raises:
            DirectoryFull: it would be new, and there are `identities_max` already.
        """
        keys = rid_key, client, principal = _keys(rid)
        identity = {
            "id": rid,
            "location": location,
            "tags": tags,
            "clientId": client,
            "principalId": principal,
            "tenantId": TENANT_ID,
        }
        raw = json.dumps(identity, sort_keys=True)
        async with self._store.pipeline(transaction=True) as pipe:
            pipe.hset(KEY, mapping={rid_key: raw, client: raw, principal: raw})
            pipe.hlen(KEY)
            added, entries = await pipe.execute()
        if added and entries > identities_max * len(keys):
            await self.delete(rid)
            raise DirectoryFull
        return identity, bool(added)

    async def delete(self, rid: str) -> bool:
        """Deletes an identity; returns whether it existed."""
        keys = _keys(rid)
        for key in keys:
            self._cache.pop(key, None)
        return bool(await self._store.hdel(KEY, *keys))

    async def list(self, prefix: str) -> list[dict[str, Any]]:
        """All identities whose resource id starts with `prefix`, sorted by id."""
        rows = self._stored.read_all(_ROW, await self._store.hgetall(KEY), KEY)
        found = [asdict(row) for key, row in rows.items() if key.startswith(prefix.lower())]
        return sorted(found, key=lambda identity: str(identity["id"]))

    async def lookup(self, key: str) -> dict[str, Any] | None:
        """Like `get`, but hits are cached in this node, as in the real service."""
        key = key.lower()
        found = self._cache.get(key)
        if found is None:
            found = await self.get(key)
            if found is not None:
                self._cache[key] = found
        return found


@lru_cache(maxsize=256)
def _keys(rid: str) -> tuple[str, str, str]:
    rid = rid.lower()
    return rid, stable_uuid(f"client:{rid}"), stable_uuid(f"principal:{rid}")
