"""The Runtime protocol: the operations of an experiment on the testbed, independent of how it runs.

Three implementations: `virtual` (one process, virtual time), `local` (processes on this machine), `docker` (a compose
project). An experiment depends only on this module.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from compose.topology import InstanceSpec, Topology
from services.chassis.clock import Clock
from services.chassis.env import Peers
from services.chassis.events import Sink
from services.chassis.http import HttpClient
from services.chassis.metrics import Metrics
from services.chassis.settings import Tree
from services.chassis.store import Store


@dataclass(frozen=True)
class ScrapeTarget:
    """Source of an instance's metrics: a registry in this process, or a base URL."""

    spec: InstanceSpec
    metrics: Metrics | None = None
    url: str = ""


class RuntimeUnavailable(RuntimeError):
    """The runtime cannot start, or does not support the operation; the message says why and what to do."""


class UnknownInstance(LookupError):
    """No instance has that name; the message lists the known names."""


class InstanceDown(RuntimeError):
    """The operation needs a running instance, and this one (named in the message) is not running."""


@dataclass(frozen=True)
class Cut:
    """Packets between an instance and all instances matching `peer` (a glob) are dropped; `id` identifies the cut."""

    id: str
    peer: str
    lease_s: float


class Runtime(Protocol):
    """A running testbed. Methods raise `UnknownInstance` for a name that does not exist.

    Operations are declarative and idempotent: killing a dead instance, reviving a running one or ending a fault that is
    not active is not an error.
    """

    name: str
    events_in_store: bool
    """Whether event lines are read from the store's stream (separate processes) or arrive at the sink (one process)."""
    clock: Clock
    http: HttpClient
    store: Store
    peers: Peers
    secret: str
    """The project secret, set once started. Operator calls to the project's processes carry it."""

    async def start(self, topology: Topology, tree: Tree, seed: int, sink: Sink) -> None:
        """Starts every instance and returns when all are ready. `sink` receives their event lines.

        Raises:
            RuntimeUnavailable: the testbed could not be started.
        """

    async def until_lost(self) -> None:
        """Waits while this run owns the testbed.

        Raises:
            RuntimeUnavailable: another run has taken over the testbed.
        """

    async def stop_instances(self) -> None:
        """Stops the instances after they have written their last event lines; the store stays available."""

    async def stop(self) -> None:
        """Stops everything this runtime started; idempotent."""

    def instances(self) -> Sequence[InstanceSpec]:
        """The running instances, in start order."""

    def targets(self) -> Sequence[ScrapeTarget]:
        """The metrics sources of the running instances."""

    @property
    def started(self) -> Callable[[str], Awaitable[str]] | None:
        """What tells the present process of an instance from its next one; None where nobody else may start one again.

        Containers are started again by the engine, by their restart policy, or by their user.
        """

    async def add_nodes(self, region: str, count: int) -> Sequence[InstanceSpec]:
        """Starts `count` more identity nodes in `region`; returns when they are ready."""

    async def remove_nodes(self, region: str, count: int) -> Sequence[InstanceSpec]:
        """Stops the `count` newest identity nodes of `region`."""

    async def kill(self, name: str) -> None:
        """Kills an instance, as SIGKILL does."""

    async def revive(self, name: str) -> None:
        """Restarts an instance that is down; returns when it is ready."""

    async def pause(self, name: str) -> None:
        """Freezes an instance, as SIGSTOP does.

        Raises:
            InstanceDown: the instance is not running.
        """

    async def resume(self, name: str) -> None:
        """Ends a pause."""

    async def partition(self, name: str, cuts: Sequence[Cut]) -> None:
        """Makes `cuts` the active cuts of an instance: adds the missing ones and ends the others.

        Where a cut can outlive this process (containers), it ends after `lease_s` seconds.

        Raises:
            InstanceDown: the instance, or every peer of a cut, is down.
            RuntimeUnavailable: the runtime does not support partitions.
        """

    async def cpu_limit(self, name: str, cpus: float | None) -> None:
        """Limits an instance to `cpus` CPUs; None removes the limit. Raises RuntimeUnavailable if not supported."""

    async def stall_store(self, left_s: float) -> None:
        """Makes the store unresponsive, to be ended within `left_s` seconds, or responsive again if that is 0."""

    async def end_overdue_stall(self) -> None:
        """Ends a stall by a process that was killed, where a stall can outlive its process (containers)."""
