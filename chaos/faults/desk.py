"""What a user's action may do: the operations of the scenario's own actions, and nothing else."""

from collections.abc import Mapping, MutableMapping, Sequence
from random import Random
from typing import Any, Protocol

from services.parts.kind import PartKind


class OperatorDesk(Protocol):
    """The operators' tools. Every call raises `OperationFailed` if the testbed refuses it; the run records that."""

    @property
    def regions(self) -> Sequence[str]:
        """The regions of the scenario."""

    @property
    def rng(self) -> Random:
        """The only source of chance."""

    @property
    def shared(self) -> MutableMapping[str, Any]:
        """What an action of this run leaves for a later one, such as the configuration that counts as good."""

    async def reading(self, signal: str, region: str, over_s: float) -> float | None:
        """What the operators' dashboards show now: a signal of docs/scenarios.md §3 in a region.

        A share or a rate is taken over the last `over_s` seconds, a level is the latest one. Samples are taken once a
        second. None: nothing to show, e.g. a share of fewer than three events.
        """

    async def sleep(self, delay_s: float) -> None:
        """Waits, in bench seconds."""

    async def set_load(self, region: str, factor: float) -> None:
        """Sets the load of a region to `factor` times its base load."""

    async def scale_identity(self, region: str, count: int) -> None:
        """Adds identity nodes to a region."""

    async def set_traffic(self, region: str, rule: Mapping[str, Any]) -> None:
        """`{"mode": "open"}`, `{"mode": "drain"}`, or a ramp: docs/chaos-api.md."""

    async def restore_accounts(self, regions: Sequence[str], accounts: Sequence[str]) -> None:
        """Makes exempt storage accounts public again."""

    async def disable_accounts(self, regions: Sequence[str], accounts: Sequence[str]) -> None:
        """Makes exempt storage accounts private."""

    async def inject_fault(
        self, kind: str, target: Mapping[str, str], parameters: Mapping[str, Any], lease_s: float
    ) -> str:
        """Starts a fault, which ends with its lease at the latest; returns its id."""

    async def end_fault(self, fault: str) -> None:
        """Ends a fault by its id; one whose lease has expired has ended already."""

    async def settings(self, change: Mapping[str, Any]) -> None:
        """Merges settings into those of all running services."""


class OwnAction(Protocol):
    """An action of a timeline. Its constructor gets the options of the entry.

    It acts through the desk alone, makes at most 1000 calls, and ends within a day of bench time.
    """

    async def perform(self, desk: OperatorDesk) -> None:
        """Performs the action."""


ACTION = PartKind("action", OwnAction)
