"""The provisioner's durable state in Redis: accepted operations, their progress and their outcome.

    resources, operations   hashes of JSON
    progress                hash, job → "step index|tries", written when a try stops
    delayed                 sorted set, job → epoch second of its next try
    queue                   stream with the consumer group `workers`; an entry stays pending until its job is terminal

Acceptance and outcome are one MULTI each. Progress between them is written behind and coalesced: a batch holds the
latest state of each changed job, so after an outage of Redis one pipeline is enough, and a try costs at most one round
trip. An append-only file that is synced once a second may lose the last second; `reconcile` then writes all state
again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from typing import Any

from services.chassis.store import STORE_ERRORS, Store, text
from services.chassis.stored import is_wrong_type
from services.provisioner.arm.compute import Compute
from services.provisioner.state import DONE, JobOutcome, ProvisioningJob, ProvisioningOperation, Resource, after

GROUP = "workers"
CHUNK = 500


class Journal:
    """Writes `Compute` to Redis and reads the queue. Calls `on_durable(job)` when an outcome is in Redis."""

    def __init__(self, store: Store, region: str, consumer: str, compute: Compute, *, reconnect_s: float) -> None:
        self.store = store
        self.consumer = consumer
        self.reconnect_s = reconnect_s
        self._compute = compute
        base = f"compute:{region}"
        self.resources, self.operations = f"{base}:resources", f"{base}:operations"
        self.progress, self.delayed, self.queue = f"{base}:progress", f"{base}:delayed", f"{base}:queue"
        self.on_durable: Callable[[ProvisioningJob], None] = lambda _job: None
        self.version_of: Callable[[str], str] = lambda _package: ""
        self.reconcile: Callable[[], Awaitable[None]] = _nothing
        self._changed: dict[ProvisioningJob, None] = {}
        self._wake = asyncio.Event()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._suspect = False
        self._accepting = 0
        self._none_accepting = asyncio.Event()
        self._none_accepting.set()
        self._may_accept = asyncio.Event()
        self._may_accept.set()

    # --- accepting ---------------------------------------------------------------------------------------

    async def accept(
        self,
        job: ProvisioningJob,
        resources: Iterable[Resource],
        canceled: Iterable[ProvisioningJob],
        outcome: JobOutcome,
    ) -> None:
        """Writes the resources, the operation, its queue entry and the outcomes of jobs it cancels, atomically.

        Raises:
            RedisError, OSError: the write may or may not have taken effect.
        """
        await self._may_accept.wait()
        self._accepting += 1
        self._none_accepting.clear()
        try:
            job.entry = await self._write_acceptance(job, resources, canceled, outcome)
        except STORE_ERRORS:
            self.suspect()
            raise
        finally:
            self._accepting -= 1
            if not self._accepting:
                self._none_accepting.set()

    async def _write_acceptance(
        self,
        job: ProvisioningJob,
        resources: Iterable[Resource],
        canceled: Iterable[ProvisioningJob],
        outcome: JobOutcome,
    ) -> str:
        pipe = self.store.pipeline(transaction=True)
        pipe.xadd(self.queue, {"job": job.id})
        pipe.hset(self.operations, job.id, job.operation.to_json())
        for resource in resources:
            pipe.hset(self.resources, resource.key, resource.to_json())
        for other in canceled:
            self._write_end(pipe, other, outcome)
        replies = await pipe.execute()
        return text(replies[0])

    # --- write-behind ------------------------------------------------------------------------------------

    def changed(self, job: ProvisioningJob) -> None:
        """Writes the job's progress or outcome with the next batch."""
        self._changed[job] = None
        self._quiet.clear()
        self._wake.set()

    @property
    def is_quiet(self) -> bool:
        return self._quiet.is_set()

    async def quiet(self, timeout_s: float) -> None:
        """Returns when all changes are written.

        Raises:
            TimeoutError: they were not within `timeout_s`, because Redis is unavailable.
        """
        async with asyncio.timeout(timeout_s):
            await self._quiet.wait()

    def suspect(self) -> None:
        """Redis may have lost data: all state is written again before the next batch."""
        self._suspect = True
        self._wake.set()

    async def run(self) -> None:
        """Writes batches until cancelled; survives outages of Redis."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                if self._suspect:
                    await self._reconcile_alone()
                await self._flush()
            except STORE_ERRORS as error:
                self.suspect()
                if is_wrong_type(error):
                    raise
                await asyncio.sleep(self.reconnect_s)

    async def _reconcile_alone(self) -> None:
        """Reconciles with acceptances blocked: otherwise it could overwrite one with older state."""
        self._may_accept.clear()
        try:
            await self._none_accepting.wait()
            self._suspect = False
            await self.reconcile()
        finally:
            self._may_accept.set()

    async def _flush(self) -> None:
        changed, self._changed = self._changed, {}
        batch = [job for job in changed if job.state != DONE]  # a delete may have cancelled one meanwhile
        if batch:
            ended = [job for job in batch if job.outcome is not None]
            try:
                await self._write(batch, atomic=bool(ended))
            except STORE_ERRORS:
                pending = [*batch, *self._changed]
                self._changed = {job: None for job in pending if job.state != DONE}
                raise
            for job in ended:
                self.on_durable(job)
        if not self._changed:
            self._quiet.set()

    async def _write(self, batch: Iterable[ProvisioningJob], *, atomic: bool) -> None:
        pipe: Any = self.store.pipeline(transaction=atomic)
        for job in batch:
            if job.outcome is None:
                # raw commands: redis-py's zadd and hset double the cost
                pipe.execute_command("ZADD", self.delayed, job.due, job.id)
                pipe.execute_command("HSET", self.progress, job.id, job.progress())
            else:
                self._write_end(pipe, job, job.outcome)
                self._write_resource(pipe, job, job.outcome)
        await pipe.execute()

    def _write_end(self, pipe: Any, job: ProvisioningJob, outcome: JobOutcome) -> None:
        pipe.hset(self.operations, job.id, ended(job, outcome).to_json())
        pipe.xack(self.queue, GROUP, job.entry)
        pipe.xdel(self.queue, job.entry)
        if job.tries:
            pipe.hdel(self.progress, job.id)
            pipe.zrem(self.delayed, job.id)

    def _write_resource(self, pipe: Any, job: ProvisioningJob, outcome: JobOutcome) -> None:
        key = job.operation.resource
        resource = self._compute.resources.get(key)
        if resource is None:
            return
        changed = after(resource, job, outcome, self.version_of)
        if changed is None:
            pipe.hdel(self.resources, key, *self._compute.child_keys(key))
        else:
            pipe.hset(self.resources, key, changed.to_json())

    # --- the queue ---------------------------------------------------------------------------------------

    async def read_new(self) -> list[tuple[str, str]]:
        """Entries that no consumer has seen, oldest first: (entry, job)."""
        reply: Any = await self.store.xreadgroup(GROUP, self.consumer, {self.queue: ">"}, count=CHUNK)
        streams = list(reply.values()) if isinstance(reply, dict) else [entries for _, entries in reply or ()]
        return [pair for entries in streams for pair in entry_pairs(_flat(entries))]

    async def discard(self, entry: str) -> None:
        """Deletes a queue entry that belongs to no job in progress."""
        pipe = self.store.pipeline(transaction=True)
        pipe.xack(self.queue, GROUP, entry)
        pipe.xdel(self.queue, entry)
        await pipe.execute()

    async def counts(self) -> tuple[int, int, int]:
        """Number of queue entries, operations and resources; if `Compute` has more, Redis has lost some."""
        pipe = self.store.pipeline(transaction=True)
        pipe.xlen(self.queue)
        pipe.hlen(self.operations)
        pipe.hlen(self.resources)
        entries, operations, resources = await pipe.execute()
        return int(entries), int(operations), int(resources)

    async def expire(self, operation_ids: list[str]) -> None:
        for start in range(0, len(operation_ids), CHUNK):
            await self.store.hdel(self.operations, *operation_ids[start : start + CHUNK])


async def _nothing() -> None:
    return None


def ended(job: ProvisioningJob, outcome: JobOutcome) -> ProvisioningOperation:
    """The job's operation with its outcome applied."""
    return replace(job.operation, status=outcome.status, ended=outcome.at, error=outcome.error)


def entry_pairs(entries: Iterable[Any]) -> list[tuple[str, str]]:
    """(entry, job) of stream entries; the job is empty if the entry has none."""
    return [(text(entry), text((fields or {}).get(b"job", b""))) for entry, fields in entries]


def _flat(entries: Any) -> Any:
    """Stream entries without the extra list that RESP3 replies have around them."""
    return entries[0] if entries and isinstance(entries[0], list) else entries
