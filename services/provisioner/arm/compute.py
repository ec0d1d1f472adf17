"""What the provisioner knows: resources, operations, jobs in progress. A cache of Redis that answers every read.

There is one provisioner per region, so nobody else writes; every acceptance and every end is in Redis before it is
visible here.
"""

from collections import deque

from services.provisioner.ids import parent_key
from services.provisioner.state import IN_PROGRESS, ProvisioningJob, ProvisioningOperation, Resource


class Compute:
    """All state of one region, indexed."""

    def __init__(self) -> None:
        self.resources: dict[str, Resource] = {}
        self.operations: dict[str, ProvisioningOperation] = {}
        self.jobs: dict[str, ProvisioningJob] = {}
        """In progress, oldest first."""
        self._children: dict[str, dict[str, None]] = {}
        self._finished: deque[ProvisioningOperation] = deque()

    def clear(self) -> None:
        """Forgets everything, before it is read afresh."""
        for held in (self.resources, self.operations, self.jobs, self._children, self._finished):
            held.clear()

    def put(self, resource: Resource) -> None:
        """Adds a resource or replaces it."""
        key = resource.key
        self.resources[key] = resource
        parent = parent_key(key)
        if parent:
            self._children.setdefault(parent, {})[key] = None

    def remove(self, key: str) -> None:
        """Forgets a resource and its extensions."""
        for name in (*self.child_keys(key), key):
            self.resources.pop(name, None)
        self._children.pop(key, None)
        parent = parent_key(key)
        siblings = self._children.get(parent)
        if siblings is not None:
            siblings.pop(key, None)
            if not siblings:
                del self._children[parent]

    def child_keys(self, key: str) -> list[str]:
        """Extensions of a machine, in order of creation."""
        return list(self._children.get(key, ()))

    def children(self, key: str) -> list[Resource]:
        return [self.resources[child] for child in self.child_keys(key)]

    def in_flight(self, key: str) -> ProvisioningJob | None:
        """The job that is changing this very resource."""
        resource = self.resources.get(key)
        return self.jobs.get(resource.operation) if resource else None

    def identity_owner(self, key: str) -> Resource | None:
        """The resource whose identity a job uses: its own, or that of the machine an extension runs on."""
        owner = self.resources.get(parent_key(key) or key)
        return owner if owner is not None and owner.identity else None

    def begin(self, job: ProvisioningJob) -> None:
        self.operations[job.id] = job.operation
        self.jobs[job.id] = job

    def end(self, job: ProvisioningJob) -> None:
        self.jobs.pop(job.id, None)
        self._finished.append(job.operation)

    def restore(self, operation: ProvisioningOperation) -> None:
        """An operation read from Redis; those in progress get their job from the caller."""
        self.operations[operation.id] = operation
        if operation.status != IN_PROGRESS:
            self._finished.append(operation)

    def expire(self, before: float, kept_max: int) -> list[str]:
        """Forgets operations that ended before that moment, and the oldest of more than `kept_max`; says which."""
        gone = []
        while self._finished and ((self._finished[0].ended or 0.0) < before or len(self._finished) > kept_max):
            operation = self._finished.popleft()
            self.operations.pop(operation.id, None)
            gone.append(operation.id)
        return gone

    def select(self, prefix: str, kind: str) -> list[Resource]:
        """Resources of a kind whose key begins with `prefix`, sorted by key."""
        found = [item for key, item in self.resources.items() if item.kind == kind and key.startswith(prefix)]
        return sorted(found, key=lambda item: item.key)

    def oldest_age_s(self, now: float) -> float:
        for job in self.jobs.values():
            return now - job.operation.accepted
        return 0.0

    def __repr__(self) -> str:
        return f"<Compute {len(self.resources)} resources, {len(self.jobs)} jobs, {len(self.operations)} operations>"
