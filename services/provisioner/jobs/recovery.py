"""Recovery after a crash of this process (`load`) or of Redis (`reconcile`).

Everything acknowledged survives. A job in progress resumes at the step that its last recorded try had reached. Earlier
steps are not repeated; that step may be, and all steps are idempotent.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from redis.exceptions import ResponseError

from services.chassis.store import Keys, text
from services.chassis.stored import Stored, StoredShape
from services.provisioner.arm.compute import Compute
from services.provisioner.state import (
    ASSIGN,
    BLOCKED,
    CANCELED,
    DELETE,
    FAILED,
    IN_PROGRESS,
    OPERATION,
    RESOURCE,
    SUCCEEDED,
    JobOutcome,
    ProvisioningJob,
    Resource,
)
from services.provisioner.store.journal import CHUNK, GROUP, Journal, ended, entry_pairs

T = TypeVar("T")
DUE_MAX_S = 86_400.0
"""Longest valid wait in seconds; a stored time beyond it is corrupt, and its job resumes at once."""
ENDED = (SUCCEEDED, FAILED, CANCELED)


class Recovery:
    """Makes memory and Redis consistent again."""

    def __init__(self, journal: Journal, compute: Compute, stored: Stored) -> None:
        self._journal = journal
        self._stored = stored
        stored.expect("hash", journal.resources, journal.operations, journal.progress)
        stored.expect("zset", journal.delayed)
        stored.expect("stream", journal.queue)
        self._compute = compute
        self._store = journal.store
        self.deliver: Callable[[list[tuple[str, str]]], None] = lambda _pairs: None

    # --- of this process -----------------------------------------------------------------------------------

    async def load(self, now: float) -> list[ProvisioningJob]:
        """Fills `Compute` from Redis and takes over the jobs of the previous process; returns them, oldest first.

        A job whose entry was not yet read stays in the queue and is delivered as usual.
        """
        journal = self._journal
        await self._ensure_group()
        pipe: Any = self._store.pipeline(transaction=True)
        pipe.hgetall(journal.resources)
        pipe.hgetall(journal.operations)
        pipe.hgetall(journal.progress)
        pipe.zrange(journal.delayed, 0, -1, withscores=True)
        pipe.xrange(journal.queue)
        resources, operations, progress, delayed, queue = await pipe.execute()
        self._compute.clear()  # an earlier load may have stopped half-way
        await self._restore(resources, operations)
        claimed = {job for _, job in await self._claim()}
        entries = {job: entry for entry, job in entry_pairs(queue)}
        due = {text(job): float(score) for job, score in delayed}
        tries = {text(job): text(value) for job, value in progress.items()}
        for job in self._compute.jobs.values():
            self._take_progress(job, tries.get(job.id))
            self._resume(job, entries.get(job.id, ""), due.get(job.id, 0.0), now)
            job.delivered = job.id in claimed
        await self._tidy(entries, [job for job in {**due, **tries} if job not in self._compute.jobs])
        return [job for job in self._compute.jobs.values() if job.delivered]

    async def _restore(self, resources: Any, operations: Any) -> None:
        compute, journal = self._compute, self._journal
        known = await self._sound(OPERATION, operations, journal.operations, lambda item: item.id)
        rows = await self._sound(RESOURCE, resources, journal.resources, lambda item: item.key)
        found = sorted(known, key=lambda item: (item.ended or 0.0, item.accepted, item.id))
        for operation in found:
            compute.restore(operation)
        known_ids = {item.id for item in known}
        for operation in sorted(found, key=lambda item: (item.accepted, item.id)):
            if operation.status == IN_PROGRESS:
                compute.begin(ProvisioningJob(operation))
        for item in sorted(rows, key=lambda item: (item.created, item.key)):
            if not self._was_deleted(item):
                compute.put(item if item.operation in known_ids else _orphan(item))

    async def _sound(self, shape: StoredShape[T], rows: Any, key: str, name_of: Callable[[T], str]) -> list[T]:
        """The valid rows. The others are set aside; otherwise the audit would always report them as lost."""
        good = {name: item for name, item in self._stored.read_all(shape, rows, key).items() if name_of(item) == name}
        bad = [name for name in sorted(rows) if text(name) not in good]
        for name in bad:
            self._stored.refuse(rows[name], key, text(name), "set aside")
        if bad:
            pipe: Any = self._store.pipeline(transaction=True)
            pipe.hset(Keys.damaged(key), mapping={name: rows[name] for name in bad})
            pipe.hdel(key, *bad)
            await pipe.execute()
        return list(good.values())

    def _was_deleted(self, item: Resource) -> bool:
        last = self._compute.operations.get(item.operation)
        return last is not None and last.verb == DELETE and last.status == SUCCEEDED

    def _take_progress(self, job: ProvisioningJob, progress: str | None) -> None:
        """Restores a job's progress; if it is unreadable, the job starts at its first step, as steps are idempotent."""
        try:
            if progress is not None:
                job.restore(progress)
        except ValueError as error:
            self._stored.refuse(progress, self._journal.progress, job.id, str(error))

    def _resume(self, job: ProvisioningJob, entry: str, due: float, now: float) -> None:
        job.entry = entry
        if now < due < now + DUE_MAX_S:
            job.due, job.state = due, BLOCKED
        steps = job.operation.steps
        owner = self._compute.identity_owner(job.operation.resource)
        if owner is None or ASSIGN not in steps:
            return
        assign = steps.index(ASSIGN)
        if not owner.client_id:
            job.index = min(job.index, assign)  # ids that were not recorded are requested again
        # A job that waits before the assignment step has made none; in all other cases there may be one.
        owner.assigned = owner.assigned or job.index >= assign or job.state != BLOCKED

    async def _claim(self) -> list[tuple[str, str]]:
        """Claims all pending entries of any consumer: there is one worker, and it has just started."""
        journal = self._journal
        claimed: list[tuple[str, str]] = []
        start = "0-0"
        while True:
            reply: Any = await self._store.xautoclaim(
                journal.queue, GROUP, journal.consumer, min_idle_time=0, start_id=start, count=CHUNK
            )
            claimed += entry_pairs(reply[1])
            start = text(reply[0])
            if start == "0-0":
                return claimed

    async def _tidy(self, entries: dict[str, str], strays: list[str]) -> None:
        """Deletes entries of ended operations, and adds an entry for every job without one."""
        for job_id, entry in entries.items():
            known = self._compute.operations.get(job_id)
            if known is not None and known.status != IN_PROGRESS:
                await self._journal.discard(entry)
        if strays:
            await self._store.hdel(self._journal.progress, *strays)
            await self._store.zrem(self._journal.delayed, *strays)
        for job in self._compute.jobs.values():
            if not job.entry:
                job.entry = text(await self._store.xadd(self._journal.queue, {"job": job.id}))

    async def _ensure_group(self) -> None:
        try:
            await self._store.xgroup_create(self._journal.queue, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    # --- of Redis --------------------------------------------------------------------------------------------

    async def adopt(self, job_id: str) -> ProvisioningJob | None:
        """Takes over a job that is in Redis but not in memory: it was recorded, but Redis' reply was lost.

        Its client got 503. If the resource has changed since, the operation is cancelled.
        """
        journal, compute = self._journal, self._compute
        raw = await self._store.hget(journal.operations, job_id)
        operation = self._stored.read(OPERATION, raw, journal.operations, job_id) if raw is not None else None
        if operation is None or operation.status != IN_PROGRESS:
            return None
        row = await self._store.hget(journal.resources, operation.resource)
        resource = self._stored.read(RESOURCE, row, journal.resources, operation.resource) if row is not None else None
        job = ProvisioningJob(operation)
        if resource is None or resource.operation != job_id or compute.in_flight(operation.resource) is not None:
            canceled = ended(job, JobOutcome(CANCELED, operation.accepted))
            await self._store.hset(journal.operations, job_id, canceled.to_json())
            compute.restore(canceled)
            return None
        compute.put(resource)
        compute.begin(job)
        return job

    async def reconcile(self) -> None:
        """Writes all state again after a Redis outage, in which Redis may have lost its last second."""
        await self._ensure_group()
        journal, compute = self._journal, self._compute
        await self._write_all(journal.resources, {key: item.to_json() for key, item in compute.resources.items()})
        await self._write_all(journal.operations, {key: item.to_json() for key, item in compute.operations.items()})
        gone = [
            item.resource
            for item in compute.operations.values()
            if item.verb == DELETE and item.status == SUCCEEDED and item.resource not in compute.resources
        ]
        if gone:
            await self._store.hdel(journal.resources, *gone)
        await self._mend_queue()
        self.deliver(await self._claim())  # entries that were read but whose reply was lost

    async def _mend_queue(self) -> None:
        """Ensures one entry for each job in progress, and none for others."""
        journal, compute = self._journal, self._compute
        entries: dict[str, list[str]] = {}
        for entry, job_id in entry_pairs(await self._store.xrange(journal.queue) or ()):
            entries.setdefault(job_id, []).append(entry)
        for job in list(compute.jobs.values()):
            mine = entries.setdefault(job.id, [])
            if not mine:
                mine.append(text(await self._store.xadd(journal.queue, {"job": job.id})))
            if job.entry not in mine:
                job.entry = mine[0]
            for entry in mine:
                if entry != job.entry:
                    await journal.discard(entry)
            if job.tries:
                journal.changed(job)
        for job_id, rest in entries.items():
            if job_id not in compute.jobs and job_id in compute.operations:
                for entry in rest:
                    await journal.discard(entry)

    async def _write_all(self, key: str, rows: dict[str, str]) -> None:
        names = list(rows)
        for start in range(0, len(names), CHUNK):
            await self._store.hset(key, mapping={name: rows[name] for name in names[start : start + CHUNK]})


def _orphan(item: Resource) -> Resource:
    """A resource whose operation was lost, set to a terminal state so that its owner can change or delete it."""
    return item if item.state in ENDED else replace(item, state=FAILED)
