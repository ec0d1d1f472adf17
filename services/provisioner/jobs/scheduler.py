"""The job scheduler: which job runs next, when a blocked one resumes, and the result of each try.

There are two queues, fresh and resumed jobs. They are served in the order of arrival, unless `backlog_share_max` holds
resumed jobs back. A blocked job holds no slot; its timer is on the event loop, so nothing is scanned.
"""

import asyncio
from collections import deque
from math import floor

from services.chassis.env import Env
from services.chassis.store import STORE_ERRORS
from services.chassis.stored import is_wrong_type
from services.policies.pacing import Pacer, RequeueSettings
from services.provisioner.arm.compute import Compute
from services.provisioner.failures import error_of
from services.provisioner.jobs.recovery import Recovery
from services.provisioner.jobs.worker import Worker
from services.provisioner.metrics import ProvisionerMetrics
from services.provisioner.settings import ProvisionerSettings
from services.provisioner.state import (
    BLOCKED,
    CANCELED,
    DONE,
    FAILED,
    QUEUED,
    RUNNING,
    SUCCEEDED,
    JobOutcome,
    ProvisioningJob,
    Stop,
    after,
)
from services.provisioner.store.journal import Journal, ended


class Scheduler:
    """Slots, queues and timers of one provisioner."""

    def __init__(
        self,
        env: Env,
        compute: Compute,
        journal: Journal,
        recovery: Recovery,
        worker: Worker,
        metrics: ProvisionerMetrics,
        settings: ProvisionerSettings,
    ) -> None:
        self._env = env
        self._epoch = env.clock.epoch
        self._compute = compute
        self._journal = journal
        self._recovery = recovery
        self._worker = worker
        self._metrics = metrics
        self._rng = env.streams["provisioner.requeue"]
        self._fresh: deque[ProvisioningJob] = deque()
        self._backlog: deque[ProvisioningJob] = deque()
        self._order = 0
        self._tries = env.background.scope()
        self._running: dict[ProvisioningJob, asyncio.Task[None]] = {}
        self._backlog_running = 0
        self._expected: dict[str, ProvisioningJob] = {}
        self._strays: list[tuple[str, str]] = []
        self._stopped = False
        self._unread = asyncio.Event()
        self._pacer = Pacer(settings.resume_rate_per_s)
        self._requeue: RequeueSettings = settings.requeue()
        self.settings = settings
        journal.on_durable = self._finished
        recovery.deliver = self._deliver

    def __repr__(self) -> str:
        waiting = len(self._fresh) + len(self._backlog)
        return f"<Scheduler {len(self._running)}/{self.settings.slots} running, {waiting} waiting, {self._pacer!r}>"

    def reconfigure(self, settings: ProvisionerSettings) -> None:
        if settings.resume_rate_per_s != self.settings.resume_rate_per_s:
            self._pacer = Pacer(settings.resume_rate_per_s)
        self.settings = settings
        self._requeue = settings.requeue()
        self._fill_slots()

    # --- jobs come in ------------------------------------------------------------------------------------

    def expect(self, job: ProvisioningJob) -> None:
        """The job is being written to Redis; its entry may be read before the write returns."""
        self._expected[job.id] = job

    def refuse(self, job: ProvisioningJob) -> None:
        """The write raised an error. If the job is in Redis all the same, it is adopted from there."""
        del self._expected[job.id]
        self._unread.set()

    def admit(self, job: ProvisioningJob) -> None:
        """The job is durable: it may run."""
        del self._expected[job.id]
        job.span = self._env.tracing.begin("job", operation=job.operation.label)
        self._metrics.enter(job)
        self._announce(job)
        if job.delivered:
            self._join(job, self._fresh)
            self._fill_slots()
        else:
            self._unread.set()

    async def resume(self) -> int:
        """Loads the state from Redis; returns the number of resumed jobs."""
        now = self._epoch()
        resumed = await self._recovery.load(now)
        for job in self._compute.jobs.values():
            self._metrics.enter(job)
        for job in resumed:
            if job.state == BLOCKED:
                self._wait(job, job.due - now)
            else:
                self._join(job, self._backlog)
        self._unread.set()
        self._fill_slots()
        return len(resumed)

    async def read(self) -> None:
        """Reads the queue after every acceptance and audits it every `poll_s`, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(self.settings.poll_s):
                    await self._unread.wait()
            except TimeoutError:
                await self._audit()
            self._unread.clear()
            try:
                self._deliver(await self._journal.read_new())
                while self._strays:
                    await self._adopt(*self._strays[0])
                    del self._strays[0]
            except STORE_ERRORS as error:
                self._unread.set()
                self._journal.suspect()
                if is_wrong_type(error):
                    raise
                await asyncio.sleep(self._journal.reconnect_s)

    def _deliver(self, pairs: list[tuple[str, str]]) -> None:
        for entry, job_id in pairs:
            job = self._compute.jobs.get(job_id)
            expected = self._expected.get(job_id)
            if job is not None and job.entry == entry:
                if not job.delivered:
                    job.delivered = True
                    self._join(job, self._fresh)
            elif expected is not None and not expected.delivered:
                expected.entry, expected.delivered = entry, True
            else:
                self._strays.append((entry, job_id))
                self._unread.set()
        self._fill_slots()

    async def _adopt(self, entry: str, job_id: str) -> None:
        """Handles an entry of an unknown job or a duplicate entry: adopts the job or deletes the entry."""
        known = job_id in self._expected or job_id in self._compute.jobs
        job = None if known else await self._recovery.adopt(job_id)
        if job is None:
            await self._journal.discard(entry)
            return
        job.entry, job.delivered = entry, True
        self._metrics.enter(job)
        self._announce(job)
        self._join(job, self._fresh)
        self._fill_slots()

    async def expire(self) -> None:
        """Removes finished operations after their retention time, even under constant load, until cancelled."""
        gone: list[str] = []
        while True:
            await asyncio.sleep(self.settings.poll_s)
            settings = self.settings
            fresh = self._compute.expire(self._epoch() - settings.operation_retention_s, settings.operations_max)
            self._metrics.forgotten(len(fresh))
            gone += fresh
            try:
                await self._journal.expire(gone)
                gone.clear()
            except STORE_ERRORS:
                self._journal.suspect()  # they are removed from Redis the next time

    async def _audit(self) -> None:
        """Detects silent losses: redis-py repeats commands by itself, and Redis may lose its last second."""
        compute = self._compute
        try:
            if self._expected or not self._journal.is_quiet:
                return
            unread = [job.operation.accepted for job in compute.jobs.values() if not job.delivered]
            overdue = bool(unread) and self._epoch() - min(unread) > self.settings.poll_s
            expected = len(compute.jobs), len(compute.operations), len(compute.resources)
            if overdue or await self._journal.counts() != expected:
                self._journal.suspect()
        except STORE_ERRORS:
            self._journal.suspect()

    # --- slots -------------------------------------------------------------------------------------------

    def _join(self, job: ProvisioningJob, line: deque[ProvisioningJob]) -> None:
        if job.waits_for:
            return  # joins when the job it waits for has left its slot
        self._order += 1
        job.order = self._order
        if job.state != QUEUED:
            self._metrics.move(job, QUEUED)
        line.append(job)

    def _fill_slots(self) -> None:
        slots = self.settings.slots
        while len(self._running) < slots:
            job = self._next()
            if job is None:
                return
            self._metrics.move(job, RUNNING)
            if job.tries:
                self._backlog_running += 1
            self._running[job] = self._tries.once(self._try(job), "try of a job")

    def _next(self) -> ProvisioningJob | None:
        """The runnable job that joined first, or None."""
        fresh, backlog = self._fresh, self._backlog
        for line in (fresh, backlog):
            while line and line[0].state != QUEUED:
                line.popleft()  # cancelled while it waited
        if backlog and self._backlog_running < max(1, floor(self.settings.backlog_share_max * self.settings.slots)):
            return backlog.popleft() if not fresh or backlog[0].order < fresh[0].order else fresh.popleft()
        return fresh.popleft() if fresh else None

    async def _try(self, job: ProvisioningJob) -> None:
        resumed = bool(job.tries)
        tracing = self._env.tracing
        with tracing.within(job.span), tracing.span("job.try", attempt=job.tries + 1) as span:
            stop = await self._run(job)
            if stop is not None:
                span.fail(stop.cause)
        del self._running[job]
        if resumed:
            self._backlog_running -= 1
        job.tries += 1
        self._settle(job, stop)
        self._fill_slots()

    async def _run(self, job: ProvisioningJob) -> Stop | None:
        try:
            return await self._worker.run(job)
        except Exception as error:
            self._env.events.emit("job_error", job=job.id, region=self._env.region, error=repr(error))
            return Stop("internal", detail=type(error).__name__)

    def _settle(self, job: ProvisioningJob, stop: Stop | None) -> None:
        job.stop = stop
        if job.leaving:  # cancelled while it ran
            self._release_followers(job)
        elif stop is None:
            self._decide(job, JobOutcome(SUCCEEDED, self._epoch()))
        elif self.settings.max_tries is not None and job.tries >= self.settings.max_tries:
            self._fail(job, stop)
        else:
            self._block(job, stop)

    # --- blocked jobs ------------------------------------------------------------------------------------

    def _block(self, job: ProvisioningJob, stop: Stop) -> None:
        now = self._epoch()
        delay_s = self._requeue.delay_s(job.tries, self._rng)
        timeout_s = self.settings.operation_timeout_s
        if timeout_s is not None:
            left_s = job.operation.accepted + timeout_s - now
            if left_s <= 0:
                self._fail(job, stop, timed_out=True)
                return
            delay_s = min(delay_s, left_s)
        job.due = now + delay_s
        self._metrics.move(job, BLOCKED)
        self._journal.changed(job)
        self._wait(job, delay_s)

    def _wait(self, job: ProvisioningJob, delay_s: float) -> None:
        asyncio.get_running_loop().call_later(delay_s, self._due, job)

    def _due(self, job: ProvisioningJob) -> None:
        if job.state != BLOCKED or self._stopped:
            return  # cancelled meanwhile
        timeout_s = self.settings.operation_timeout_s
        if timeout_s is not None and job.due - job.operation.accepted >= timeout_s:
            self._fail(job, job.stop or Stop("internal"), timed_out=True)
            return
        now = self._env.clock.now()
        start = self._pacer.reserve(now)
        if start > now:
            asyncio.get_running_loop().call_later(start - now, self._back, job)
        else:
            self._back(job)

    def _back(self, job: ProvisioningJob) -> None:
        if job.state == BLOCKED and not self._stopped:
            self._join(job, self._backlog)
            self._fill_slots()

    # --- jobs end ----------------------------------------------------------------------------------------

    def _fail(self, job: ProvisioningJob, stop: Stop, *, timed_out: bool = False) -> None:
        resource = self._compute.resources.get(job.operation.resource)
        if resource is None:
            self._decide(job, JobOutcome(CANCELED, self._epoch()))
            return
        error = error_of(stop, job.operation, resource, job.index, timed_out=timed_out)
        self._decide(job, JobOutcome(FAILED, self._epoch(), error))

    def _decide(self, job: ProvisioningJob, outcome: JobOutcome) -> None:
        job.outcome = outcome
        self._journal.changed(job)

    def spare(self, job: ProvisioningJob) -> None:
        """The delete that would have cancelled the job could not be recorded: the job continues."""
        job.canceling = False
        if job.state == RUNNING and job not in self._running:
            self._block(job, job.stop or Stop("internal"))

    def cancel(self, job: ProvisioningJob, outcome: JobOutcome, successor: ProvisioningJob) -> None:
        """A durable delete cancelled the job. A running job stops at its next step, and the delete waits for it."""
        job.outcome = outcome
        if job in self._running:
            successor.waits_for.add(job)
            job.followers.append(successor)
        self._finished(job)

    def _release_followers(self, job: ProvisioningJob) -> None:
        for follower in job.followers:
            follower.waits_for.discard(job)
            if not follower.waits_for and follower.delivered:
                self._join(follower, self._fresh)
        job.followers.clear()

    def _finished(self, job: ProvisioningJob) -> None:
        """Makes an outcome visible after it is in Redis."""
        outcome = job.outcome
        if outcome is None:
            raise ValueError(f"{job!r} has no outcome")
        compute = self._compute
        key = job.operation.resource
        resource = compute.resources.get(key)
        if resource is not None:
            changed = after(resource, job, outcome, self._journal.version_of)
            if changed is None:
                compute.remove(key)
            else:
                compute.put(changed)
        self._metrics.leave(job, DONE)
        job.operation = compute.operations[job.id] = ended(job, outcome)
        compute.end(job)
        self._metrics.finished(job.operation, outcome)
        if outcome.status != SUCCEEDED:
            job.span.fail(outcome.code or outcome.status)
        job.span.end()
        self._env.events.emit(
            "job_finished",
            job=job.id,
            operation=job.operation.label,
            tenant=job.operation.tenant,
            region=self._env.region,
            result=outcome.status.lower(),
            code=outcome.code,
            age_s=round(outcome.at - job.operation.accepted, 6),
            tries=job.tries,
        )

    def _announce(self, job: ProvisioningJob) -> None:
        operation = job.operation
        self._metrics.accepted(operation)
        self._env.events.emit(
            "job_accepted", job=job.id, operation=operation.label, tenant=operation.tenant, region=self._env.region
        )

    async def stop(self) -> None:
        """Stops; jobs stay in Redis and resume at the next start."""
        self._stopped = True
        await self._tries.stop()
