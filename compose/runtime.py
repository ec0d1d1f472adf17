"""The Runtime protocol: what an experiment may do to the testbed, whichever way it runs.

Three implementations: `virtual` (one process, virtual time), `local` (processes on this machine), `docker` (a compose
project). An experiment knows only this page.
"""

from collections.abc import Sequence
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
    """Where the metrics of an instance are read: its registry in process, or a URL."""

    spec: InstanceSpec
    metrics: Metrics | None = None
    url: str = ""


class RuntimeUnavailable(RuntimeError):
    """The runtime cannot start here; the text says what is missing and how to get it."""


class UnknownInstance(LookupError):
    """No instance of that name; the text lists the known ones."""


class InstanceDown(RuntimeError):
    """The instance is not running, so this cannot be done to it now; the text names it."""


@dataclass(frozen=True)
class Cut:
    """Packets between an instance and those that match `peer` (a glob of names) vanish; `id` tells cuts apart."""

    id: str
    peer: str
    lease_s: float


class Runtime(Protocol):
    """A running testbed. Methods raise `UnknownInstance` for a name that does not exist.

    Each of them says what is to be, not what is to be done: killing the dead, reviving the living and lifting what is
    not there are no errors.
    """

    name: str
    events_in_store: bool
    """Whether event lines are read from the store's stream (processes) or arrive at the sink (in process)."""
    clock: Clock
    http: HttpClient
    store: Store
    peers: Peers
    secret: str
    """Of the project; known once it has started. Operators' calls to its processes carry it."""

    async def start(self, topology: Topology, tree: Tree, seed: int, sink: Sink) -> None:
        """Starts every instance and returns when all are ready. `sink` receives their event lines."""

    async def until_lost(self) -> None:
        """Waits for as long as the testbed is this run's.

        Raises:
            RuntimeUnavailable: when it has become somebody else's.
        """

    async def stop_instances(self) -> None:
        """Stops the instances and lets them say their last; the store still answers."""

    async def stop(self) -> None:
        """Stops everything it started; safe to call twice."""

    def instances(self) -> Sequence[InstanceSpec]:
        """What runs now, in start order."""

    def targets(self) -> Sequence[ScrapeTarget]:
        """Where the metrics of the running instances are."""

    async def add_nodes(self, region: str, count: int) -> Sequence[InstanceSpec]:
        """Starts `count` more identity nodes in `region`; returns when they are in rotation."""

    async def remove_nodes(self, region: str, count: int) -> Sequence[InstanceSpec]:
        """Stops the `count` newest identity nodes of `region`."""

    async def kill(self, name: str) -> None:
        """Ends an instance at once, as SIGKILL does."""

    async def revive(self, name: str) -> None:
        """Starts an instance again that is down; returns when it is ready."""

    async def pause(self, name: str) -> None:
        """Freezes an instance, as SIGSTOP does.

        Raises:
            InstanceDown: when there is no process to freeze.
        """

    async def resume(self, name: str) -> None:
        """Ends a pause."""

    async def partition(self, name: str, cuts: Sequence[Cut]) -> None:
        """Cuts an instance off as all of `cuts` say, and restores its network otherwise.

        Where a cut is made by somebody who lives on without this process, it ends after its `lease_s` by itself.

        Raises:
            InstanceDown: when the instance, or everybody at the other end, is down.
        """

    async def cpu_limit(self, name: str, cpus: float | None) -> None:
        """Gives an instance only so much processor; None lifts the limit."""

    async def stall_store(self, *, active: bool) -> None:
        """Makes the store stop answering, or answer again."""
