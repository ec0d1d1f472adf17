"""The network between the targets and other instances is cut, in both directions."""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from chaos.faults.model import InstanceFault, Parameters, on_each
from compose.runtime import Runtime
from compose.topology import InstanceSpec


class PartitionParameters(Parameters):
    peer: str = Field(pattern=r"^[a-z0-9*?\[\]-]{1,64}$", description="glob of instance names on the other side")


class Partition(InstanceFault):
    kind = "partition"
    summary = "Cuts the network between the targets and the instances that match `peer`."
    parameters = PartitionParameters

    async def start(self, runtime: Runtime, targets: Sequence[InstanceSpec], parameters: Any, lease_s: float) -> None:
        await on_each(targets, lambda name: runtime.partition(name, parameters.peer, active=True, lease_s=lease_s))

    async def stop(self, runtime: Runtime, targets: Sequence[InstanceSpec], parameters: Any) -> None:
        await on_each(targets, lambda name: runtime.partition(name, parameters.peer, active=False))
