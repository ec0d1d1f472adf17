"""Reset of the testbed from any state: all processes are killed, the store is emptied, all processes are restarted.

A full restart is necessary: a collapsed region is kept down by retries, so ending faults and opening traffic would not
recover it. Accepted jobs are lost with the store.
"""

import asyncio
from collections.abc import Sequence

from chaos.experiment.plan import Plan
from compose.runtime import Runtime
from compose.topology import LOADGEN, SCALABLE, InstanceSpec


class Busy(RuntimeError):
    """The call is excluded by a reset, a run or a policy job in progress."""


async def restart_everything(runtime: Runtime, plan: Plan) -> None:
    """Restarts all instances of a runtime that starts them itself; the compose runtime has its own `reset`."""
    await runtime.stall_store(0.0)
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
        return  # already dead


def _in_start_order(specs: Sequence[InstanceSpec]) -> list[list[InstanceSpec]]:
    """Groups in start order: the load generator after the services it calls."""
    load = [spec for spec in specs if spec.service == LOADGEN]
    return [[spec for spec in specs if spec.service != LOADGEN], load]
