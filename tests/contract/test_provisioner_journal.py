"""The provisioner's queue and memory over every Redis there is: consumer groups, claims, what a crash leaves."""

import asyncio

import pytest

from services.chassis.store import Store
from services.chassis.stored import Stored
from services.provisioner.arm.compute import Compute
from services.provisioner.jobs.recovery import Recovery
from services.provisioner.state import (
    BLOCKED,
    SUCCEEDED,
    VM,
    JobOutcome,
    ProvisioningJob,
    ProvisioningOperation,
    Resource,
    plan,
)
from services.provisioner.store.journal import Journal

pytestmark = pytest.mark.both_clocks
NOW = 1000.0
NOBODY = JobOutcome("Canceled", NOW)


class Worker:
    """One life of a provisioner over the store: what it knows and what it writes."""

    def __init__(self, store: Store, name: str) -> None:
        self.compute = Compute()
        self.journal = Journal(store, "eastus", name, self.compute, reconnect_s=0.1)
        self.recovery = Recovery(self.journal, self.compute, Stored(lambda _kind, **_fields: None))
        self.delivered: list[str] = []
        self.recovery.deliver = lambda pairs: self.delivered.extend(job for _, job in pairs)
        self.journal.reconcile = self.recovery.reconcile

    async def started(self) -> list[str]:
        """Loads what the store has; the jobs that a former life had under way."""
        return [job.id for job in await self.recovery.load(NOW)]

    async def accept(self, name: str) -> ProvisioningJob:
        resource = Resource(VM, f"/subscriptions/s/resourceGroups/g/vm/{name}", "eastus", "tenant", {}, NOW)
        resource.operation = f"job-{name}"
        steps = plan(VM, "create", packages=("p/t",))
        job = ProvisioningJob(
            ProvisioningOperation(resource.operation, VM, "create", resource.key, "tenant", NOW, steps)
        )
        await self.journal.accept(job, [resource], [], NOBODY)
        self.compute.put(resource)
        self.compute.begin(job)
        return job

    async def read(self) -> list[str]:
        return [job for _, job in await self.journal.read_new()]

    async def write(self) -> None:
        """Until everything that changed is in the store."""
        writing = asyncio.create_task(self.journal.run())
        await self.journal.quiet(timeout_s=5.0)
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)


async def test_an_accepted_job_is_delivered_once_and_in_order(store: Store) -> None:
    worker = Worker(store, "worker-1")
    assert await worker.started() == []
    for name in ("a", "b", "c"):
        await worker.accept(name)
    assert await worker.read() == ["job-a", "job-b", "job-c"]
    assert await worker.read() == []
    assert await worker.journal.counts() == (3, 3, 3)


async def test_an_ended_job_leaves_the_queue_and_keeps_its_operation(store: Store) -> None:
    worker = Worker(store, "worker-1")
    await worker.started()
    job = await worker.accept("a")
    durable: list[str] = []
    worker.journal.on_durable = lambda ended: durable.append(ended.id)
    await worker.read()
    job.outcome = JobOutcome(SUCCEEDED, NOW + 5.0)
    worker.journal.changed(job)
    await worker.write()
    assert durable == ["job-a"]
    assert await worker.journal.counts() == (0, 1, 1)

    after = Worker(store, "worker-2")
    assert await after.started() == []
    known = after.compute.operations["job-a"]
    assert (known.status, known.ended) == (SUCCEEDED, NOW + 5.0)
    assert not after.compute.jobs


async def test_after_a_restart_read_and_unread_jobs_are_taken_over(store: Store) -> None:
    dead = Worker(store, "worker-1")
    await dead.started()
    blocked = await dead.accept("blocked")
    await dead.accept("under-way")
    await dead.read()
    await dead.accept("unread")
    blocked.index, blocked.tries, blocked.due, blocked.state = 1, 2, NOW + 60.0, BLOCKED
    dead.journal.changed(blocked)
    await dead.write()

    heir = Worker(store, "worker-1")
    assert sorted(await heir.started()) == ["job-blocked", "job-under-way"]
    resumed = heir.compute.jobs["job-blocked"]
    assert (resumed.index, resumed.tries, resumed.due, resumed.state) == (1, 2, NOW + 60.0, BLOCKED)
    assert await heir.read() == ["job-unread"]


async def test_everything_is_written_again_after_redis_lost_its_data(store: Store) -> None:
    worker = Worker(store, "worker-1")
    await worker.started()
    blocked = await worker.accept("blocked")
    await worker.read()
    await worker.accept("unread")
    blocked.tries, blocked.due, blocked.state = 1, NOW + 60.0, BLOCKED
    await store.flushall()
    worker.journal.suspect()
    worker.journal.changed(blocked)
    await worker.write()
    assert await worker.journal.counts() == (2, 2, 2)
    assert sorted(await worker.read()) == ["job-blocked", "job-unread"]

    heir = Worker(store, "worker-1")
    assert sorted(await heir.started()) == ["job-blocked", "job-unread"]
    assert heir.compute.jobs["job-blocked"].due == NOW + 60.0


async def test_an_orphaned_entry_is_dropped(store: Store) -> None:
    worker = Worker(store, "worker-1")
    await worker.started()
    job = await worker.accept("a")
    await store.xadd(worker.journal.queue, {"job": job.id})
    worker.journal.suspect()
    worker.journal.changed(job)
    await worker.write()
    assert await worker.journal.counts() == (1, 1, 1)
