"""The network between the targets and other instances is cut, in both directions."""

from typing import Any

from pydantic import Field

from chaos.faults.model import InstanceFault, Parameters
from compose.runtime import Runtime
from compose.topology import InstanceSpec


class PartitionParameters(Parameters):
    peer: str = Field(pattern=r"^[a-z0-9*?\[\]-]{1,64}$", description="glob of instance names on the other side")


class Partition(InstanceFault):
    kind = "partition"
    summary = "Cuts the network between the targets and the instances that match `peer`."
    parameters = PartitionParameters

    async def start(self, runtime: Runtime, targets: list[InstanceSpec], parameters: Any) -> int:
        for spec in targets:
            await runtime.partition(spec.name, parameters.peer, active=True)
        return len(targets)

    async def stop(self, runtime: Runtime, targets: list[InstanceSpec], parameters: Any) -> None:
        for spec in targets:
            await runtime.partition(spec.name, parameters.peer, active=False)
