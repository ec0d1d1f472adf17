"""CPU limit on instances. Containers only: virtual time has no CPU cost, local processes have no limit."""

from collections.abc import Sequence

from pydantic import Field

from chaos.faults.model import Asked, FaultParameters, InstanceFault
from compose.runtime import Runtime


class CpuLimitParameters(FaultParameters):
    cpus: float = Field(ge=0.01, le=64, description="CPUs an instance may use, e.g. 0.05")


class CpuLimit(InstanceFault):
    kind = "cpu_limit"
    summary = "Limits the CPU time of instances; of several limits the lowest applies."
    parameters = CpuLimitParameters
    runtimes = ("compose",)

    async def apply(self, runtime: Runtime, name: str, asked: Sequence[Asked]) -> None:
        await runtime.cpu_limit(name, min((one.parameters.cpus for one in asked), default=None))
