"""Instances are paused: they hold their connections and answer nothing, then go on where they were."""

from collections.abc import Sequence

from chaos.faults.model import Asked, InstanceFault
from compose.runtime import Runtime


class Freeze(InstanceFault):
    kind = "freeze"
    summary = "Pauses instances; they go on where they were when the fault ends."

    async def apply(self, runtime: Runtime, name: str, asked: Sequence[Asked]) -> None:
        await (runtime.pause if asked else runtime.resume)(name)
