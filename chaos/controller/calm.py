"""Back to calm from any state: every process ends, the store is emptied, every process starts again with the load on.

Nothing less will do. A region that has collapsed keeps itself down with its own retries, so ending faults and opening
traffic would leave the testbed where it was. What was accepted before is gone with the store.
"""

import asyncio
from collections.abc import Sequence

from chaos.experiment.plan import Plan
from compose.runtime import Runtime
from compose.topology import LOADGEN, SCALABLE, InstanceSpec


class Busy(RuntimeError):
    """The testbed is on its way back to calm, which excludes the call."""


async def restart_everything(runtime: Runtime, plan: Plan) -> None:
    """For runtimes that start their own instances, and so know the settings; containers have a way of their own."""
    await runtime.stall_store(active=False)
    wanted = {spec.name for spec in plan.topology.instances()}
    for spec in [spec for spec in runtime.instances() if spec.name not in wanted and spec.service == SCALABLE]:
        await runtime.remove_nodes(spec.region, 1)
    present = [spec for spec in runtime.instances() if spec.name in wanted]
    await asyncio.gather(*(_end(runtime, spec) for spec in present))
    await runtime.store.flushdb()
    for group in _in_start_order(present):
        await asyncio.gather(*(runtime.revive(spec.name) for spec in group))


async def _end(runtime: Runtime, spec: InstanceSpec) -> None:
    try:
        await runtime.resume(spec.name)
        await runtime.kill(spec.name)
    except ProcessLookupError:
        return  # it is dead already


def _in_start_order(specs: Sequence[InstanceSpec]) -> list[list[InstanceSpec]]:
    """The load generator after those it calls."""
    load = [spec for spec in specs if spec.service == LOADGEN]
    return [[spec for spec in specs if spec.service != LOADGEN], load]
