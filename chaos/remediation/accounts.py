"""Storage accounts through the resource provider's HTTP API: list, change, restore, audit.

The blobstore of a region serves the accounts of that region, so every call names its region.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Protocol

from chaos.remediation.inventory import InventoryAccount
from services.chassis.http import HttpClient, HttpReply
from services.clients.identity.client import SUBSCRIPTION

STORAGE_API_VERSION = "2023-05-01"
ACCOUNTS_PATH = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Storage/storageAccounts"
EXEMPT_TAG = "aftershock-exempt"
CORRELATION_HEADER = "x-ms-correlation-request-id"


class PeerUrls(Protocol):
    """Base URLs of services by region; implemented by `services.chassis.env.Peers`."""

    def url(self, service: str, region: str) -> str: ...


class StorageAccounts:
    """Calls to the resource providers of all regions. Network failures are returned as values."""

    def __init__(self, http: HttpClient, peers: PeerUrls, *, timeout_s: float = 5.0) -> None:
        self._http = http
        self._peers = peers
        self.timeout_s = timeout_s

    async def list(self, region: str) -> tuple[InventoryAccount, ...] | None:
        """The accounts of the region, sorted by name; None if they cannot be listed."""
        base = self._peers.url("blobstore", region)
        url = f"{base}{ACCOUNTS_PATH}?api-version={STORAGE_API_VERSION}"
        reply = await self._http.call("GET", url, timeout_s=self.timeout_s)
        if not reply.ok:
            return None
        rows = [_account(row) for row in reply.json()["value"] if row["location"] == region]
        return tuple(sorted(rows, key=lambda account: account.name))

    async def list_all(self, regions: Iterable[str]) -> tuple[tuple[InventoryAccount, ...], tuple[str, ...]]:
        """All accounts of the regions, and the regions that could not be listed."""
        found: list[InventoryAccount] = []
        silent: list[str] = []
        for region in regions:
            accounts = await self.list(region)
            found += accounts or ()
            if accounts is None:
                silent.append(region)
        return tuple(found), tuple(silent)

    async def set_public(self, account: InventoryAccount, public: bool, *, actor: str) -> HttpReply:
        """Sets `allowBlobPublicAccess` of an account; `actor` is sent as the correlation id."""
        url = f"{self._peers.url('blobstore', account.region)}{account.resource_id}?api-version={STORAGE_API_VERSION}"
        body = {"properties": {"allowBlobPublicAccess": public}}
        return await self._http.call(
            "PATCH", url, timeout_s=self.timeout_s, headers={CORRELATION_HEADER: actor}, json=body
        )

    async def restore(
        self, regions: Sequence[str], patterns: Sequence[str], *, actor: str, spacing_s: float = 0.0
    ) -> "RestoreOutcome":
        """Makes private exempt accounts that match any pattern public again, region by region.

        Non-exempt accounts stay private, as the policy requires. `spacing_s` is the pause between two changes, in
        seconds.
        """
        return RestoreOutcome(*await self._switch(regions, patterns, True, actor, spacing_s))

    async def disable(self, regions: Sequence[str], patterns: Sequence[str], *, actor: str) -> tuple[str, ...]:
        """Makes public exempt accounts that match any pattern private; returns the accounts and regions that failed."""
        _, failed = await self._switch(regions, patterns, False, actor)
        return failed

    async def _switch(
        self, regions: Sequence[str], patterns: Sequence[str], public: bool, actor: str, spacing_s: float = 0.0
    ) -> tuple[tuple[InventoryAccount, ...], tuple[str, ...]]:
        """Changes the accounts `to_switch` of each region; returns the changed accounts, and the names that failed."""
        turned: list[InventoryAccount] = []
        failed: list[str] = []
        for region in regions:
            accounts = await self.list(region)
            if accounts is None:
                failed.append(region)
                continue
            for account in to_switch(accounts, patterns, public=public):
                if spacing_s and turned:
                    await asyncio.sleep(spacing_s)
                reply = await self.set_public(account, public, actor=actor)
                if reply.ok:
                    turned.append(account)
                else:
                    failed.append(account.name)
        return tuple(turned), tuple(failed)

    async def audit(self, regions: Iterable[str]) -> "Audit":
        """Counts the accounts of the regions by actual and intended state."""
        accounts, silent = await self.list_all(regions)
        return Audit(
            accounts=len(accounts),
            public_exempt=sum(account.exempt and account.public for account in accounts),
            private_exempt=sum(account.exempt and not account.public for account in accounts),
            unreachable=silent,
        )


@dataclass(frozen=True, slots=True)
class RestoreOutcome:
    """Result of a restore; `failed` names accounts that could not be changed and regions that could not be listed."""

    accounts: tuple[InventoryAccount, ...]
    failed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Audit:
    """State of the accounts at one time. All are correct if `private_exempt` is 0 and `unreachable` is empty."""

    accounts: int
    public_exempt: int
    private_exempt: int
    unreachable: tuple[str, ...]


def to_switch(accounts: Iterable[InventoryAccount], patterns: Sequence[str], *, public: bool) -> list[InventoryAccount]:
    """The exempt accounts that are not yet `public` and match one of the patterns, in pattern order, then by name."""
    other = [account for account in accounts if account.exempt and account.public is not public]
    return list(dict.fromkeys(account for glob in patterns for account in other if fnmatchcase(account.name, glob)))


def _account(row: Mapping[str, Any]) -> InventoryAccount:
    properties = row.get("properties", {})
    return InventoryAccount(
        name=row["name"],
        region=row["location"],
        public=properties.get("allowBlobPublicAccess") is not False,  # unset means public, as in Azure
        exempt=row.get("tags", {}).get(EXEMPT_TAG) == "true",
        resource_id=row["id"],
    )
