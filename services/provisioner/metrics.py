"""The metrics of a provisioner (`docs/metrics.md` lists them with their meaning)."""

from collections.abc import Callable, Iterable

from services.chassis.metrics import OTHER, Metrics
from services.provisioner.failures import CODES
from services.provisioner.state import (
    BLOCKED,
    QUEUED,
    RUNNING,
    Cause,
    JobOutcome,
    ProvisioningJob,
    ProvisioningOperation,
)

TENANTS_MAX = 500
TRY_DONE, TRY_BLOCKED, TRY_IDENTITY = "done", "blocked", "identity_failed"
JOB_DURATION_BUCKETS_S = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 400.0, 800.0)


class _Tenant:
    """Pre-bound metric children and job counts of one tenant."""

    __slots__ = ("errors", "jobs", "tries")

    def __init__(self, metrics: "ProvisionerMetrics", region: str, tenant: str) -> None:
        self.jobs = {QUEUED: 0, BLOCKED: 0, RUNNING: 0}
        self.tries = {
            result: metrics.tries.labels(region, tenant, result).inc for result in (TRY_DONE, TRY_BLOCKED, TRY_IDENTITY)
        }
        causes: tuple[Cause, ...] = ("denied", "repository")
        self.errors = {cause: metrics.extension_errors.labels(region, tenant, CODES[cause]).inc for cause in causes}


class ProvisionerMetrics:
    """Counters of events; job counts are computed when read."""

    def __init__(
        self, metrics: Metrics, region: str, *, oldest_age_s: Callable[[], float], slots: Callable[[], float]
    ) -> None:
        self._region = region
        self._tenants: dict[str, _Tenant] = {}
        self.tries = metrics.counter(
            "provisioner_job_tries_total", "Tries of jobs, by how they ended.", ("region", "tenant", "result")
        )
        self.extension_errors = metrics.counter(
            "provisioner_extension_errors_total", "Failed package downloads.", ("region", "tenant", "code")
        )
        self._accepted = metrics.counter(
            "provisioner_operations_accepted_total", "Operations accepted.", ("region", "tenant", "kind")
        )
        self._finished = metrics.counter(
            "provisioner_operations_finished_total",
            "Operations in a terminal state.",
            ("region", "tenant", "kind", "result", "code"),
        )
        self.forgotten = metrics.counter(
            "provisioner_operations_forgotten_total", "Finished operations that can no longer be polled."
        ).inc
        self._duration = metrics.histogram(
            "provisioner_job_duration_seconds", "From accepted to terminal.", buckets=JOB_DURATION_BUCKETS_S
        ).observe
        metrics.computed_gauge(
            "provisioner_jobs", "Jobs in progress, by state.", self._job_rows, ("region", "tenant", "state")
        )
        metrics.computed_gauge(
            "provisioner_slots", "Jobs that may run at once.", lambda: [((region,), slots())], ("region",)
        )
        metrics.computed_gauge(
            "provisioner_oldest_job_age_seconds",
            "Age of the oldest job in progress.",
            lambda: [((region,), oldest_age_s())],
            ("region",),
        )

    def tenant(self, name: str) -> _Tenant:
        """The counts of a tenant; tenants beyond the limit share one entry."""
        found = self._tenants.get(name)
        if found is None:
            if len(self._tenants) > TENANTS_MAX and name != OTHER:
                return self.tenant(OTHER)
            found = self._tenants[name] = _Tenant(self, self._region, name)
        return found

    def move(self, job: ProvisioningJob, state: str) -> None:
        """Changes a job's state. All changes go through here, so that the gauge cannot drift."""
        jobs = self.tenant(job.operation.tenant).jobs
        jobs[job.state] -= 1
        jobs[state] += 1
        job.state = state

    def enter(self, job: ProvisioningJob) -> None:
        self.tenant(job.operation.tenant).jobs[job.state] += 1

    def leave(self, job: ProvisioningJob, state: str) -> None:
        self.tenant(job.operation.tenant).jobs[job.state] -= 1
        job.state = state

    def accepted(self, operation: ProvisioningOperation) -> None:
        self._accepted.labels(self._region, operation.tenant, operation.label).inc()

    def finished(self, operation: ProvisioningOperation, outcome: JobOutcome) -> None:
        result = outcome.status.lower()
        self._finished.labels(self._region, operation.tenant, operation.label, result, outcome.code).inc()
        self._duration(outcome.at - operation.accepted)

    def _job_rows(self) -> Iterable[tuple[tuple[str, ...], float]]:
        for name, tenant in self._tenants.items():
            for state, count in tenant.jobs.items():
                yield (self._region, name, state), float(count)
