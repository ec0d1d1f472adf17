"""Instances are paused: they hold their connections and answer nothing, then go on where they were."""

from collections.abc import Sequence
from typing import Any

from chaos.faults.model import InstanceFault, on_each
from compose.runtime import Runtime
from compose.topology import InstanceSpec


class Freeze(InstanceFault):
    kind = "freeze"
    summary = "Pauses instances; they go on where they were when the fault ends."

    async def start(self, runtime: Runtime, targets: Sequence[InstanceSpec], parameters: Any, lease_s: float) -> None:
        await on_each(targets, runtime.pause)

    async def stop(self, runtime: Runtime, targets: Sequence[InstanceSpec], parameters: Any) -> None:
        await on_each(targets, runtime.resume)
