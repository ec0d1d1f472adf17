"""Operations on a running testbed, one method per action, through the same interfaces as for human operators.

Storage accounts through the storage management API, traffic through the routers, nodes through the runtime.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from redis.exceptions import WatchError

from chaos.remediation.accounts import Audit, RestoreOutcome, StorageAccounts
from compose.runtime import Runtime
from compose.topology import LOADGEN, NODES_MAX, SCALABLE, InstanceSpec
from services.chassis.access import SECRET_HEADER
from services.chassis.events import Events
from services.chassis.http import HttpReply
from services.chassis.live import announce, read_overlay_value
from services.chassis.settings import Tree, merge
from services.chassis.store import Keys

OPERATOR_TIMEOUT_S = 10.0
CHANGES_MAX = 100
ALREADY_RUNNING = 409
INVALID = 422


class OperationFailed(RuntimeError):
    """An operation was refused; the message says by what and why."""


class OutOfBounds(OperationFailed):
    """A requested value is out of bounds; the message has the bound."""


class Operations:
    """Performs operations. `actor` is the id recorded as the cause of the change."""

    def __init__(self, runtime: Runtime, regions: Sequence[str], events: Events) -> None:
        self._runtime = runtime
        self._regions = tuple(regions)
        self._events = events
        self.accounts = StorageAccounts(runtime.http, runtime.peers, timeout_s=OPERATOR_TIMEOUT_S)

    async def restore_accounts(
        self, regions: Sequence[str], patterns: Sequence[str], *, spacing_s: float, actor: str
    ) -> RestoreOutcome:
        """Makes private exempt accounts public again, region by region.

        Raises:
            OperationFailed: some accounts or regions (named in the message) failed; the others are restored.
        """
        restored = await self.accounts.restore(regions, patterns, actor=actor, spacing_s=spacing_s)
        if restored.failed:
            raise OperationFailed(f"could not restore: {', '.join(restored.failed)}")
        return restored

    async def disable_accounts(self, regions: Sequence[str], patterns: Sequence[str], *, actor: str) -> None:
        """Makes public exempt accounts private.

        Raises:
            OperationFailed: some accounts or regions (named in the message) failed; the others are private.
        """
        failed = await self.accounts.disable(regions, patterns, actor=actor)
        if failed:
            raise OperationFailed(f"could not disable: {', '.join(failed)}")

    async def audit_accounts(self) -> Audit:
        """Counts the accounts of all regions by state."""
        return await self.accounts.audit(self._regions)

    async def scale_identity(self, region: str, count: int) -> Sequence[InstanceSpec]:
        """Adds `count` nodes, or removes the −`count` newest.

        Raises:
            OutOfBounds: too many; the message says how many can be added or removed.
        """
        self._require_room(region, count)
        change = self._runtime.add_nodes if count >= 0 else self._runtime.remove_nodes
        return await change(region, abs(count))

    def _require_room(self, region: str, count: int) -> None:
        nodes = [spec for spec in self._runtime.instances() if spec.service == SCALABLE]
        here = sum(spec.region == region for spec in nodes)
        if -count > here:
            raise OutOfBounds(f"count: {region} has {here} identity nodes, so at most {here} can be removed")
        bound = NODES_MAX[self._runtime.name]
        if count > 0 and len(nodes) + count > bound:
            raise OutOfBounds(
                f"count: the testbed has {len(nodes)} identity nodes and the limit of the {self._runtime.name} runtime "
                f"is {bound}, so at most {max(0, bound - len(nodes))} can be added"
            )

    async def set_traffic(self, region: str, rule: Mapping[str, Any]) -> None:
        """`rule` is the body of the router's `PUT /admin/traffic/{region}`."""
        url = f"{self._runtime.peers.url('router', region)}/admin/traffic/{region}"
        reply = await self._call("PUT", url, dict(rule))
        _require(reply, f"router of {region}")

    async def set_load(self, region: str, factor: float) -> None:
        reply = await self._load("POST", "/admin/load", {"region": region, "factor": factor})
        _require(reply, "load generator")

    async def start_load(self, at_epoch: float, zero_epoch: float) -> None:
        """`at_epoch` is the start of the load, `zero_epoch` the Unix time of τ = 0; both in seconds."""
        body = {"at_epoch": at_epoch, "zero_epoch": zero_epoch}
        _require(await self._load("POST", "/admin/start", body), "load generator")

    async def ensure_load(self) -> None:
        """Starts the load unless it is running."""
        reply = await self._load("POST", "/admin/start", {})
        if reply.status != ALREADY_RUNNING:
            _require(reply, "load generator")

    async def stop_load(self) -> None:
        _require(await self._load("POST", "/admin/stop", {}), "load generator")

    async def _load(self, method: str, path: str, body: Tree) -> HttpReply:
        return await self._call(method, self._runtime.peers.url(LOADGEN, "") + path, body)

    async def _call(self, method: str, url: str, body: Tree) -> HttpReply:
        """A call by an operator to one of the project's processes, with the project secret."""
        headers = {SECRET_HEADER: self._runtime.secret}
        return await self._runtime.http.call(method, url, json=body, headers=headers, timeout_s=OPERATOR_TIMEOUT_S)

    async def overlay(self, change: Tree) -> Tree:
        """Merges settings into the overlay of all instances; returns the resulting overlay."""
        return await change_overlay(self._runtime, lambda overlay: merge(overlay, change), self._events)


async def change_overlay(
    runtime: Runtime, change: Callable[[Tree], Tree], events: Events, beside: Mapping[str, str] | None = None
) -> Tree:
    """Reads, changes and writes the overlay in one transaction, so that concurrent changes are not lost.

    `beside` are further keys to write in the same transaction. An unreadable overlay is ignored by all services, so it
    is replaced.

    Raises:
        OperationFailed: concurrent changes kept the transaction from succeeding.
    """
    for _ in range(CHANGES_MAX):
        async with runtime.store.pipeline(transaction=True) as pipe:
            await pipe.watch(Keys.OVERLAY)
            overlay = change(_readable(await pipe.get(Keys.OVERLAY)))
            pipe.multi()  # type: ignore[no-untyped-call]
            pipe.mset({Keys.OVERLAY: json.dumps(overlay, sort_keys=True), **(beside or {})})
            with suppress(WatchError):
                await pipe.execute()
                break
    else:
        raise OperationFailed("the settings were changed concurrently; try again")
    await announce(runtime.store, "settings")
    events.emit("setting_changed", overlay=overlay)
    return overlay


def _readable(raw: bytes | str | None) -> Tree:
    try:
        return {} if raw is None else read_overlay_value(raw)
    except ValueError:
        return {}


def _require(reply: HttpReply, who: str) -> None:
    if reply.status == INVALID:
        raise OutOfBounds(str(reply.json()["error"]["message"]))
    if not reply.ok:
        detail = reply.failure or f"{reply.status} {reply.body[:300].decode(errors='replace')}"
        raise OperationFailed(f"{who}: {detail}")
