"""Instances get only a share of a processor. Real processors only: in virtual time work has no CPU to take away."""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from chaos.faults.model import InstanceFault, Parameters, on_each
from compose.runtime import Runtime
from compose.topology import InstanceSpec


class CpuLimitParameters(Parameters):
    cpus: float = Field(gt=0, le=64, description="processors an instance may use, e.g. 0.05")


class CpuLimit(InstanceFault):
    kind = "cpu_limit"
    summary = "Limits the processor time of instances."
    parameters = CpuLimitParameters

    async def start(self, runtime: Runtime, targets: Sequence[InstanceSpec], parameters: Any, lease_s: float) -> None:
        await on_each(targets, lambda name: runtime.cpu_limit(name, parameters.cpus))

    async def stop(self, runtime: Runtime, targets: Sequence[InstanceSpec], parameters: Any) -> None:
        await on_each(targets, lambda name: runtime.cpu_limit(name, None))
