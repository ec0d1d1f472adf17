"""Instances are paused: they hold their connections and answer nothing, then go on where they were."""

from typing import Any

from chaos.faults.model import InstanceFault
from compose.runtime import Runtime
from compose.topology import InstanceSpec


class Freeze(InstanceFault):
    kind = "freeze"
    summary = "Pauses instances; they go on where they were when the fault ends."

    async def start(self, runtime: Runtime, targets: list[InstanceSpec], parameters: Any) -> int:
        for spec in targets:
            await runtime.pause(spec.name)
        return len(targets)

    async def stop(self, runtime: Runtime, targets: list[InstanceSpec], parameters: Any) -> None:
        for spec in targets:
            await runtime.resume(spec.name)
