"""Resources, operations and jobs in memory: a cache of Redis that serves all reads.

Each region has one provisioner, which is the only writer. Acceptances and outcomes are in Redis before they are visible
here.
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
        """Jobs in progress, oldest first."""
        self._children: dict[str, dict[str, None]] = {}
        self._finished: deque[ProvisioningOperation] = deque()

    def clear(self) -> None:
        """Empties the cache, before a reload."""
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
        """Removes a resource and its extensions."""
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
        """The job that changes this resource, or None."""
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
        """Adds an operation read from Redis; the caller adds the jobs of those in progress."""
        self.operations[operation.id] = operation
        if operation.status != IN_PROGRESS:
            self._finished.append(operation)

    def expire(self, before: float, kept_max: int) -> list[str]:
        """Removes operations that ended before `before`, and the oldest beyond `kept_max`; returns their ids."""
        gone = []
        while self._finished and ((self._finished[0].ended or 0.0) < before or len(self._finished) > kept_max):
            operation = self._finished.popleft()
            self.operations.pop(operation.id, None)
            gone.append(operation.id)
        return gone

    def select(self, prefix: str, kind: str) -> list[Resource]:
        """Resources of a kind whose key starts with `prefix`, sorted by key."""
        found = [item for key, item in self.resources.items() if item.kind == kind and key.startswith(prefix)]
        return sorted(found, key=lambda item: item.key)

    def oldest_age_s(self, now: float) -> float:
        for job in self.jobs.values():
            return now - job.operation.accepted
        return 0.0

    def __repr__(self) -> str:
        return f"<Compute {len(self.resources)} resources, {len(self.jobs)} jobs, {len(self.operations)} operations>"
