"""What the controller's tests work at."""

from dataclasses import dataclass
from typing import Any

from chaos.controller.auth import Tokens
from chaos.controller.testbed import Testbed
from chaos.experiment.plan import Plan
from compose.virtual.world import VirtualWorld
from services.chassis.http import HttpClient, HttpReply
from tests.api_contract import Contract

TOKENS = Tokens(read="read-token", operate="operate-token", project="project-secret")
CONTROLLER = "http://controller"


@dataclass
class Desk:
    """An operator's desk: calls to the controller, and eyes on the testbed."""

    world: VirtualWorld
    testbed: Testbed
    plan: Plan
    http: HttpClient
    contract: Contract

    async def call(self, method: str, path: str, body: Any = None, token: str = "operate-token") -> HttpReply:
        """One call; its answer must be one that the controller's document describes."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        reply = await self.http.call(method, CONTROLLER + path, json=body, headers=headers, timeout_s=60.0)
        if not reply.failure:
            self.contract.check(method, path, reply.status, reply.headers, reply.body)
        return reply

    async def done(self, method: str, path: str, body: Any = None) -> Any:
        """The document of an answer that must be a success."""
        reply = await self.call(method, path, body)
        assert reply.ok, reply.body
        return reply.json()

    async def get(self, url: str, timeout_s: float = 30.0) -> HttpReply:
        return await self.http.call("GET", url, timeout_s=timeout_s)

    def now(self) -> float:
        return self.world.loop.time()
