"""Operations, jobs and resources as values, and the rules by which they change. No I/O, no clock, no loop.

An operation is what the client polls; its job is how the work stands. Both share one id. A job only ever moves forward
through its steps: a try that stops leaves `index` at the step that failed, and the next try begins there.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any, Literal

from pydantic import Field

from services.chassis.stored import Shape

VM, VMSS, EXTENSION = "vm", "vmss", "extension"
CREATE, UPDATE, DELETE = "create", "update", "delete"
SCALE_OUT, SCALE_IN = "scale_out", "scale_in"
ACTIONS = ("start", "restart", "powerOff", "deallocate", "redeploy", "reapply", "reimage")
POWER_AFTER = {"powerOff": "stopped", "deallocate": "deallocated", "reapply": "", "reimage": ""}

ALLOCATE, WORK, FETCH, ASSIGN, TOKEN, UNASSIGN = "allocate", "work", "fetch", "assign", "token", "unassign"

IN_PROGRESS, SUCCEEDED, FAILED, CANCELED = "InProgress", "Succeeded", "Failed", "Canceled"
CREATING, UPDATING, DELETING = "Creating", "Updating", "Deleting"
QUEUED, BLOCKED, RUNNING, DONE = "queued", "blocked", "running", "done"

Kind = Annotated[str, Field(pattern=r"^(vm|vmss|extension)$")]
Status = Annotated[str, Field(pattern=r"^(InProgress|Succeeded|Failed|Canceled)$")]
ResourceId = Annotated[str, Field(pattern=r"^/[^/]+/[^/]+")]
Step = Annotated[str, Field(pattern=r"^(allocate|work|assign|token|unassign|fetch:.+)$")]


def capacity(body: dict[str, Any]) -> int:
    """`sku.capacity` of a scale set; 1 when it is not given, or is no number in a body that was not written by us."""
    sku = body.get("sku")
    wanted = sku.get("capacity", 1) if isinstance(sku, dict) else 1
    return int(wanted) if isinstance(wanted, int) else 1


Cause = Literal["denied", "repository", "identity", "internal"]
Error = dict[str, Any]
VersionOf = Callable[[str], str]


@dataclass(slots=True, eq=False)
class Resource:
    """A virtual machine, scale set or extension. `body` is what the client asked for, minus secrets."""

    kind: Kind
    id: ResourceId
    location: str
    tenant: str
    body: dict[str, Any]
    created: float
    state: str = CREATING
    operation: str = ""
    """The operation in flight, or the last one."""
    identity: str = ""
    """Name of the identity that provisioning assigns; empty when there is none."""
    identity_owned: bool = True
    """Deleted with the resource; a user-assigned one is not."""
    assigned: bool = False
    """Assigning was at least tried, so there may be something to delete."""
    client_id: str = ""
    principal_id: str = ""
    tenant_id: str = ""
    power: str = ""
    instances: int = 0
    """Scale sets: machines that run, as opposed to `sku.capacity`, which is wanted."""
    packages: dict[str, str] = field(default_factory=dict)
    """publisher/type → name of the extension."""
    installed: dict[str, dict[str, Any]] = field(default_factory=dict)
    """publisher/type → version, status, message, time."""

    @property
    def key(self) -> str:
        """Resource ids compare without regard to case."""
        return self.id.lower()

    @property
    def name(self) -> str:
        return self.id.rsplit("/", 1)[1]

    def to_json(self) -> str:
        return json.dumps({name: getattr(self, name) for name in _RESOURCE_FIELDS}, separators=(",", ":"))


_RESOURCE_FIELDS = tuple(item.name for item in fields(Resource))
RESOURCE: Shape[Resource] = Shape(Resource)


@dataclass(slots=True, eq=False)
class ProvisioningOperation:
    """An accepted operation; `status` is terminal exactly once."""

    id: str
    kind: Kind
    verb: str
    resource: ResourceId
    """The resource's key."""
    tenant: str
    accepted: float
    steps: tuple[Step, ...]
    status: Status = IN_PROGRESS
    ended: float | None = None
    error: Error | None = None

    @property
    def label(self) -> str:
        """The `kind` of events and metrics, e.g. `vm_create`."""
        return f"{self.kind}_{self.verb}"

    def to_json(self) -> str:
        return json.dumps({name: getattr(self, name) for name in _OPERATION_FIELDS}, separators=(",", ":"))


_OPERATION_FIELDS = tuple(item.name for item in fields(ProvisioningOperation))
OPERATION: Shape[ProvisioningOperation] = Shape(ProvisioningOperation)


@dataclass(slots=True, eq=False)
class ProvisioningJob:
    """How the work of one operation stands. Lives in memory; `progress` and `due` are also in Redis."""

    operation: ProvisioningOperation
    entry: str = ""
    """The stream entry, acknowledged when the operation is terminal."""
    delivered: bool = False
    index: int = 0
    tries: int = 0
    due: float = 0.0
    """Epoch seconds of the next try; 0 while it is not waiting for one."""
    state: str = QUEUED
    order: int = 0
    stop: Stop | None = None
    """What ended the last try."""
    outcome: JobOutcome | None = None
    """Decided, perhaps not yet durable."""
    canceling: bool = False
    """A delete that will cancel it is on its way to Redis: it begins no further step."""
    waits_for: set[ProvisioningJob] = field(default_factory=set)
    followers: list[ProvisioningJob] = field(default_factory=list)

    @property
    def id(self) -> str:
        return self.operation.id

    @property
    def leaving(self) -> bool:
        return self.canceling or self.outcome is not None

    def progress(self) -> str:
        return f"{self.index}|{self.tries}"

    def restore(self, progress: str) -> None:
        """
        Raises:
            ValueError: it is no progress of these steps.
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
    """What a step met. `status` is 0 when no answer came; `detail` says why then."""

    cause: Cause
    status: int = 0
    body: bytes = b""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class JobOutcome:
    """A terminal state on its way to the operation."""

    status: str
    at: float
    error: Error | None = None

    @property
    def code(self) -> str:
        return self.error["code"] if self.error else ""


def identity_steps(calls: int) -> tuple[str, ...]:
    """One PUT, then tokens."""
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

    `packages` are those still to be fetched; `identity_calls` is 0 for a resource without identity; `fetches` says that
    a lifecycle action puts the machine on a fresh disk.
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
    """The resource once `outcome` is durable; None when it is gone. The resource given is not changed."""
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


def innermost(error: Error) -> Error:
    """The cause inside a wrapped error."""
    while error.get("details"):
        error = error["details"][0]
    return error
