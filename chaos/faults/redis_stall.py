"""The store stops answering; nothing is lost, everything that needs it waits."""

from collections.abc import Sequence
from typing import Any

from chaos.faults.model import InstanceFault
from compose.runtime import Runtime
from compose.topology import InstanceSpec


class RedisStall(InstanceFault):
    kind = "redis_stall"
    summary = "Makes Redis stop answering."

    async def start(self, runtime: Runtime, targets: Sequence[InstanceSpec], parameters: Any, lease_s: float) -> None:
        await runtime.stall_store(active=True)

    async def stop(self, runtime: Runtime, targets: Sequence[InstanceSpec], parameters: Any) -> None:
        await runtime.stall_store(active=False)
