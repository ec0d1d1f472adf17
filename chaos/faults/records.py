"""Records of active faults in the store.

A service-level fault is one key with a TTL: services apply it without the controller, and drop it when its lease
expires by their own clock. The record of an instance-level fault outlives the lease, because the fault has to be
reverted.
"""

import json
from dataclasses import dataclass, replace
from typing import Annotated, Any

from pydantic import Field
from redis.exceptions import ResponseError

from chaos.faults.model import FaultSpec
from chaos.faults.registry import check
from compose.runtime import Runtime
from services.chassis.live import announce
from services.chassis.store import Keys, scan, text
from services.chassis.stored import Stored, StoredShape

SEQUENCE_KEY = "fault-sequence"
INSTANCE_PREFIX = "instance-fault:"


@dataclass(frozen=True)
class ActiveFault:
    """An active fault. `effects` counts affected requests (service level) or instances (instance level).

    `unmet` lists what could not be applied, and why.
    """

    id: str
    spec: FaultSpec
    level: str
    expires_at: float
    instances: tuple[str, ...]
    effects: int = 0
    unmet: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        return {
            "id": self.id,
            **self.spec.model_dump(mode="json"),
            "level": self.level,
            "expires_at": self.expires_at,
            "instances": list(self.instances),
            "effects": self.effects,
            "unmet": list(self.unmet),
        }


class _Row(FaultSpec):
    """A fault as it is stored."""

    model_config = FaultSpec.model_config | {"extra": "ignore"}

    id: Annotated[str, Field(pattern=r"^f[0-9]+$")]
    expires_at: Annotated[float, Field(ge=0, le=1e11)]
    instances: tuple[str, ...] = ()
    effects: int = 0
    unmet: tuple[str, ...] = ()


_ROW: StoredShape[_Row] = StoredShape(_Row)


class FaultRecords:
    """Reads and writes the records."""

    def __init__(self, runtime: Runtime, stored: Stored) -> None:
        self._runtime = runtime
        self._stored = stored
        stored.expect("string", SEQUENCE_KEY)

    async def next_number(self, above: int) -> int:
        """The next fault number, greater than `above`: a reset of the testbed restarts the sequence."""
        try:
            number = int(await self._runtime.store.incr(SEQUENCE_KEY))
        except ResponseError as error:  # the key is not a number: continue after the numbers in use
            await self._stored.set_aside_wrong_types(self._runtime.store)
            self._stored.refuse(str(error), SEQUENCE_KEY, "", str(error))
            known = [*await self.service_level(), *await self.instance_level()]
            above = max([above, *(int(fault.id[1:]) for fault in known)])
            await self._runtime.store.set(SEQUENCE_KEY, above)
            number = int(await self._runtime.store.incr(SEQUENCE_KEY))
        if number <= above:  # one command: of two that start faults at once, each gets a number of its own
            number = int(await self._runtime.store.incrby(SEQUENCE_KEY, above + 1 - number))
        while await self._is_in_use(number):  # the sequence was lost, or is lower than it was
            number = int(await self._runtime.store.incr(SEQUENCE_KEY))
        return number

    async def _is_in_use(self, number: int) -> bool:
        """Whether a fault of either level has it, of whatever process: an id tells one fault from all others."""
        return bool(await self._runtime.store.exists(Keys.fault(f"f{number}"), f"{INSTANCE_PREFIX}f{number}"))

    async def publish(self, fault: ActiveFault) -> None:
        """Writes a service-level fault, with its lease as TTL, and announces it to the services."""
        lease_ms = max(1, int(fault.spec.lease_s * 1000))
        await self._runtime.store.set(Keys.fault(fault.id), json.dumps(fault.document()), px=lease_ms)
        await announce(self._runtime.store, "faults")

    async def withdraw(self, fault_id: str) -> bool:
        """Ends a service-level fault; returns whether it existed."""
        found = bool(await self._runtime.store.delete(Keys.fault(fault_id)))
        if found:
            await announce(self._runtime.store, "faults")
        return found

    async def keep(self, fault: ActiveFault) -> None:
        """Writes the record of an instance-level fault, so that a successor can revert it."""
        await self._runtime.store.set(INSTANCE_PREFIX + fault.id, json.dumps(fault.document()))

    async def drop(self, fault_id: str, expires_at: float) -> bool:
        """Deletes the record of a reverted instance-level fault; returns whether it existed.

        Another process may have numbered a fault of its own alike after a reset; its record stays.
        """
        key = INSTANCE_PREFIX + fault_id
        raw = await self._runtime.store.get(key)
        fault = self._parse(raw, key) if raw is not None else None
        if fault is not None and fault.expires_at != expires_at:
            return False
        return bool(await self._runtime.store.delete(key))

    async def service_level(self) -> list[ActiveFault]:
        return [await self._with_effects(fault) for fault in await self._read(Keys.FAULT_PREFIX)]

    async def instance_level(self) -> list[ActiveFault]:
        return await self._read(INSTANCE_PREFIX)

    async def _read(self, prefix: str) -> list[ActiveFault]:
        store = self._runtime.store
        keys = await scan(store, f"{prefix}*")
        raws = await store.mget(keys) if keys else []
        found = [self._parse(raw, key) for key, raw in zip(keys, raws, strict=True) if raw is not None]
        return [fault for fault in found if fault is not None]

    def _parse(self, raw: Any, key: str) -> ActiveFault | None:
        """The fault in a record; None if it is invalid, which is reported and ignored."""
        row = self._stored.read(_ROW, raw, key)
        if row is None:
            return None
        try:
            if text(key).rpartition(":")[2] != row.id:
                raise ValueError(f"id: should be that of the key (got {row.id!r})")
            spec = FaultSpec.model_validate({name: getattr(row, name) for name in FaultSpec.model_fields})
            kind, _ = check(spec)
        except ValueError as error:
            self._stored.refuse(raw, key, "", str(error))
            return None
        return ActiveFault(row.id, spec, kind.level, row.expires_at, row.instances, row.effects, row.unmet)

    async def _with_effects(self, fault: ActiveFault) -> ActiveFault:
        store, key = self._runtime.store, Keys.fault_effects(fault.id)
        counts = await self._stored.with_sound_keys(store, lambda: store.hvals(key), {key: "hash"})
        return replace(fault, effects=sum(int(count) for count in counts if count.isdigit()))
