"""Instances are killed (SIGKILL), and restarted when the fault ends."""

from collections.abc import Sequence

from chaos.faults.model import Asked, InstanceFault
from compose.runtime import Runtime


class Crash(InstanceFault):
    kind = "crash"
    summary = "Kills instances (SIGKILL); they are restarted when the fault ends."
    restarts = True

    async def apply(self, runtime: Runtime, name: str, asked: Sequence[Asked]) -> None:
        await (runtime.kill if asked else runtime.revive)(name)
