"""Operations, jobs and resources as values, and their state transitions. No I/O, no clock, no event loop.

A client polls the operation; the job holds the progress of the work. Both have the same id. A job only moves forward
through its steps: a stopped try leaves `index` at the failed step, where the next try begins.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from services.chassis.stored import StoredShape
from services.chassis.tracing import NO_SPAN, Span

VM, VMSS, EXTENSION = "vm", "vmss", "extension"
CREATE, UPDATE, DELETE = "create", "update", "delete"
SCALE_OUT, SCALE_IN = "scale_out", "scale_in"
ACTIONS = ("start", "restart", "powerOff", "deallocate", "redeploy", "reapply", "reimage")
POWER_AFTER = {"powerOff": "stopped", "deallocate": "deallocated", "reapply": "", "reimage": ""}

ALLOCATE, WORK, FETCH, ASSIGN, TOKEN, UNASSIGN = "allocate", "work", "fetch", "assign", "token", "unassign"

IN_PROGRESS, SUCCEEDED, FAILED, CANCELED = "InProgress", "Succeeded", "Failed", "Canceled"
CREATING, UPDATING, DELETING = "Creating", "Updating", "Deleting"
QUEUED, BLOCKED, RUNNING, DONE = "queued", "blocked", "running", "done"

ResourceKind = Annotated[str, Field(pattern=r"^(vm|vmss|extension)$")]
ProvisioningStatus = Annotated[str, Field(pattern=r"^(InProgress|Succeeded|Failed|Canceled)$")]
ResourceId = Annotated[str, Field(pattern=r"^/[^/]+/[^/]+")]
JobStep = Annotated[str, Field(pattern=r"^(allocate|work|assign|token|unassign|fetch:.+)$")]


def capacity(body: dict[str, Any]) -> int:
    """`sku.capacity` of a scale set; 1 if missing or, in a corrupt stored body, not a number."""
    sku = body.get("sku")
    wanted = sku.get("capacity", 1) if isinstance(sku, dict) else 1
    return int(wanted) if isinstance(wanted, int) else 1


Cause = Literal["denied", "repository", "identity", "internal"]
OperationError = dict[str, Any]
VersionOf = Callable[[str], str]


@dataclass(slots=True, eq=False)
class Resource:
    """A virtual machine, scale set or extension. `body` is the client's request without secrets."""

    kind: ResourceKind
    id: ResourceId
    location: str
    tenant: str
    body: dict[str, Any]
    created: float
    state: str = CREATING
    operation: str = ""
    """The operation in progress, or the last one."""
    identity: str = ""
    """Name of the identity that provisioning assigns; empty if none."""
    identity_owned: bool = True
    """Whether the identity is deleted with the resource; a user-assigned one is not."""
    assigned: bool = False
    """Whether assignment was tried, so that there may be an identity to delete."""
    client_id: str = ""
    principal_id: str = ""
    tenant_id: str = ""
    power: str = ""
    instances: int = 0
    """Scale sets: running machines; `sku.capacity` is the desired number."""
    packages: dict[str, str] = field(default_factory=dict)
    """publisher/type → name of the extension."""
    installed: dict[str, dict[str, Any]] = field(default_factory=dict)
    """publisher/type → version, status, message, time."""

    @property
    def key(self) -> str:
        """The lower-case id: resource ids are case-insensitive."""
        return self.id.lower()

    @property
    def name(self) -> str:
        return self.id.rsplit("/", 1)[1]

    def to_json(self) -> str:
        return json.dumps({name: getattr(self, name) for name in _RESOURCE_FIELDS}, separators=(",", ":"))


_RESOURCE_FIELDS = tuple(item.name for item in fields(Resource))
RESOURCE: StoredShape[Resource] = StoredShape(Resource)


@dataclass(slots=True, eq=False)
class ProvisioningOperation:
    """An accepted operation; `status` becomes terminal exactly once."""

    id: str
    kind: ResourceKind
    verb: str
    resource: ResourceId
    """The resource's key."""
    tenant: str
    accepted: float
    steps: tuple[JobStep, ...]
    status: ProvisioningStatus = IN_PROGRESS
    ended: float | None = None
    error: OperationError | None = None

    @property
    def label(self) -> str:
        """The `kind` of events and metrics, e.g. `vm_create`."""
        return f"{self.kind}_{self.verb}"

    def to_json(self) -> str:
        return json.dumps({name: getattr(self, name) for name in _OPERATION_FIELDS}, separators=(",", ":"))


_OPERATION_FIELDS = tuple(item.name for item in fields(ProvisioningOperation))
OPERATION: StoredShape[ProvisioningOperation] = StoredShape(ProvisioningOperation)


@dataclass(slots=True, eq=False)
class ProvisioningJob:
    """The progress of one operation, in memory; `progress` and `due` are also in Redis."""

    operation: ProvisioningOperation
    entry: str = ""
    """Id of the stream entry, which is acknowledged when the operation is terminal."""
    delivered: bool = False
    index: int = 0
    tries: int = 0
    due: float = 0.0
    """Epoch seconds of the next try; 0 if none is scheduled."""
    state: str = QUEUED
    order: int = 0
    stop: Stop | None = None
    """Why the last try stopped."""
    outcome: JobOutcome | None = None
    """The decided outcome, possibly not yet durable."""
    canceling: bool = False
    """A delete that cancels this job is being written to Redis: no further step begins."""
    waits_for: set[ProvisioningJob] = field(default_factory=set)
    followers: list[ProvisioningJob] = field(default_factory=list)
    span: Span = NO_SPAN
    """Its part of the trace of the request that was accepted. Not in Redis: a restart ends it."""

    @property
    def id(self) -> str:
        return self.operation.id

    @property
    def leaving(self) -> bool:
        return self.canceling or self.outcome is not None

    def progress(self) -> str:
        return f"{self.index}|{self.tries}"

    def restore(self, progress: str) -> None:
        """Restores stored progress.

        Raises:
            ValueError: it is not valid for these steps.
        """
        index, _, tries = progress.partition("|")
        if not 0 <= int(index) < max(1, len(self.operation.steps)) or int(tries) < 0:
            raise ValueError(f"must be `step|tries` with a step below {len(self.operation.steps)}")
        self.index, self.tries = int(index), int(tries)

    def __repr__(self) -> str:
        steps = self.operation.steps
        at = steps[self.index] if self.index < len(steps) else "end"
        return f"<ProvisioningJob {self.operation.label} {self.state} at {at}, {self.tries} tries>"


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a step failed. `status` is 0 without a response; then `detail` has the reason."""

    cause: Cause
    status: int = 0
    body: bytes = b""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """A terminal state that is not yet durable."""

    status: str
    at: float
    error: OperationError | None = None

    @property
    def code(self) -> str:
        return self.error["code"] if self.error else ""


def identity_steps(calls: int) -> tuple[str, ...]:
    """The identity steps of a job: one PUT, then tokens."""
    return (ASSIGN, *[TOKEN] * (calls - 1)) if calls else ()


def plan(
    kind: str,
    verb: str,
    *,
    packages: tuple[str, ...] = (),
    identity_calls: int = 0,
    extension_tokens: int = 0,
    fetches: bool = False,
) -> tuple[str, ...]:
    """The steps of an operation, in order.

    `packages` are those to fetch; `identity_calls` is 0 for a resource without identity; `fetches`: a lifecycle action
    puts the machine on a fresh disk and fetches the packages again.
    """
    fetch = tuple(f"{FETCH}:{package}" for package in packages)
    if verb == DELETE:
        return (WORK, UNASSIGN) if identity_calls else (WORK,)
    if kind == EXTENSION:
        return (*fetch, *[TOKEN] * extension_tokens)
    if verb in (CREATE, SCALE_OUT) or fetches:
        return (ALLOCATE, *fetch, *identity_steps(identity_calls))
    if verb in (UPDATE, SCALE_IN):
        return (WORK, *fetch)
    return (WORK, TOKEN) if identity_calls else (WORK,)


def after(resource: Resource, job: ProvisioningJob, outcome: JobOutcome, version_of: VersionOf) -> Resource | None:
    """The new state of the resource after `outcome`; None if it is deleted. `resource` is not changed."""
    operation = job.operation
    if resource.operation != operation.id:
        return resource  # a delete has taken over
    if operation.verb == DELETE and outcome.status == SUCCEEDED:
        return None
    changed = replace(resource, state=outcome.status, installed=dict(resource.installed))
    _record_packages(changed, job, outcome, version_of)
    if outcome.status == SUCCEEDED:
        if operation.kind != EXTENSION:
            changed.power = POWER_AFTER.get(operation.verb, "running") or changed.power
        if operation.kind == VMSS and operation.verb in (CREATE, UPDATE, SCALE_OUT, SCALE_IN):
            changed.instances = capacity(changed.body)
    return changed


def _record_packages(resource: Resource, job: ProvisioningJob, outcome: JobOutcome, version_of: VersionOf) -> None:
    for number, step in enumerate(job.operation.steps):
        name, _, package = step.partition(":")
        if name != FETCH or number > job.index:
            continue
        failed = number == job.index and outcome.status == FAILED
        if number < job.index or failed:
            resource.installed[package] = {
                "version": version_of(package),
                "status": FAILED if failed else SUCCEEDED,
                "message": innermost(outcome.error)["message"] if failed and outcome.error else "",
                "time": outcome.at,
            }


def innermost(error: OperationError) -> OperationError:
    """The innermost cause of a wrapped error."""
    while error.get("details"):
        error = error["details"][0]
    return error
