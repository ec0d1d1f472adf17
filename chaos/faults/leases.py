"""Faults under way: started, watched, ended by call or by lease, found again after the controller was killed.

A service-level fault is one key with a time to live: services obey it without the controller, and drop it when its
lease is over by their own clock. An instance-level fault leaves a record in the store that outlives the lease, because
somebody must undo it: a controller that starts reverts what is overdue and keeps watching the rest. Undoing is repeated
until it succeeds. Since a fault may be that the store does not answer, what this controller started it also remembers.
"""

import asyncio
import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from redis.exceptions import RedisError

from chaos.faults.model import FaultSpec, FaultTarget, InstanceFault
from chaos.faults.registry import check
from compose.runtime import Runtime, RuntimeUnavailable, UnknownInstance
from compose.topology import InstanceSpec
from services.chassis.background import Background
from services.chassis.events import Events
from services.chassis.live import announce
from services.chassis.store import Keys, scan, text

SEQUENCE_KEY = "fault-sequence"
INSTANCE_PREFIX = "instance-fault:"
REDIS_STALL = "redis_stall"
REVERT_RETRY_S = 1.0
STORE_PATIENCE_S = 1.0
FAILURES = (RuntimeUnavailable, UnknownInstance, RedisError, OSError)


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
    """Starts and ends faults on one testbed. `rng` draws whom an instance-level fault with a probability meets."""

    def __init__(self, runtime: Runtime, events: Events, rng: Random, background: Background) -> None:
        self._runtime = runtime
        self._events = events
        self._rng = rng
        self._background = background.scope()
        self._watched: dict[str, ActiveFault] = {}
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self._reverting: set[str] = set()
        self._service_level: dict[str, ActiveFault] = {}

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
        fault_id = f"f{await self._runtime.store.incr(SEQUENCE_KEY)}"
        expires_at = self._runtime.clock.epoch() + spec.lease_s
        active = ActiveFault(fault_id, spec, kind.level, expires_at, tuple(instance.name for instance in targets))
        if isinstance(kind, InstanceFault):
            active = await self._begin(kind, active, targets, parameters)
        else:
            await self._publish(active)
        self._events.emit(
            "fault_started", id=fault_id, fault=spec.kind, target=spec.target.model_dump(), lease_s=spec.lease_s
        )
        return active

    async def _publish(self, fault: ActiveFault) -> None:
        lease_ms = max(1, int(fault.spec.lease_s * 1000))
        await self._runtime.store.set(Keys.fault(fault.id), json.dumps(fault.document()), px=lease_ms)
        self._service_level[fault.id] = fault
        await announce(self._runtime.store, "faults")

    async def _begin(
        self, kind: InstanceFault, fault: ActiveFault, targets: Sequence[InstanceSpec], parameters: Any
    ) -> ActiveFault:
        """The record first: whoever dies in between, a successor finds what to undo."""
        drawn = [target for target in targets if self._meets(fault.spec)]
        stalls = fault.spec.kind == REDIS_STALL and self._meets(fault.spec)
        names = tuple(instance.name for instance in drawn)
        fault = replace(fault, instances=names, effects=len(names) or int(stalls))
        await self._runtime.store.set(INSTANCE_PREFIX + fault.id, json.dumps(fault.document()))
        try:
            if fault.effects:
                await kind.start(self._runtime, drawn, parameters, fault.spec.lease_s)
        except BaseException:
            with contextlib.suppress(*FAILURES):
                await kind.stop(self._runtime, drawn, parameters)
            await self._runtime.store.delete(INSTANCE_PREFIX + fault.id)
            raise
        self._watch(fault)
        return fault

    def _meets(self, spec: FaultSpec) -> bool:
        return spec.probability >= 1.0 or self._rng.random() < spec.probability

    async def stop(self, fault_id: str) -> None:
        """Ends a fault before its lease does.

        Raises:
            UnknownFault: when it is not active.
        """
        watched = self._watched.get(fault_id)
        if watched is not None:  # asked first, because the fault may be that the store does not answer
            await self._stop_watched(watched)
        elif await self._runtime.store.delete(Keys.fault(fault_id)):
            self._service_level.pop(fault_id, None)
            await announce(self._runtime.store, "faults")
            self._events.emit("fault_ended", id=fault_id, why="call")
        else:
            raise UnknownFault(f"no active fault {fault_id!r}")

    async def _stop_watched(self, fault: ActiveFault) -> None:
        watcher = self._watchers[fault.id]
        if fault.id in self._reverting:  # its lease has just run out
            await asyncio.wait([watcher])
            return
        watcher.cancel()
        try:
            await self._revert(fault, "call")
        except BaseException:
            self._watch(fault)
            raise

    async def active(self) -> list[ActiveFault]:
        """Everything under way, oldest first, with its effects so far; from memory while the store does not answer."""
        try:
            async with asyncio.timeout(STORE_PATIENCE_S):
                found = await self._stored()
        except (TimeoutError, RedisError, OSError):
            found = [*self._watched.values(), *self._running_service_level()]
        return sorted(found, key=lambda fault: int(fault.id[1:]))

    async def _stored(self) -> list[ActiveFault]:
        store = self._runtime.store
        keys = [*await scan(store, f"{Keys.FAULT_PREFIX}*"), *await scan(store, f"{INSTANCE_PREFIX}*")]
        raws = await store.mget(keys) if keys else []
        return [await self._with_effects(_parse(raw)) for raw in raws if raw]

    async def _with_effects(self, fault: ActiveFault) -> ActiveFault:
        if fault.level == "instance":
            return fault
        counts = await self._runtime.store.hvals(Keys.fault_effects(fault.id))
        return replace(fault, effects=sum(int(count) for count in counts))

    def _running_service_level(self) -> list[ActiveFault]:
        now = self._runtime.clock.epoch()
        self._service_level = {id_: fault for id_, fault in self._service_level.items() if fault.expires_at > now}
        return list(self._service_level.values())

    def counts(self) -> dict[str, int]:
        """How many faults of each kind this controller has under way; without asking the store."""
        kinds = [fault.spec.kind for fault in (*self._watched.values(), *self._running_service_level())]
        return {kind: kinds.count(kind) for kind in sorted(set(kinds))}

    async def reset(self) -> int:
        """Ends every fault; returns how many there were. One that cannot be ended now stays watched."""
        found = await self.active()
        for fault in sorted(found, key=lambda fault: fault.spec.kind != REDIS_STALL):  # the others need the store
            with contextlib.suppress(UnknownFault, *FAILURES):  # or its lease ran out meanwhile
                await self.stop(fault.id)
        return len(found)

    async def adopt(self) -> None:
        """After a start: instance-level faults of an earlier controller are reverted when overdue, else watched.

        A stalled store is let go at once, whatever its lease: nothing can be read from it before that.
        """
        with contextlib.suppress(RuntimeUnavailable):
            await self._runtime.stall_store(active=False)
        for fault in await self._stored():
            if fault.level == "instance":
                self._watch(fault)
            else:
                self._service_level[fault.id] = fault

    def _watch(self, fault: ActiveFault) -> None:
        self._watched[fault.id] = fault
        self._watchers[fault.id] = self._background.finish(lambda: self._expire(fault), f"lease of {fault.id}")

    async def _expire(self, fault: ActiveFault) -> None:
        await asyncio.sleep(max(0.0, fault.expires_at - self._runtime.clock.epoch()))
        self._reverting.add(fault.id)
        try:
            while True:
                if await self._reverted(fault):
                    return
                await asyncio.sleep(REVERT_RETRY_S)
        finally:
            self._reverting.discard(fault.id)

    async def _reverted(self, fault: ActiveFault) -> bool:
        try:
            await self._revert(fault, "lease")
        except FAILURES as error:
            self._events.emit("fault_not_reverted", id=fault.id, fault=fault.spec.kind, error=str(error))
            return False
        return True

    async def _revert(self, fault: ActiveFault, why: str) -> None:
        kind, parameters = check(fault.spec)
        if not isinstance(kind, InstanceFault):
            raise TypeError(f"{fault.id}: {fault.spec.kind} ends by itself")
        present = {instance.name: instance for instance in self._runtime.instances()}
        await kind.stop(self._runtime, [present[name] for name in fault.instances if name in present], parameters)
        await self._runtime.store.delete(INSTANCE_PREFIX + fault.id)
        self._watched.pop(fault.id, None)
        self._watchers.pop(fault.id, None)
        self._events.emit("fault_ended", id=fault.id, why=why)

    async def close(self) -> None:
        """Stops watching; the faults stay, with their leases."""
        await self._background.stop()
        self._watchers.clear()
        self._watched.clear()


def _parse(raw: Any) -> ActiveFault:
    values = json.loads(text(raw))
    spec = FaultSpec.model_validate({name: values[name] for name in FaultSpec.model_fields})
    names = tuple(values["instances"])
    return ActiveFault(values["id"], spec, values["level"], values["expires_at"], names, values["effects"])


def _describe(target: FaultTarget) -> str:
    return ", ".join(f"{name}={value}" for name, value in target.model_dump().items() if value) or "any"
