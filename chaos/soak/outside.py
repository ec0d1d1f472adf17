"""A running Docker testbed under a soak test: its collapses and what is done about them, by the controller's API."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from chaos.controller.run_state import ENDED
from chaos.kills.desk import Desk, controller_url, operate_token
from chaos.remediation.workflow import UNDER_WAY
from chaos.soak.repair import Repairs
from compose.docker import DockerRuntime
from compose.render import load_scenario, stack, stack_settings
from compose.runtime import Runtime, RuntimeUnavailable
from compose.topology import LOADGEN
from services.chassis.background import Background
from services.chassis.clock import Clock
from services.chassis.endings import finish_all
from services.chassis.live import read_overlay_value
from services.chassis.settings import Tree, merge
from services.chassis.store import STORE_ERRORS, Keys

LOOK_S = 15.0
TIMEOUT_S = 2.0
STATUS_TIMEOUT_S = 8.0
"""Less than the interval of the readings. The status itself waits two seconds for each instance."""
MB = 1e6


class ControllerCaller(Protocol):
    """Calls the controller."""

    async def done(self, method: str, path: str, body: Any = None) -> Any:
        """The JSON document of a successful answer; raises otherwise."""
        ...


class Outside:
    """The testbed behind a controller's API."""

    def __init__(self, caller: ControllerCaller, runtime: Runtime, regions: Sequence[str]) -> None:
        self.regions = regions
        self.epoch_s = runtime.clock.epoch
        self._caller = caller
        self._runtime = runtime

    async def down(self) -> Mapping[str, float]:
        rows = (await self._caller.done("GET", "/v1/status"))["regions"]
        return {row["name"]: datetime.fromisoformat(row["down_since"]).timestamp() for row in rows if row["down_since"]}

    async def set_load(self, region: str, factor: float) -> None:
        await self._caller.done("POST", "/v1/operations/load", {"region": region, "factor": factor})

    async def set_traffic(self, region: str, rule: dict[str, Any]) -> None:
        await self._caller.done("PUT", f"/v1/regions/{region}/traffic", rule)

    async def trouble(self) -> str:
        """Why the testbed is not healthy at full load; empty if it is."""
        try:
            async with asyncio.timeout(STATUS_TIMEOUT_S):
                status = await self._caller.done("GET", "/v1/status")
        except (RuntimeUnavailable, TimeoutError):
            return "the controller does not answer"
        return "; ".join([*status_troubles(status), *await self._load_troubles(), *await self._traffic_troubles()])

    async def _load_troubles(self) -> list[str]:
        found = await self._document(LOADGEN, "", "/admin/load")
        if found is None:
            return ["the load generator does not answer"]
        if not found["running"]:
            return ["the load is off"]
        return [f"{region} has {factor:g} of its load" for region, factor in found["regions"].items() if factor != 1.0]

    async def _traffic_troubles(self) -> list[str]:
        views = await asyncio.gather(*(self._document("router", region, "/admin/traffic") for region in self.regions))
        return [
            f"{region}: {view['regions'][region]['mode']}"
            for region, view in zip(self.regions, views, strict=True)
            if view is not None and not view["regions"][region]["open"]
        ]

    async def _document(self, service: str, region: str, path: str) -> Any:
        """What an instance answers; None if it does not."""
        url = self._runtime.peers.url(service, region) + path
        reply = await self._runtime.http.call("GET", url, timeout_s=TIMEOUT_S)
        return reply.json() if reply.ok else None

    async def redis_data_mb(self) -> float | None:
        """What Redis has allocated; None if it does not answer."""
        try:
            return float((await self._runtime.store.info("memory"))["used_memory"]) / MB
        except STORE_ERRORS:
            return None

    async def settings(self) -> Tree:
        """Those of the compose file, with the current overlay."""
        raw = await self._runtime.store.get(Keys.OVERLAY)
        return merge(stack_settings(load_scenario(), stack()), {} if raw is None else read_overlay_value(raw))


def status_troubles(status: Mapping[str, Any]) -> list[str]:
    """What the controller's status says against a healthy testbed. The run of another process has other settings."""
    if status["banner"] is not None and status["banner"]["kind"] == "run":
        return ["a run of another process is in progress"]
    run, job, found = status["run"], status["remediation"], []
    if run is not None and run["state"] not in ENDED and run["runtime"] != "virtual":
        found.append(f"run {run['id']} is in progress")
    if job is not None and job["provisioningState"] in UNDER_WAY:
        found.append("the policy job is running")
    found += [f"fault {fault['kind']} is active" for fault in status["faults"]]
    for region in status["regions"]:
        if region["down_since"]:
            found.append(f"{region['name']} is down")
        elif not region["reachable"]:
            found.append(f"{region['name']} does not answer")
    return found


@asynccontextmanager
async def repaired(project: str, say: Callable[[str], None]) -> AsyncIterator[Outside]:
    """Repairs every collapse of the testbed inside the block. A controller that is away is asked again.

    Raises:
        RuntimeUnavailable: no engine, no testbed or no controller.
    """
    runtime = DockerRuntime(project)
    try:
        topology = stack()
        await runtime.attach(topology)
        desk = Desk(runtime, await operate_token(runtime), await controller_url(runtime))
        outside = Outside(desk, runtime, topology.names)
        async with following(Repairs(outside, say), runtime.clock, say):
            yield outside
    finally:
        await runtime.stop()


@asynccontextmanager
async def following(repairs: Repairs, clock: Clock, say: Callable[[str], None]) -> AsyncIterator[None]:
    """Looks every `LOOK_S` inside the block. A repair that the end interrupts is taken back."""
    background = Background(clock, partial(_failed, say))
    background.keep(partial(follow, repairs, say), "repairs")
    try:
        yield
    finally:
        await finish_all(background.stop, repairs.stop)


async def follow(repairs: Repairs, say: Callable[[str], None]) -> None:
    """What the controller cannot do now, e.g. because the load generator does not answer, is tried again."""
    told = ""
    while True:
        try:
            await repairs.look()
        except RuntimeUnavailable as error:
            if str(error) != told:
                say(f"a repair waits: {error}")
            told = str(error)
        await asyncio.sleep(LOOK_S)


def _failed(say: Callable[[str], None], kind: str, /, **fields: object) -> None:
    say(f"{kind}: {fields}")
