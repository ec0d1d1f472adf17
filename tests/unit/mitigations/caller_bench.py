"""A caller of the identity service, and a service that answers what a test tells it."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from compose.virtual.world import EPOCH_S
from services.chassis.clock import Clock
from services.chassis.env import Env, Peers, make_env
from services.chassis.http import TIMEOUT, HttpReply
from services.chassis.registry import Instance
from services.chassis.settings import merge
from services.clients.identity.client import CallResult, ManagedIdentityClient

EAST = "eastus"
RESOURCE = "https://management.azure.com/"
LIFETIME_S = 600.0
TIMED_OUT = HttpReply(0, {}, b"", TIMEOUT)
OVERLOADED = HttpReply(503, {}, b"")
THROTTLED = HttpReply(429, {}, b"")
NOT_FOUND = HttpReply(404, {}, b"")


class Service:
    """Answers each request after `takes_s` with a good token, or with `failure` while that is set."""

    def __init__(self, epoch: Callable[[], float]) -> None:
        self.requests: list[tuple[float, dict[str, str]]] = []
        self.failure: HttpReply | None = None
        self.takes_s = 0.0
        self.tokens = 0
        self._epoch = epoch

    async def call(self, _method: str, _url: Any, *, headers: dict[str, str], **_options: Any) -> HttpReply:
        self.requests.append((asyncio.get_running_loop().time(), dict(headers)))
        failure = self.failure
        if self.takes_s:
            await asyncio.sleep(self.takes_s)
        if failure is not None:
            return failure
        self.tokens += 1
        body = {"access_token": f"token-{self.tokens}", "expires_on": str(int(self._epoch() + LIFETIME_S))}
        return HttpReply(200, {}, json.dumps(body).encode())


class Caller:
    """One process with one client."""

    def __init__(self, **settings: Any) -> None:
        clock = Clock(asyncio.get_running_loop().time, EPOCH_S)
        self.service = Service(clock.epoch)
        self.events: list[dict[str, Any]] = []
        self.env: Env = make_env(
            Instance("loadgen", "", "loadgen", ""),
            seed=1,
            clock=clock,
            http=self.service,  # type: ignore[arg-type]
            store=None,  # type: ignore[arg-type]
            sink=self.events.append,
            tree={"identity_client": settings},
            peers=Peers(),
        )
        self.client = ManagedIdentityClient(self.env)
        self.tasks: list[asyncio.Task[CallResult]] = []

    async def token(self, tenant: str = "tenant", *, client_id: str = "") -> CallResult:
        return await self.client.token(tenant, EAST, client_id, RESOURCE)

    def begin(self, tenant: str = "tenant") -> "asyncio.Task[CallResult]":
        return asyncio.create_task(self.token(tenant))

    def switch(self, **settings: Any) -> None:
        """What an announced change of the overlay does."""
        live = self.env.live
        live.tree = merge(live.tree, {"identity_client": settings})
        self.client.reconfigure()

    def counted(self, name: str, **labels: str) -> float:
        return self.env.metrics.total(name, **labels)

    @property
    def attempts(self) -> float:
        return self.counted("identity_client_attempts_total", layer="sdk")

    @property
    def started(self) -> float:
        return self.counted("identity_client_operations_started_total")

    def held_back(self, reason: str) -> float:
        return self.counted("identity_client_held_back_total", reason=reason)

    def cached(self, result: str) -> float:
        return self.counted("identity_client_cached_total", result=result)
