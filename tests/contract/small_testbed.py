"""All six programs that answer HTTP, in virtual time: two paired regions of one node each, and a controller."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from chaos.controller.app import create_controller
from chaos.controller.auth import Tokens
from chaos.controller.testbed import Testbed
from chaos.experiment.plan import make_plan
from chaos.scenarios.loader import load
from chaos.scenarios.model import Scenario
from chaos.scenarios.restrict import restrict
from compose.topology import PORT
from compose.virtual.runtime import VirtualRuntime
from compose.virtual.world import VirtualWorld
from services.chassis.access import SECRET_HEADER
from services.chassis.http import HttpReply

SERVICES = ("blobstore", "provisioner", "identity", "router", "loadgen")
SERVERS = (*SERVICES, "controller")
HOSTS = {name: f"{name}-eastus" for name in SERVICES} | {"identity": "identity-eastus-1", "loadgen": "loadgen"}
TOKENS = Tokens(read="read-token", operate="operate-token", project="project-token")


@dataclass
class SmallTestbed:
    """The programs, and a caller with all permissions."""

    runtime: VirtualRuntime

    def url(self, server: str) -> str:
        return "http://controller" if server == "controller" else f"http://{HOSTS[server]}:{PORT}"

    async def call(
        self, server: str, method: str, path: str, headers: dict[str, str] | None = None, **options: Any
    ) -> HttpReply:
        sent = {SECRET_HEADER: self.runtime.secret}
        if server == "controller":
            sent = {"Authorization": f"Bearer {TOKENS.project if path == '/alerts' else TOKENS.operate}"}
        return await self.runtime.http.call(
            method, self.url(server) + path, headers=sent | (headers or {}), timeout_s=30.0, **options
        )

    async def document(self, server: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self.call(server, "GET", "/openapi.json")).json()
        return found


@cache
def pair() -> Scenario:
    """The two regions; nothing changes a scenario."""
    scenario = restrict(load("azure-fnj8-vqz-short"), ["eastus", "westus"])
    nodes = tuple(region.model_copy(update={"identity_nodes": 1}) for region in scenario.regions)
    return scenario.model_copy(update={"regions": nodes})


async def open_testbed(world: VirtualWorld, folder: Path) -> SmallTestbed:
    scenario = pair()
    plan = make_plan(scenario, 1)
    runtime = VirtualRuntime(world)
    await runtime.start(plan.topology, plan.settings, 1, lambda _event: None)
    await world.serve(create_controller(Testbed(runtime, scenario, folder), TOKENS), "controller", 80)
    return SmallTestbed(runtime)
