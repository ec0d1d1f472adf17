"""The store stops answering. No data is lost; its clients wait."""

from collections.abc import Sequence

from chaos.faults.model import Asked, FaultTarget, InstanceFault
from compose.runtime import Runtime
from compose.topology import InstanceSpec

REDIS = "redis"


class RedisStall(InstanceFault):
    kind = "redis_stall"
    summary = "Makes Redis stop answering."

    @classmethod
    def candidates(cls, _instances: Sequence[InstanceSpec], _target: FaultTarget) -> list[InstanceSpec]:
        return [InstanceSpec(REDIS, "", REDIS)]

    async def apply(self, runtime: Runtime, name: str, asked: Sequence[Asked]) -> None:
        await runtime.stall_store(max((one.left_s for one in asked), default=0.0))
