"""Accepts operations: validates the request, plans the steps, checks for conflicts, records the operation.

Nothing is acknowledged before it is in Redis. A delete is never refused as a conflict: it cancels the operations in
progress on the resource, so a client can abandon an operation that does not end.
"""

from dataclasses import dataclass, replace
from typing import Any

from services.chassis.arm import RESOURCE_NOT_FOUND
from services.chassis.env import Env
from services.chassis.errors import ServiceError
from services.chassis.http import retry_after
from services.chassis.store import STORE_ERRORS
from services.provisioner import errors
from services.provisioner.arm import validation
from services.provisioner.arm.compute import Compute
from services.provisioner.ids import Ref
from services.provisioner.jobs.scheduler import Scheduler
from services.provisioner.settings import ProvisionerSettings
from services.provisioner.state import (
    CANCELED,
    CREATE,
    DELETE,
    DELETING,
    EXTENSION,
    FAILED,
    SCALE_IN,
    SCALE_OUT,
    UPDATE,
    UPDATING,
    VMSS,
    JobOutcome,
    ProvisioningJob,
    ProvisioningOperation,
    Resource,
    capacity,
    plan,
)
from services.provisioner.store.journal import Journal

UNLABELLED = "unlabelled"
QUIET_TIMEOUT_S = 5.0
IDENTITY_NAME_LENGTH_MAX = 128


@dataclass(frozen=True, slots=True)
class Accepted:
    """The result of a request that starts an operation."""

    resource: Resource
    operation: ProvisioningOperation
    created: bool = False


class JobControl:
    """Accepts and records operations; the scheduler runs them."""

    def __init__(
        self, env: Env, compute: Compute, journal: Journal, scheduler: Scheduler, settings: ProvisionerSettings
    ) -> None:
        self._env = env
        self._compute = compute
        self._journal = journal
        self._scheduler = scheduler
        self._reserved: dict[str, str] = {}
        """Keys of resources whose next operation is being written to Redis."""
        self.settings = settings

    # --- create and update -------------------------------------------------------------------------------

    async def put(self, ref: Ref, raw: object) -> Accepted:
        """Creates a resource, or replaces its desired state."""
        validation.check_name(ref)
        self._require_parent(ref)
        body = validation.clean(ref, raw, self._env.region, self.settings.packages, partial=False)
        before = self._compute.resources.get(ref.key)
        self._refuse_conflict(ref)
        if before is None:
            self._refuse_beyond_quota()
            wanted = Resource(ref.kind, ref.id, self._env.region, "", body, self._env.clock.epoch())
            return await self._provision(wanted, CREATE, created=True)
        return await self._change(ref, before, body)

    async def patch(self, ref: Ref, raw: object) -> Accepted:
        """Changes the given fields of an existing resource."""
        before = self.find(ref)
        patch = validation.clean(ref, raw, self._env.region, self.settings.packages, partial=True)
        self._refuse_conflict(ref)
        return await self._change(ref, before, validation.merged(before.body, patch))

    async def _change(self, ref: Ref, before: Resource, body: dict[str, Any]) -> Accepted:
        if ref.kind == EXTENSION:
            for name in ("publisher", "type"):
                if body["properties"].get(name) != before.body["properties"][name]:
                    raise ServiceError(errors.CHANGE_NOT_ALLOWED, target=f"properties.{name}", property=name)
        wanted = replace(before, body=body, state=UPDATING)
        if before.state in (FAILED, CANCELED):
            return await self._provision(wanted, CREATE)
        if ref.kind == VMSS and capacity(body) != before.instances:
            return await self._provision(wanted, SCALE_OUT if capacity(body) > before.instances else SCALE_IN)
        return await self._provision(wanted, UPDATE)

    async def _provision(self, wanted: Resource, verb: str, *, created: bool = False) -> Accepted:
        ref = _ref_of(wanted)
        wanted.tenant = validation.tenant_of(wanted.body) or self._inherited_tenant(ref) or UNLABELLED
        wanted.packages = validation.packages_of(ref, wanted.body)
        if wanted.kind != EXTENSION and not wanted.identity:
            self._declare_identity(ref, wanted)
        known = () if verb in (CREATE, SCALE_OUT) or wanted.kind == EXTENSION else wanted.installed
        steps = plan(
            wanted.kind,
            verb,
            packages=tuple(name for name in wanted.packages if name not in known),
            identity_calls=self.settings.identity_calls if wanted.identity else 0,
            extension_tokens=self.settings.extension_tokens,
        )
        return await self._accept(wanted, verb, steps, created=created)

    def _inherited_tenant(self, ref: Ref) -> str:
        parent = self._compute.resources.get(ref.parent_ref().key) if ref.parent else None
        return parent.tenant if parent else ""

    def _declare_identity(self, ref: Ref, wanted: Resource) -> None:
        """Sets the identity that provisioning assigns; the platform's agent has one unless `type` is None."""
        declared = wanted.body.get("identity") or {}
        if self.settings.identity_calls == 0 or declared.get("type") == "None":
            return
        users = declared.get("userAssignedIdentities") or {}
        if users and "SystemAssigned" not in declared["type"]:
            wanted.identity, wanted.identity_owned = next(iter(users)).rsplit("/", 1)[-1], False
        else:
            wanted.identity = f"{ref.kind}-{ref.group}-{ref.name}".lower()[:IDENTITY_NAME_LENGTH_MAX]

    # --- lifecycle and delete ----------------------------------------------------------------------------

    async def act(self, ref: Ref, action: str) -> Accepted:
        """Lifecycle actions: start, restart, power off, deallocate and so on."""
        before = self.find(ref)
        self._refuse_conflict(ref)
        fetches = action in self.settings.fetching_actions
        steps = plan(
            ref.kind,
            action,
            packages=tuple(before.packages) if fetches else (),
            identity_calls=self.settings.identity_calls if before.identity else 0,
            fetches=fetches,
        )
        return await self._accept(replace(before, state=UPDATING), action, steps)

    async def delete(self, ref: Ref) -> Accepted | None:
        """Deletes a resource and cancels its operations in progress; None if it does not exist."""
        before = self._compute.resources.get(ref.key)
        if before is None:
            return None
        running = self._compute.in_flight(ref.key)
        if running is not None and running.operation.verb == DELETE:
            return Accepted(before, running.operation)
        self._refuse_if_parent_changes(ref)
        self._refuse_if_reserved(ref)
        for key, verb in self._reserved.items():
            if key.startswith(f"{ref.key}/"):
                raise ServiceError(errors.CONFLICT, operation=verb, resource=key)
        steps = plan(ref.kind, DELETE, identity_calls=1 if before.identity else 0)
        return await self._accept(replace(before, state=DELETING), DELETE, steps)

    # --- common ------------------------------------------------------------------------------------------

    def find(self, ref: Ref) -> Resource:
        """The resource.

        Raises:
            ServiceError: 404 if it does not exist.
        """
        found = self._compute.resources.get(ref.key)
        if found is None:
            self._require_parent(ref)
            raise ServiceError(RESOURCE_NOT_FOUND, type=ref.type, name=ref.long_name, group=ref.group)
        return found

    def _require_parent(self, ref: Ref) -> None:
        if ref.parent and ref.parent_ref().key not in self._compute.resources:
            parent = ref.parent_ref().id
            raise ServiceError(errors.PARENT_NOT_FOUND, action="write", type=ref.type, parent=parent)

    def _refuse_conflict(self, ref: Ref) -> None:
        running = self._compute.in_flight(ref.key)
        if running is not None:
            raise ServiceError(errors.CONFLICT, operation=running.operation.verb, resource=ref.id)
        self._refuse_if_parent_changes(ref)
        self._refuse_if_reserved(ref)

    def _refuse_if_parent_changes(self, ref: Ref) -> None:
        if ref.parent:
            parent = ref.parent_ref()
            running = self._compute.in_flight(parent.key)
            if running is not None:
                raise ServiceError(errors.CONFLICT, operation=running.operation.verb, resource=parent.id)
            self._refuse_if_reserved(parent)

    def _refuse_beyond_quota(self) -> None:
        limit = self.settings.resources_max
        if len(self._compute.resources) + len(self._reserved) >= limit:
            raise ServiceError(errors.QUOTA_EXCEEDED, location=self._env.region, limit=limit)

    def _refuse_beyond_jobs(self) -> None:
        limit = self.settings.jobs_max
        if len(self._compute.jobs) + len(self._reserved) >= limit:
            headers = retry_after(self.settings.retry_after_s)
            raise ServiceError(errors.TOO_MANY_OPERATIONS, headers=headers, location=self._env.region, limit=limit)

    def _refuse_if_reserved(self, ref: Ref) -> None:
        verb = self._reserved.get(ref.key)
        if verb is not None:
            raise ServiceError(errors.CONFLICT, operation=verb, resource=ref.id)

    async def _accept(self, wanted: Resource, verb: str, steps: tuple[str, ...], *, created: bool = False) -> Accepted:
        key = wanted.key
        self._refuse_beyond_jobs()
        self._reserved[key] = verb
        try:
            canceled = await self._to_cancel(key) if verb == DELETE else []
            now = self._env.clock.epoch()
            job_id = self._env.streams.uuid("operations")
            job = ProvisioningJob(ProvisioningOperation(job_id, wanted.kind, verb, key, wanted.tenant, now, steps))
            # an extension cancelled with its machine keeps its record until the machine is deleted
            others = [replace(item, state=CANCELED) for item in self._extensions_of(canceled, key)]
            wanted = replace(wanted, operation=job_id)
            await self._record(job, [wanted, *others], canceled, JobOutcome(CANCELED, now))
        finally:
            del self._reserved[key]
        return Accepted(wanted, job.operation, created)

    async def _record(
        self, job: ProvisioningJob, resources: list[Resource], canceled: list[ProvisioningJob], outcome: JobOutcome
    ) -> None:
        self._scheduler.expect(job)
        for other in canceled:
            other.canceling = True
        try:
            await self._journal.accept(job, resources, canceled, outcome)
        except STORE_ERRORS as error:
            self._scheduler.refuse(job)
            for other in canceled:
                self._scheduler.spare(other)
            headers = retry_after(self.settings.retry_after_s)
            raise ServiceError(errors.STORE_UNAVAILABLE, headers=headers) from error
        for resource in resources:
            self._compute.put(resource)
        for other in canceled:
            self._scheduler.cancel(other, outcome, job)
        self._compute.begin(job)
        self._scheduler.admit(job)

    async def _to_cancel(self, key: str) -> list[ProvisioningJob]:
        """The jobs in progress on a resource and its extensions, after outcomes already decided are durable."""
        while True:
            found = [self._compute.in_flight(name) for name in (key, *self._compute.child_keys(key))]
            jobs = [job for job in found if job is not None]
            if all(job.outcome is None for job in jobs):
                return jobs
            try:
                await self._journal.quiet(QUIET_TIMEOUT_S)
            except TimeoutError as error:
                raise ServiceError(errors.STORE_UNAVAILABLE, headers=retry_after(1.0)) from error

    def _extensions_of(self, jobs: list[ProvisioningJob], key: str) -> list[Resource]:
        keys = [job.operation.resource for job in jobs]
        return [self._compute.resources[name] for name in keys if name != key]


def _ref_of(resource: Resource) -> Ref:
    parts = resource.id.split("/")
    parent = parts[8] if resource.kind == EXTENSION else ""
    return Ref(parts[2], parts[4], resource.kind, parts[-1], parent)
