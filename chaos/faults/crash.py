"""Instances are killed as by SIGKILL, and started again when the fault ends."""

from typing import Any

from chaos.faults.model import InstanceFault
from compose.runtime import Runtime
from compose.topology import InstanceSpec


class Crash(InstanceFault):
    kind = "crash"
    summary = "Kills instances (SIGKILL); they come back when the fault ends."

    async def start(self, runtime: Runtime, targets: list[InstanceSpec], parameters: Any) -> int:
        for spec in targets:
            await runtime.kill(spec.name)
        return len(targets)

    async def stop(self, runtime: Runtime, targets: list[InstanceSpec], parameters: Any) -> None:
        for spec in targets:
            await runtime.revive(spec.name)
