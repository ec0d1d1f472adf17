"""The Docker testbed's base load in virtual time, with the controller: a day in minutes.

As in Docker, event lines go to a stream in the store, and no recorder runs without a scenario.
"""

import asyncio
import gc
import itertools
from collections.abc import Callable
from pathlib import Path

from chaos.controller.load_keeper import LoadKeeper
from chaos.controller.monitor import INTERVAL_S
from chaos.controller.testbed import Testbed
from chaos.experiment.plan import Plan, make_plan
from chaos.experiment.runs import simulate
from chaos.scenarios.loader import load
from chaos.scenarios.restrict import restrict
from chaos.soak.readings import HOUR_S, SoakReader, SoakReading
from chaos.soak.repair import Collapse, Repairs, Within
from compose.render import REGIONS
from compose.virtual.runtime import VirtualRuntime
from compose.virtual.world import VirtualWorld
from services.chassis.endings import finish_all
from services.chassis.event_stream import StreamSink
from services.chassis.settings import Tree

SCENARIO = "azure-fnj8-vqz-short"
READINGS_AN_HOUR = 4
WATCH_S = 60.0
FILLING_LOOKS = 1000
"""First looks, at the monitor's own interval: it keeps 900 samples and ticks, which fill as fast as in Docker."""

ReadingTold = Callable[[SoakReading], None]


def base_plan(overrides: Tree, seed: int) -> Plan:
    """Topology, load and settings of the compose file."""
    return make_plan(restrict(load(SCENARIO), REGIONS), seed, overlays=[overrides])


def soak(
    hours: float,
    tell: ReadingTold,
    *,
    overrides: Tree | None = None,
    seed: int = 1,
    say: Callable[[str], None] = lambda _line: None,
) -> list[Collapse]:
    """Runs the testbed for `hours` bench hours; returns the collapses.

    `tell` hears each reading, one per quarter of an hour, and `say` each collapse that is over.
    """
    plan = base_plan(overrides or {}, seed)
    world = VirtualWorld(seed=seed, transport="direct", epoch_s=plan.starts_at.timestamp())
    return simulate(world, _soak(world, plan, hours, tell, say))


async def _soak(
    world: VirtualWorld, plan: Plan, hours: float, tell: ReadingTold, say: Callable[[str], None]
) -> list[Collapse]:
    runtime = VirtualRuntime(world)
    sink = StreamSink(world.redis.client(), runtime.clock, echo=False)
    controller = Testbed(runtime, plan.scenario, Path("runs"))
    background = controller.env.background
    await runtime.start(plan.topology, plan.settings, plan.seed, sink)
    sink.start()
    repairs = Repairs(Within(controller), say)
    background.keep(lambda: _watch(controller, repairs), "controller's monitor")
    keeper = LoadKeeper(controller)
    await controller.operations.ensure_load()
    try:
        await _read(SoakReader(world, runtime, controller), hours, tell)
        return repairs.collapses
    finally:
        await finish_all(keeper.close, controller.close, runtime.stop, sink.close)


async def _watch(controller: Testbed, repairs: Repairs) -> None:
    """The controller's monitor, less often once its rings are full: 1 s would cost more CPU than all services."""
    await controller.faults.adopt()
    for number in itertools.count():
        await controller.monitor.look(controller.runtime.clock.epoch())
        await repairs.look()
        if number < FILLING_LOOKS:
            await asyncio.sleep(INTERVAL_S)
        else:
            gc.collect()  # or a collapse leaves a quarter of all objects as garbage before Python looks at the old ones
            await asyncio.sleep(WATCH_S)


async def _read(reader: SoakReader, hours: float, tell: ReadingTold) -> None:
    for number in range(1, round(hours * READINGS_AN_HOUR) + 1):
        await asyncio.sleep(max(0.0, number * HOUR_S / READINGS_AN_HOUR - reader.elapsed_s))
        tell(await reader.read())
