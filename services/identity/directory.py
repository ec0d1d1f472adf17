"""The identities themselves: created, updated, deleted, looked up. In Redis; a node's memory is only a cache.

Every caller without a user-assigned identity has a system-assigned one, derived from what it is, so it needs no row.
"""

import json
from typing import Any

from services.chassis.store import Store, text
from services.chassis.streams import stable_uuid

TENANT_ID = stable_uuid("tenant")
_CACHE_MAX = 20_000


def resource_id(subscription: str, group: str, name: str) -> str:
    return (
        f"/subscriptions/{subscription}/resourceGroups/{group}"
        f"/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{name}"
    )


def system_assigned(caller: str) -> dict[str, str]:
    """The identity of a resource that has no user-assigned one. `caller` is any stable name of it."""
    return {
        "id": f"system:{caller}",
        "clientId": stable_uuid(f"client:{caller}"),
        "principalId": stable_uuid(f"principal:{caller}"),
        "tenantId": TENANT_ID,
    }


class Directory:
    """User-assigned identities by resource id, client id and object id."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._cache: dict[str, dict[str, str]] = {}

    async def get(self, rid: str) -> dict[str, Any] | None:
        raw = await self._store.hget("identities", rid.lower())
        return json.loads(raw) if raw else None

    async def put(self, rid: str, location: str, tags: dict[str, str]) -> tuple[dict[str, Any], bool]:
        """Creates or updates; returns the identity and whether it is new. Durable when it returns."""
        before = await self.get(rid)
        identity = {
            "id": rid,
            "location": location,
            "tags": tags,
            "clientId": stable_uuid(f"client:{rid.lower()}"),
            "principalId": stable_uuid(f"principal:{rid.lower()}"),
            "tenantId": TENANT_ID,
        }
        async with self._store.pipeline(transaction=True) as pipe:
            pipe.hset("identities", rid.lower(), json.dumps(identity, sort_keys=True))
            for key in (identity["clientId"], identity["principalId"]):
                pipe.hset("identity-names", str(key), rid.lower())
            await pipe.execute()
        return identity, before is None

    async def delete(self, rid: str) -> bool:
        """Whether it was there."""
        before = await self.get(rid)
        if before is None:
            return False
        async with self._store.pipeline(transaction=True) as pipe:
            pipe.hdel("identities", rid.lower())
            pipe.hdel("identity-names", before["clientId"], before["principalId"])
            await pipe.execute()
        for key in (before["clientId"], before["principalId"], rid.lower()):
            self._cache.pop(key, None)
        return True

    async def list(self, prefix: str) -> list[dict[str, Any]]:
        """All identities whose resource id begins with `prefix`, sorted by id."""
        rows = await self._store.hgetall("identities")
        found = [json.loads(raw) for rid, raw in rows.items() if text(rid).startswith(prefix.lower())]
        return sorted(found, key=lambda identity: str(identity["id"]))

    async def lookup(self, key: str) -> dict[str, str] | None:
        """By client id, object id or resource id. Finds are cached in this node, as the real service does."""
        key = key.lower()
        found = self._cache.get(key)
        if found is not None:
            return found
        rid = text(await self._store.hget("identity-names", key) or "") or key
        identity = await self.get(rid)
        if identity is None:
            return None
        if len(self._cache) >= _CACHE_MAX:
            self._cache.clear()
        self._cache[key] = identity
        return identity
