"""Faults under way: started, watched, ended by call or by lease, found again after the controller was killed.

A service-level fault is one key with a time to live: services obey it without the controller, and drop it when its
lease is over by their own clock. An instance-level fault leaves a record in the store that outlives the lease, because
somebody must undo it: a controller that starts reverts what is overdue and keeps watching the rest.
"""

import asyncio
import contextlib
import json
from dataclasses import dataclass, replace
from typing import Any

from chaos.faults.model import FaultSpec, FaultTarget, InstanceFault
from chaos.faults.registry import check
from compose.runtime import Runtime, RuntimeUnavailable
from compose.topology import InstanceSpec
from services.chassis.events import Events
from services.chassis.live import announce
from services.chassis.store import Keys, scan, text

SEQUENCE_KEY = "fault-sequence"
INSTANCE_PREFIX = "instance-fault:"
REDIS_STALL = "redis_stall"
REVERT_RETRY_S = 1.0


class UnknownTarget(LookupError):
    """The target matches no instance; the text lists what there is."""


class UnknownFault(LookupError):
    """No fault of that id is active."""


@dataclass(frozen=True)
class ActiveFault:
    """A fault under way. `effects` is requests changed (service level) or instances touched (instance level)."""

    id: str
    spec: FaultSpec
    level: str
    expires_at: float
    instances: tuple[str, ...]
    effects: int = 0

    def document(self) -> dict[str, Any]:
        return {
            "id": self.id,
            **self.spec.model_dump(mode="json"),
            "level": self.level,
            "expires_at": self.expires_at,
            "instances": list(self.instances),
            "effects": self.effects,
        }


class FaultLeases:
    """Starts and ends faults on one testbed."""

    def __init__(self, runtime: Runtime, events: Events) -> None:
        self._runtime = runtime
        self._events = events
        self._watched: dict[str, ActiveFault] = {}
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self._service_level: dict[str, tuple[str, float]] = {}

    def targets(self, spec: FaultSpec) -> list[InstanceSpec]:
        """The instances that a fault would meet; this is also the dry run.

        Raises:
            UnknownTarget: when there is none.
        """
        if spec.kind == REDIS_STALL:
            return []
        found = [instance for instance in self._runtime.instances() if spec.target.meets(instance)]
        if not found:
            raise UnknownTarget(f"target matches no instance: {_describe(spec.target)}; {self._known(spec.target)}")
        return found

    def _known(self, target: FaultTarget) -> str:
        instances = self._runtime.instances()
        if target.instance:
            return f"known instances: {', '.join(sorted(i.name for i in instances))}"
        services = ", ".join(sorted({i.service for i in instances}))
        regions = ", ".join(sorted({i.region for i in instances if i.region}))
        return f"known services: {services}; known regions: {regions}"

    async def start(self, spec: FaultSpec) -> ActiveFault:
        """Begins a fault; it ends with its lease.

        Raises:
            SettingsError, UnknownTarget: nothing was started.
        """
        kind, parameters = check(spec)
        targets = self.targets(spec)
        store = self._runtime.store
        fault_id = f"f{await store.incr(SEQUENCE_KEY)}"
        expires_at = self._runtime.clock.epoch() + spec.lease_s
        names = tuple(instance.name for instance in targets)
        active = ActiveFault(fault_id, spec, kind.level, expires_at, names)
        if isinstance(kind, InstanceFault):
            await store.set(INSTANCE_PREFIX + fault_id, json.dumps(active.document()))
            touched = await kind.start(self._runtime, targets, parameters)
            active = replace(active, effects=touched)
            self._watch(active)
        else:
            await store.set(Keys.fault(fault_id), json.dumps(active.document()), px=max(1, int(spec.lease_s * 1000)))
            self._service_level[fault_id] = (spec.kind, expires_at)
            await announce(store, "faults")
        self._events.emit(
            "fault_started", id=fault_id, fault=spec.kind, target=spec.target.model_dump(), lease_s=spec.lease_s
        )
        return active

    async def stop(self, fault_id: str) -> None:
        """Ends a fault before its lease does.

        Raises:
            UnknownFault: when it is not active.
        """
        watched = self._watched.get(fault_id)
        if watched is not None:  # asked first, because the fault may be that the store does not answer
            self._watchers[fault_id].cancel()
            await self._revert(watched, "call")
        elif await self._runtime.store.delete(Keys.fault(fault_id)):
            self._service_level.pop(fault_id, None)
            await announce(self._runtime.store, "faults")
            self._events.emit("fault_ended", id=fault_id, why="call")
        else:
            raise UnknownFault(f"no active fault {fault_id!r}")

    async def active(self) -> list[ActiveFault]:
        """Everything under way, oldest first, with its effects so far."""
        store = self._runtime.store
        keys = [*await scan(store, f"{Keys.FAULT_PREFIX}*"), *await scan(store, f"{INSTANCE_PREFIX}*")]
        raws = await store.mget(keys) if keys else []
        found = [_parse(raw) for raw in raws if raw]
        return sorted([await self._with_effects(fault) for fault in found], key=lambda fault: int(fault.id[1:]))

    def counts(self) -> dict[str, int]:
        """How many faults of each kind this controller has under way; without asking the store."""
        now = self._runtime.clock.epoch()
        self._service_level = {id_: row for id_, row in self._service_level.items() if row[1] > now}
        kinds = [fault.spec.kind for fault in self._watched.values()]
        kinds += [kind for kind, _ in self._service_level.values()]
        return {kind: kinds.count(kind) for kind in sorted(set(kinds))}

    async def _with_effects(self, fault: ActiveFault) -> ActiveFault:
        if fault.level == "instance":
            return ActiveFault(
                fault.id, fault.spec, fault.level, fault.expires_at, fault.instances, len(fault.instances) or 1
            )
        counts = await self._runtime.store.hvals(Keys.fault_effects(fault.id))
        return ActiveFault(
            fault.id, fault.spec, fault.level, fault.expires_at, fault.instances, sum(int(count) for count in counts)
        )

    async def reset(self) -> int:
        """Ends every fault; returns how many there were."""
        found = await self.active()
        for fault in found:
            try:
                await self.stop(fault.id)
            except UnknownFault:
                continue  # its lease ran out while the others were being ended
        return len(found)

    async def adopt(self) -> None:
        """After a start: instance-level faults of an earlier controller are reverted when overdue, else watched.

        A stalled store is let go at once, whatever its lease: nothing can be read from it before that.
        """
        with contextlib.suppress(RuntimeUnavailable):
            await self._runtime.stall_store(active=False)
        for key in await scan(self._runtime.store, f"{INSTANCE_PREFIX}*"):
            raw = await self._runtime.store.get(key)
            if raw is not None:
                self._watch(_parse(raw))

    def _watch(self, fault: ActiveFault) -> None:
        self._watched[fault.id] = fault
        self._watchers[fault.id] = asyncio.create_task(self._expire(fault), name=f"lease of {fault.id}")

    async def _expire(self, fault: ActiveFault) -> None:
        await asyncio.sleep(max(0.0, fault.expires_at - self._runtime.clock.epoch()))
        await self._revert(fault, "lease")

    async def _revert(self, fault: ActiveFault, why: str) -> None:
        kind, parameters = check(fault.spec)
        if not isinstance(kind, InstanceFault):
            raise TypeError(f"{fault.id}: {fault.spec.kind} ends by itself")
        present = {instance.name: instance for instance in self._runtime.instances()}
        await kind.stop(self._runtime, [present[name] for name in fault.instances if name in present], parameters)
        self._watched.pop(fault.id, None)
        self._watchers.pop(fault.id, None)
        await self._runtime.store.delete(INSTANCE_PREFIX + fault.id)
        self._events.emit("fault_ended", id=fault.id, why=why)

    async def close(self) -> None:
        """Stops watching; the faults stay, with their leases."""
        for watcher in self._watchers.values():
            watcher.cancel()
        await asyncio.gather(*self._watchers.values(), return_exceptions=True)
        self._watchers.clear()
        self._watched.clear()


def _parse(raw: Any) -> ActiveFault:
    values = json.loads(text(raw))
    spec = FaultSpec.model_validate({name: values[name] for name in FaultSpec.model_fields})
    return ActiveFault(values["id"], spec, values["level"], values["expires_at"], tuple(values["instances"]))


def _describe(target: FaultTarget) -> str:
    return ", ".join(f"{name}={value}" for name, value in target.model_dump().items() if value) or "any"
