"""Reconciles the instances with the union of all active instance-level faults.

Faults may overlap. An effect lasts until the last fault that requires it has ended, so effects are not started and
ended directly: faults are registered, and the ledger applies the resulting state per kind and instance. A restarted
instance is a new process, to which the active faults are applied again.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from chaos.faults.model import Asked, FaultSpec, InstanceFault
from chaos.faults.registry import CATALOGUE, check
from compose.runtime import InstanceDown, Runtime, RuntimeUnavailable, UnknownInstance

FAILURES = (RuntimeUnavailable, UnknownInstance, OSError)


class Asking(Protocol):
    """The ledger's view of an active fault."""

    @property
    def id(self) -> str: ...

    @property
    def spec(self) -> FaultSpec: ...

    @property
    def expires_at(self) -> float: ...

    @property
    def instances(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class ChangeOutcome:
    """The result of a change: `unmet` lists what could not be applied, `failures` the errors to retry."""

    unmet: tuple[str, ...]
    failures: tuple[Exception, ...]


@dataclass(frozen=True)
class RepairOutcome:
    """Whether the instance runs again, and which faults keep it down or stay in effect."""

    running: bool
    unmet: tuple[str, ...]


class Ledger:
    """The registered instance-level faults, and their application to the instances of a runtime."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._asking: dict[str, Asking] = {}
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def enter(self, fault: Asking) -> None:
        """Registers a fault; `settle` applies it."""
        self._asking[fault.id] = fault

    def strike(self, fault_id: str) -> None:
        """Unregisters a fault; `settle` reverts effects that no other fault requires."""
        self._asking.pop(fault_id, None)

    async def settle(self, kind: InstanceFault, names: Iterable[str], others: Iterable[Asking] = ()) -> ChangeOutcome:
        """Applies the registered faults of a kind to the instances, concurrently; waits for all.

        `others` are faults of other processes on the same testbed.
        """
        foreign = {fault.id: fault for fault in others}
        chosen = list(names)
        results = await asyncio.gather(
            *(self._settle_one(kind, name, foreign) for name in chosen), return_exceptions=True
        )
        unmet = []
        for name, result in zip(chosen, results, strict=True):
            if isinstance(result, BaseException) and not isinstance(result, (InstanceDown, *FAILURES)):
                raise result
            if isinstance(result, BaseException):
                unmet.append(_said(name, result))
            else:
                unmet += result
        failures = [result for result in results if isinstance(result, FAILURES)]
        return ChangeOutcome(tuple(unmet), tuple(failures))

    async def _settle_one(self, kind: InstanceFault, name: str, foreign: Mapping[str, Asking]) -> list[str]:
        async with self._locks[name]:
            asked = self._asked(kind, name, foreign)
            await kind.apply(self._runtime, name, asked)
            return await self._anew(name, foreign) if kind.restarts and not asked else []

    async def repair(self, name: str, others: Iterable[Asking] = ()) -> RepairOutcome:
        """Restarts an instance and applies its active faults; not while a fault keeps the instance down."""
        foreign = {fault.id: fault for fault in others}
        async with self._locks[name]:
            await self._runtime.kill(name)
            keeping = self._asked_all(name, foreign, lambda kind: kind.restarts)
            if not keeping:
                await self._runtime.revive(name)
                await self._anew(name, foreign)
            goes_on = keeping or self._asked_all(name, foreign, lambda kind: not kind.restarts)
        return RepairOutcome(not keeping, tuple(f"{name}: {kind} {fault_id} goes on" for kind, fault_id in goes_on))

    async def restore(self, name: str, others: Iterable[Asking] = ()) -> list[str]:
        """Applies the active faults to an instance that somebody else has started again; returns what is unmet."""
        foreign = {fault.id: fault for fault in others}
        async with self._locks[name]:
            for kind in _instance_kinds():
                asked = self._asked(kind, name, foreign)
                if kind.restarts and asked:
                    await kind.apply(self._runtime, name, asked)
                    return []
            return await self._anew(name, foreign)

    async def _anew(self, name: str, foreign: Mapping[str, Asking]) -> list[str]:
        """Applies the active faults to a new process, and those on other instances that concern it."""
        unmet: list[str] = []
        for kind in _instance_kinds():
            places = [name] if not kind.restarts and self._asked(kind, name, foreign) else []
            for fault in self._all(foreign):
                if fault.spec.kind == kind.kind and kind.concerns(check(fault.spec)[1], name):
                    places += [place for place in fault.instances if place not in places]
            for place in places:
                try:
                    await kind.apply(self._runtime, place, [])
                    await kind.apply(self._runtime, place, self._asked(kind, place, foreign))
                except (InstanceDown, *FAILURES) as error:
                    unmet.append(_said(place, error))
        return unmet

    def _all(self, foreign: Mapping[str, Asking]) -> list[Asking]:
        """All faults whose lease has not expired, whether or not they have been ended."""
        now = self._runtime.clock.epoch()
        return [fault for fault in (*self._asking.values(), *foreign.values()) if fault.expires_at > now]

    def _asked(self, kind: InstanceFault, name: str, foreign: Mapping[str, Asking]) -> list[Asked]:
        now = self._runtime.clock.epoch()
        return [
            Asked(fault.id, check(fault.spec)[1], max(0.0, fault.expires_at - now))
            for fault in self._all(foreign)
            if fault.spec.kind == kind.kind and name in fault.instances
        ]

    def _asked_all(
        self, name: str, foreign: Mapping[str, Asking], which: Callable[[InstanceFault], bool]
    ) -> list[tuple[str, str]]:
        return [
            (kind.kind, asked.id)
            for kind in _instance_kinds()
            if which(kind)
            for asked in self._asked(kind, name, foreign)
        ]


def _instance_kinds() -> Sequence[InstanceFault]:
    return [kind for kind in CATALOGUE.values() if isinstance(kind, InstanceFault)]


def _said(name: str, error: Any) -> str:
    text = str(error.args[0]) if error.args else type(error).__name__
    return text if text.startswith(f"{name}: ") else f"{name}: {text}"
