"""Network partition between the targets and other instances, in both directions."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from pydantic import Field

from chaos.faults.model import Asked, FaultParameters, InstanceFault
from chaos.faults.redis_stall import REDIS
from compose.runtime import Cut, Runtime


class PartitionParameters(FaultParameters):
    peer: str = Field(pattern=r"^[a-z0-9*?\[\]-]{1,64}$", description="glob of instance names on the other side")


class Partition(InstanceFault):
    kind = "partition"
    summary = "Partitions the network between the targets and the instances that match `peer`."
    parameters = PartitionParameters
    runtimes = ("virtual", "compose")

    @classmethod
    def offered_by(cls, parameters: Any) -> tuple[str, ...]:
        """The virtual Redis is not on the simulated network."""
        return ("compose",) if parameters.peer == REDIS else cls.runtimes

    async def apply(self, runtime: Runtime, name: str, asked: Sequence[Asked]) -> None:
        await runtime.partition(name, [Cut(one.id, one.parameters.peer, one.left_s) for one in asked])

    def concerns(self, parameters: Any, name: str) -> bool:
        """A restarted process may have another address."""
        return fnmatchcase(name, parameters.peer)
