"""The store stops answering; nothing is lost, everything that needs it waits."""

from typing import Any

from chaos.faults.model import InstanceFault
from compose.runtime import Runtime
from compose.topology import InstanceSpec


class RedisStall(InstanceFault):
    kind = "redis_stall"
    summary = "Makes Redis stop answering."

    async def start(self, runtime: Runtime, targets: list[InstanceSpec], parameters: Any) -> int:
        await runtime.stall_store(active=True)
        return 1

    async def stop(self, runtime: Runtime, targets: list[InstanceSpec], parameters: Any) -> None:
        await runtime.stall_store(active=False)
