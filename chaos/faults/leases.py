"""Life cycle of active faults: started, watched, ended by a call or by lease, adopted after a controller restart.

A starting controller reverts overdue instance-level faults and watches the others. A revert is retried until it
succeeds. The controller also keeps the faults it started in memory, because a fault may make the store unresponsive.
"""

import asyncio
import contextlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from random import Random
from typing import Any

from redis.exceptions import RedisError

from chaos.faults.ledger import FAILURES as RUNTIME_FAILURES
from chaos.faults.ledger import Ledger, RepairOutcome
from chaos.faults.model import FaultSpec, InstanceFault
from chaos.faults.outcomes import STORE_FAILURES, STORE_PATIENCE_S, EndedFaults, StoreSilent, UnknownFault, promptly
from chaos.faults.records import ActiveFault, FaultRecords
from chaos.faults.redis_stall import RedisStall
from chaos.faults.registry import CATALOGUE, check, require_offered
from chaos.faults.restarts import RestartWatch
from chaos.faults.targets import find_targets
from compose.runtime import Runtime, RuntimeUnavailable, UnknownInstance
from compose.topology import InstanceSpec
from services.chassis.background import Background
from services.chassis.events import Events
from services.chassis.settings import SettingsError
from services.chassis.stored import Stored

REVERT_RETRY_S = 1.0
OTHERS_PATIENCE_S = 0.5
"""While the store is away an effect ends so much later than its lease; a lease may be late by a second."""
ACTIVE_MAX = 64
"""Active faults of one process. Each rule costs every request of its services, each partition a container."""
FAILURES = (*RUNTIME_FAILURES, RedisError)


class FaultLeases:
    """Starts and ends faults on one testbed. `rng` samples the targets of instance-level faults with a probability."""

    def __init__(self, runtime: Runtime, events: Events, rng: Random, background: Background) -> None:
        self._runtime = runtime
        self._events = events
        self._rng = rng
        self._background = background.scope()
        self._ledger = Ledger(runtime)
        self._records = FaultRecords(runtime, Stored(events.emit))
        self._watched: dict[str, ActiveFault] = {}
        self._watchers: dict[str, asyncio.Task[None]] = {}
        self._reverting: dict[str, asyncio.Future[None]] = {}
        self._ending: dict[str, ActiveFault] = {}
        self._last_id = 0
        self._unrecorded: set[str] = set()
        self._ended_records: set[tuple[str, float]] = set()
        self._service_level: dict[str, ActiveFault] = {}
        self._restarts = RestartWatch(runtime, self._background, self._faulted, self._apply_again)

    def targets(self, spec: FaultSpec) -> list[InstanceSpec]:
        """The instances that a fault would affect; also used for dry runs.

        Raises:
            UnknownTarget, RuntimeUnavailable: no instance matches, or the runtime does not support the kind.
        """
        require_offered(spec, self._runtime.name)
        return find_targets(spec, self._runtime.instances())

    # Starting

    async def start(self, spec: FaultSpec, actor: str = "", found: Sequence[InstanceSpec] | None = None) -> ActiveFault:
        """Starts a fault, which ends with its lease at the latest. `actor` is recorded as its cause.

        `found` are its targets, if the caller has asked for them before.

        Raises:
            SettingsError, UnknownTarget, RuntimeUnavailable, StoreSilent: the fault was not started.
        """
        kind, _ = check(spec)
        if sum(self.counts().values()) >= ACTIVE_MAX:
            raise SettingsError(f"at most {ACTIVE_MAX} faults may be active at a time; end some first")
        names = tuple(instance.name for instance in (self.targets(spec) if found is None else found))
        fault_id = await self._next_id(spec)
        fault = ActiveFault(fault_id, spec, kind.level, self._runtime.clock.epoch() + spec.lease_s, names)
        if isinstance(kind, InstanceFault):
            fault = await self._begin(kind, fault)
        else:
            await self._publish(fault)
        more: dict[str, Any] = {"actor": actor} if actor else {}
        more |= {"unmet": list(fault.unmet)} if fault.unmet else {}
        more |= {"target": spec.target.model_dump(), "lease_s": spec.lease_s}
        self._events.emit("fault_started", id=fault.id, fault=spec.kind, **more)
        return fault

    async def _publish(self, fault: ActiveFault) -> None:
        """Writes a service-level fault. A refused one is withdrawn: the store may still take the write later."""
        try:
            await promptly(self._records.publish(fault))
        except BaseException:
            self._background.finish(lambda: self._records.withdraw(fault.id), f"undoing of {fault.id}")
            raise
        self._service_level[fault.id] = fault

    async def _next_id(self, spec: FaultSpec) -> str:
        """The next number from the store, above those assigned without it (a stall during a stall)."""
        if self._is_second_stall(spec):
            self._last_id += 1
        else:
            self._last_id = await promptly(self._records.next_number(self._last_id))
        return f"f{self._last_id}"

    def _is_second_stall(self, spec: FaultSpec) -> bool:
        """Whether it gets no number and no record from the store: any other kind asks it, the stall may be over."""
        return self._stalled and spec.kind == RedisStall.kind

    @property
    def _stalled(self) -> bool:
        """Whether a fault of this controller stalls the store."""
        return any(fault.spec.kind == RedisStall.kind and fault.instances for fault in self._watched.values())

    async def _begin(self, kind: InstanceFault, fault: ActiveFault) -> ActiveFault:
        """Writes the record before the effect, so that a successor can revert it if this process dies in between.

        A stall during another stall needs no record: a successor always releases the store.
        """
        share = fault.spec.probability
        drawn = tuple(name for name in fault.instances if share >= 1.0 or self._rng.random() < share)
        fault = replace(fault, instances=drawn, effects=len(drawn))
        try:
            if self._is_second_stall(fault.spec):
                self._unrecorded.add(fault.id)
            else:
                await promptly(self._records.keep(fault))
            fault = await self._apply(kind, fault)
        except BaseException:
            self._ledger.strike(fault.id)
            try:
                await self._undo(kind, fault)
            except BaseException:  # cancelled, or the store is away: its record would stay listed
                self._background.finish(lambda: self._undo(kind, fault), f"undoing of {fault.id}")
            raise
        self._watch(fault)
        await self._restarts.note(fault.instances)
        return fault

    async def _undo(self, kind: InstanceFault, fault: ActiveFault) -> None:
        """Removes the traces of a fault that could not be started. A silent store may have taken its record."""
        self._ended_records.add((fault.id, fault.expires_at))
        with contextlib.suppress(*FAILURES):
            await self._ledger.settle(kind, fault.instances, await self._others())
        await promptly(self._records.drop(fault.id, fault.expires_at))
        self._ended_records.discard((fault.id, fault.expires_at))

    async def _apply(self, kind: InstanceFault, fault: ActiveFault) -> ActiveFault:
        """Applies the fault. If it fails on all instances, raises; if on some, they are listed in `unmet`."""
        self._ledger.enter(fault)
        done = await self._ledger.settle(kind, fault.instances, await self._others())
        if done.failures and len(done.failures) == len(fault.instances):
            raise done.failures[0]
        if not done.unmet:
            return fault
        spared = {line.partition(":")[0] for line in done.unmet} & set(fault.instances)
        fault = replace(fault, unmet=done.unmet, effects=len(fault.instances) - len(spared))
        self._ledger.enter(fault)
        await self._records.keep(fault)
        return fault

    async def _others(self) -> list[ActiveFault]:
        """Instance-level faults of other processes on this testbed: of a run for the controller, and vice versa."""
        if self._stalled:
            return []
        try:
            async with asyncio.timeout(OTHERS_PATIENCE_S):
                return self._foreign(await self._records.instance_level())
        except STORE_FAILURES:
            return []

    def _foreign(self, found: Sequence[ActiveFault]) -> list[ActiveFault]:
        """Those of other processes.

        An own fault without a record was ended by another process or a reset: it asks for nothing any more. It stays
        watched, because a store may have lost its data instead. A reset numbers faults anew, so an id may be of both.
        """
        listed = {(fault.id, fault.expires_at) for fault in found}
        own = {(fault.id, fault.expires_at) for fault in self._watched.values() if fault.id not in self._unrecorded}
        for fault_id, _ in own - listed:
            self._ledger.strike(fault_id)
        mine = own | self._ended_records | {(one.id, one.expires_at) for one in self._ending.values()}
        return [fault for fault in found if (fault.id, fault.expires_at) not in mine]

    # Ending

    async def stop(self, fault_id: str, why: str = "call") -> None:
        """Ends a fault before its lease; `why` is recorded.

        Raises:
            UnknownFault: it is not active.
            StoreSilent: the store does not answer.
        """
        watched = self._watched.get(fault_id)
        if watched is not None:  # checked before the store, which the fault may have stalled
            await self._stop_watched(watched, why)
        elif await promptly(self._records.withdraw(fault_id)):
            self._service_level.pop(fault_id, None)
            self._events.emit("fault_ended", id=fault_id, why=why)
        else:
            fault = next((one for one in await self._others() if one.id == fault_id), None)
            if fault is None:
                raise UnknownFault(f"no active fault {fault_id!r}")
            await self._end(fault, why)

    async def _stop_watched(self, fault: ActiveFault, why: str) -> None:
        reverting = self._reverting.get(fault.id)
        if reverting is not None:  # its lease has just expired
            await asyncio.wait([reverting])
            if fault.id not in self._watched:
                return
        if fault.id in self._ending:
            raise UnknownFault(f"fault {fault.id!r} is being ended")
        self._watchers[fault.id].cancel()
        try:
            await self._end(fault, why)
        except BaseException:
            self._watch(fault)
            raise

    async def _end(self, fault: ActiveFault, why: str) -> None:
        kind = CATALOGUE[fault.spec.kind]
        assert isinstance(kind, InstanceFault), f"{fault.id}: {kind.kind} ends by itself"
        watched = fault.id in self._watched
        self._ending[fault.id] = fault
        try:
            await self._lift(kind, fault)
            self._watched.pop(fault.id, None)
            known = await self._drop(fault)
        except BaseException:
            if watched:
                self._watched[fault.id] = fault
                self._ledger.enter(fault)
            raise
        finally:
            self._ending.pop(fault.id, None)
        self._watchers.pop(fault.id, None)
        if known:  # else another process has ended it, or a reset has emptied the store
            self._events.emit("fault_ended", id=fault.id, why=why)

    async def _drop(self, fault: ActiveFault) -> bool:
        """Deletes the record; returns whether it existed. During another stall the deletion is deferred."""
        own = fault.id, fault.expires_at
        self._ended_records.add(own)
        if self._stalled:
            return True
        known = fault.id in self._unrecorded
        for one in sorted(self._ended_records):
            found = await self._records.drop(*one)
            known = known or (found and one == own)
            self._ended_records.discard(one)
        self._unrecorded.discard(fault.id)
        return known

    async def _lift(self, kind: InstanceFault, fault: ActiveFault) -> None:
        """Reverts the effect. Instances that the runtime does not know any more have none."""
        self._ledger.strike(fault.id)
        done = await self._ledger.settle(kind, fault.instances, await self._others())
        for failure in done.failures:
            if not isinstance(failure, UnknownInstance):
                raise failure

    def _watch(self, fault: ActiveFault) -> None:
        self._watched[fault.id] = fault
        self._ledger.enter(fault)
        self._restarts.start()
        self._watchers[fault.id] = self._background.finish(lambda: self._expire(fault), f"lease of {fault.id}")

    async def _expire(self, fault: ActiveFault) -> None:
        await asyncio.sleep(max(0.0, fault.expires_at - self._runtime.clock.epoch()))
        while True:
            attempt = self._reverting[fault.id] = asyncio.get_running_loop().create_future()
            try:
                if await self._ended(self._watched[fault.id]):
                    return
            finally:
                del self._reverting[fault.id]
                attempt.set_result(None)
            await asyncio.sleep(REVERT_RETRY_S)

    async def _ended(self, fault: ActiveFault) -> bool:
        try:
            await self._end(fault, "lease")
        except FAILURES as error:
            self._events.emit("fault_not_reverted", id=fault.id, fault=fault.spec.kind, error=str(error))
            return False
        return True

    async def reset(self) -> EndedFaults:
        """Ends all faults. One that cannot be ended now stays watched, and is named."""
        return await self._stop_all(await self.active(), "call")

    async def end_own(self, why: str) -> None:
        """Ends the faults started by this object, and closes it; for the end of a run."""
        await self._stop_all([*self._watched.values(), *self._running_service_level()], why)
        await self.close()

    async def _stop_all(self, faults: Iterable[ActiveFault], why: str) -> EndedFaults:
        ended, unmet = 0, []
        for fault in sorted(faults, key=lambda fault: fault.spec.kind != RedisStall.kind):  # the others need the store
            try:
                await self.stop(fault.id, why)
                ended += 1
            except UnknownFault:  # its lease ran out meanwhile
                continue
            except (StoreSilent, *FAILURES) as error:
                unmet.append(f"{fault.id}: {error}")
        return EndedFaults(ended, tuple(unmet))

    async def forget(self) -> None:
        """After every process was restarted from an empty store: no fault is left."""
        for watcher in (watchers := list(self._watchers.values())):
            watcher.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)
        for fault_id in self._watched:
            self._ledger.strike(fault_id)
        for state in (self._watchers, self._watched, self._unrecorded, self._ended_records, self._service_level):
            state.clear()

    async def close(self) -> None:
        """Stops watching; the faults stay, with their leases."""
        await self._background.stop()
        self._watchers.clear()
        self._watched.clear()

    async def active(self) -> list[ActiveFault]:
        """All active faults, oldest first, with their effects so far; from memory if the store does not answer."""
        try:
            async with asyncio.timeout(STORE_PATIENCE_S):
                found = [*await self._records.service_level(), *await self._records.instance_level()]
        except STORE_FAILURES:
            found = [*self._watched.values(), *self._running_service_level()]
        return sorted(found, key=lambda fault: int(fault.id[1:]))

    def _running_service_level(self) -> list[ActiveFault]:
        now = self._runtime.clock.epoch()
        self._service_level = {id_: fault for id_, fault in self._service_level.items() if fault.expires_at > now}
        return list(self._service_level.values())

    def counts(self) -> dict[str, int]:
        """Number of active faults of this controller by kind, without a call to the store."""
        kinds = [fault.spec.kind for fault in (*self._watched.values(), *self._running_service_level())]
        return {kind: kinds.count(kind) for kind in sorted(set(kinds))}

    async def adopt(self) -> None:
        """After a start: takes over the faults of an earlier controller, and reverts the overdue ones.

        A stalled store is released at once, independent of the lease: it cannot be read before. So no stall is reverted
        by itself, which would apply the others again.
        """
        with contextlib.suppress(RuntimeUnavailable):
            await self._runtime.stall_store(0.0)
        for stall in [one for one in await self._records.instance_level() if one.spec.kind == RedisStall.kind]:
            if await self._records.drop(stall.id, stall.expires_at):
                self._events.emit("fault_ended", id=stall.id, why="restart")
        await self.take_over()
        self._service_level = {fault.id: fault for fault in await self._records.service_level()}

    async def take_over(self) -> None:
        """Watches the instance-level faults of a process that is gone."""
        for fault in [one for one in await self._records.instance_level() if one.id not in self._watched]:
            self._watch(fault)

    async def repair(self, name: str) -> RepairOutcome:
        """Restarts an instance, unless a fault keeps it down."""
        done = await self._ledger.repair(name, await self._others())
        await self._restarts.note([name])
        return done

    def _faulted(self) -> set[str]:
        return {name for fault in self._watched.values() for name in fault.instances}

    async def _apply_again(self, name: str) -> None:
        others = self._foreign(await promptly(self._records.instance_level()))  # what has been ended is not applied
        unmet = await self._ledger.restore(name, others)
        self._events.emit("fault_applied_again", instance=name, **({"unmet": unmet} if unmet else {}))

    async def removed(self, names: Collection[str]) -> None:
        """Removes these instances from all faults, so that later instances of the same name are not affected."""
        for fault in [*self._watched.values(), *await self._others()]:
            gone = [name for name in fault.instances if name in names]
            if gone:
                await self._release(fault, gone)
        rules = [fault for fault in await self.active() if fault.level == "service"]
        await self._stop_all([rule for rule in rules if rule.spec.target.instance in names], "the instance was removed")

    async def _release(self, fault: ActiveFault, gone: Sequence[str]) -> None:
        left = tuple(name for name in fault.instances if name not in gone)
        unmet = (*fault.unmet, *(f"{name}: was removed" for name in gone))
        fault = replace(fault, instances=left, unmet=unmet)
        if fault.id in self._watched:
            self._watched[fault.id] = fault
            self._ledger.enter(fault)
        await self._records.keep(fault)
