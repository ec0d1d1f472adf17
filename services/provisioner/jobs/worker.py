"""The steps of a job. Each one succeeds or returns why it stopped; a stopped job resumes at that step."""

import asyncio

from services.chassis.env import Env
from services.clients.identity.client import CallResult, ManagedIdentityClient
from services.provisioner.arm.compute import Compute
from services.provisioner.jobs.packages import PackageSource
from services.provisioner.metrics import TRY_BLOCKED, TRY_DONE, TRY_IDENTITY, ProvisionerMetrics
from services.provisioner.settings import ProvisionerSettings
from services.provisioner.state import ALLOCATE, ASSIGN, FETCH, TOKEN, UNASSIGN, WORK, ProvisioningJob, Resource, Stop

IDENTITY_GONE = (400, 404)


class Worker:
    """Runs tries; it holds no state of a job."""

    def __init__(
        self,
        env: Env,
        compute: Compute,
        identity: ManagedIdentityClient,
        packages: PackageSource,
        metrics: ProvisionerMetrics,
        settings: ProvisionerSettings,
    ) -> None:
        self._region = env.region
        self._compute = compute
        self._identity = identity
        self._packages = packages
        self._metrics = metrics
        self.settings = settings

    async def run(self, job: ProvisioningJob) -> Stop | None:
        """Runs one try: from the step where the last one stopped, to the end or to the next stop.

        A cancelled job ends at the next step boundary: a step in progress is not interrupted.
        """
        steps = job.operation.steps
        while job.index < len(steps) and not job.leaving:
            stop = await self._step(job, steps[job.index])
            if stop is not None:
                self._count(job, stop)
                return stop
            job.index += 1
        if not job.leaving:
            self._metrics.tenant(job.operation.tenant).tries[TRY_DONE]()
        return None

    def _count(self, job: ProvisioningJob, stop: Stop) -> None:
        tenant = self._metrics.tenant(job.operation.tenant)
        tenant.tries[TRY_IDENTITY if stop.cause == "identity" else TRY_BLOCKED]()
        if stop.cause == "denied" or stop.cause == "repository":
            tenant.errors[stop.cause]()

    async def _step(self, job: ProvisioningJob, step: str) -> Stop | None:
        name, _, package = step.partition(":")
        if name == FETCH:
            return await self._packages.fetch(package, job.operation.tenant)
        if name == ALLOCATE:
            await asyncio.sleep(self.settings.allocate_s)
        elif name == WORK:
            await asyncio.sleep(self.settings.work_s)
        elif name == ASSIGN:
            return await self._assign(job)
        elif name == TOKEN:
            return await self._token(job)
        elif name == UNASSIGN:
            return await self._unassign(job)
        else:
            raise ValueError(f"unknown step {step!r}")
        return None

    def _owner(self, job: ProvisioningJob) -> Resource | None:
        """The resource whose identity the job uses: its own, or the machine of an extension."""
        return self._compute.identity_owner(job.operation.resource)

    async def _assign(self, job: ProvisioningJob) -> Stop | None:
        owner = self._owner(job)
        if owner is None:
            return None
        owner.assigned = True
        result = await self._identity.put_identity(
            job.operation.tenant, self._region, owner.identity, backlog=job.tries > 0
        )
        if not result.ok:
            return _identity_stop(result)
        ids = result.json()["properties"]
        owner = self._owner(job) or owner  # an update may have replaced the record meanwhile
        owner.client_id, owner.principal_id, owner.tenant_id = ids["clientId"], ids["principalId"], ids["tenantId"]
        return None

    async def _token(self, job: ProvisioningJob) -> Stop | None:
        owner = self._owner(job)
        resources = self.settings.token_resources
        earlier = job.operation.steps[: job.index].count(TOKEN)
        result = await self._identity.token(
            job.operation.tenant,
            self._region,
            owner.client_id if owner else "",
            resources[earlier % len(resources)],
            backlog=job.tries > 0,
        )
        if result.ok:
            return None
        if result.status in IDENTITY_GONE and ASSIGN in job.operation.steps:
            job.index = job.operation.steps.index(ASSIGN)
        return _identity_stop(result)

    async def _unassign(self, job: ProvisioningJob) -> Stop | None:
        owner = self._owner(job)
        if owner is None or not (owner.identity_owned and owner.assigned):
            return None
        result = await self._identity.delete_identity(
            job.operation.tenant, self._region, owner.identity, backlog=job.tries > 0
        )
        return None if result.ok else _identity_stop(result)


def _identity_stop(result: CallResult) -> Stop:
    return Stop("identity", result.status, result.body, result.failure)
