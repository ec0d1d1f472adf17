"""Instances are killed as by SIGKILL, and started again when the fault ends."""

from collections.abc import Sequence
from typing import Any

from chaos.faults.model import InstanceFault, on_each
from compose.runtime import Runtime
from compose.topology import InstanceSpec


class Crash(InstanceFault):
    kind = "crash"
    summary = "Kills instances (SIGKILL); they come back when the fault ends."

    async def start(self, runtime: Runtime, targets: Sequence[InstanceSpec], parameters: Any, lease_s: float) -> None:
        await on_each(targets, runtime.kill)

    async def stop(self, runtime: Runtime, targets: Sequence[InstanceSpec], parameters: Any) -> None:
        await on_each(targets, runtime.revive)
