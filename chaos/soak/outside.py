"""A running Docker testbed under a soak test: its collapses and what is done about them, by the controller's API."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from chaos.kills.desk import Desk, controller_url, operate_token
from chaos.soak.repair import Repairs
from compose.docker import DockerRuntime
from compose.render import REGIONS, stack
from services.chassis.background import Background
from services.chassis.clock import Clock
from services.chassis.endings import finish_all

LOOK_S = 15.0


class ControllerCaller(Protocol):
    """Calls the controller."""

    async def done(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON document of a successful answer; raises otherwise."""
        ...


class Outside:
    """The testbed behind a controller's API."""

    def __init__(self, caller: ControllerCaller, epoch_s: Callable[[], float], regions: Sequence[str]) -> None:
        self.regions = regions
        self.epoch_s = epoch_s
        self._caller = caller

    async def down(self) -> Mapping[str, float]:
        rows = (await self._caller.done("GET", "/v1/status"))["regions"]
        return {row["name"]: datetime.fromisoformat(row["down_since"]).timestamp() for row in rows if row["down_since"]}

    async def set_load(self, region: str, factor: float) -> None:
        await self._caller.done("POST", "/v1/operations/load", {"region": region, "factor": factor})

    async def set_traffic(self, region: str, rule: dict[str, Any]) -> None:
        await self._caller.done("PUT", f"/v1/regions/{region}/traffic", rule)


@asynccontextmanager
async def repaired(project: str, say: Callable[[str], None]) -> AsyncIterator[None]:
    """Repairs every collapse of the testbed inside the block. A controller that is away is asked again.

    Raises:
        RuntimeUnavailable: no engine, no testbed or no controller.
    """
    runtime = DockerRuntime(project)
    try:
        await runtime.attach(stack())
        desk = Desk(runtime, await operate_token(runtime), await controller_url(runtime))
        async with following(Repairs(Outside(desk, runtime.clock.epoch, REGIONS), say), runtime.clock, say):
            yield
    finally:
        await runtime.stop()


@asynccontextmanager
async def following(repairs: Repairs, clock: Clock, say: Callable[[str], None]) -> AsyncIterator[None]:
    """Looks every `LOOK_S` inside the block. A repair that the end interrupts is taken back."""
    background = Background(clock, partial(_failed, say))
    background.keep(partial(follow, repairs), "repairs")
    try:
        yield
    finally:
        await finish_all(background.stop, repairs.stop)


async def follow(repairs: Repairs) -> None:
    while True:
        await repairs.look()
        await asyncio.sleep(LOOK_S)


def _failed(say: Callable[[str], None], kind: str, /, **fields: object) -> None:
    say(f"{kind}: {fields}")
