"""Instances are paused (SIGSTOP): they keep their connections open without answering, and resume at the end."""

from collections.abc import Sequence

from chaos.faults.model import Asked, InstanceFault
from compose.runtime import Runtime


class Freeze(InstanceFault):
    kind = "freeze"
    summary = "Pauses instances; they resume when the fault ends."

    async def apply(self, runtime: Runtime, name: str, asked: Sequence[Asked]) -> None:
        await (runtime.pause if asked else runtime.resume)(name)
