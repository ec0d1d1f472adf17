"""Instances get only a share of a processor. Real processors only: in virtual time work has no CPU to take away."""

from typing import Any

from pydantic import Field

from chaos.faults.model import InstanceFault, Parameters
from compose.runtime import Runtime
from compose.topology import InstanceSpec


class CpuLimitParameters(Parameters):
    cpus: float = Field(gt=0, le=64, description="processors an instance may use, e.g. 0.05")


class CpuLimit(InstanceFault):
    kind = "cpu_limit"
    summary = "Limits the processor time of instances."
    parameters = CpuLimitParameters

    async def start(self, runtime: Runtime, targets: list[InstanceSpec], parameters: Any) -> int:
        for spec in targets:
            await runtime.cpu_limit(spec.name, parameters.cpus)
        return len(targets)

    async def stop(self, runtime: Runtime, targets: list[InstanceSpec], parameters: Any) -> None:
        for spec in targets:
            await runtime.cpu_limit(spec.name, None)
