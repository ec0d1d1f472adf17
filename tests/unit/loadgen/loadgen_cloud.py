"""A cloud made of two small applications, so that what the users do is seen from the other side, to the second."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, NamedTuple

from aiohttp import web

from compose.virtual.world import VirtualWorld
from loadgen.load import Load
from loadgen.metrics import LoadMetrics
from loadgen.settings import LoadgenSettings
from loadgen.site import Site, Tools
from loadgen.tenants import Tenant, TenantTable, default_table
from services.chassis.clock import Clock
from services.chassis.env import Env, Peers, make_env
from services.chassis.http import HttpClient
from services.chassis.registry import Instance
from services.chassis.settings import Tree
from services.clients.identity.client import ManagedIdentityClient

SECRET = "secret of the project in tests"
PORT = 8080
RETRY_AFTER_S = 15
TOKEN_LIFETIME_S = 86_400


class Call(NamedTuple):
    """One request that a fake received."""

    at: float
    method: str
    path: str
    body: Any


class FakeProvisioner:
    """Accepts everything; an operation ends `takes_s` after acceptance, or never while `blocked`."""

    def __init__(self, now: Callable[[], float], region: str) -> None:
        self.calls: list[Call] = []
        self.polls: list[Call] = []
        self.takes_s = 1.0
        self.blocked = False
        self.error = ""
        self.refuse: tuple[int, str] | None = None
        self.stalled: asyncio.Event | None = None
        self._now = now
        self._region = region
        self._accepted: list[float] = []

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/operations/{number}", self._poll)
        app.router.add_route("*", "/subscriptions/{rest:.*}", self._accept)
        return app

    def made(self, method: str) -> list[Call]:
        return [call for call in self.calls if call.method == method]

    async def _accept(self, request: web.Request) -> web.Response:
        body = await request.json() if request.can_read_body else None
        self.calls.append(Call(self._now(), request.method, request.path, body))
        if self.stalled is not None:
            await self.stalled.wait()
        if self.refuse is not None:
            status, code = self.refuse
            return web.json_response({"error": {"code": code, "message": "no"}}, status=status)
        if request.method == "DELETE":
            return web.Response(status=204)
        self._accepted.append(self._now())
        url = f"http://provisioner-{self._region}:{PORT}/operations/{len(self._accepted) - 1}"
        headers = {"Azure-AsyncOperation": url, "Retry-After": str(RETRY_AFTER_S)}
        return web.json_response({"properties": {"provisioningState": "Creating"}}, status=201, headers=headers)

    async def _poll(self, request: web.Request) -> web.Response:
        self.polls.append(Call(self._now(), "GET", request.path, None))
        accepted = self._accepted[int(request.match_info["number"])]
        if self.blocked or self._now() < accepted + self.takes_s:
            return web.json_response({"status": "InProgress"}, headers={"Retry-After": str(RETRY_AFTER_S)})
        if self.error:
            return web.json_response({"status": "Failed", "error": {"code": self.error, "message": "no"}})
        return web.json_response({"status": "Succeeded"})


class FakeRouter:
    """The identity service of a region: answers at once, or refuses with 503 while `down`."""

    def __init__(self, epoch: Callable[[], float], now: Callable[[], float]) -> None:
        self.calls: list[Call] = []
        self.down = False
        self._epoch, self._now = epoch, now

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/metadata/identity/oauth2/token", self._token)
        app.router.add_route("*", "/subscriptions/{rest:.*}", self._identity)
        return app

    async def _token(self, request: web.Request) -> web.Response:
        self.calls.append(Call(self._now(), "GET", request.path_qs, None))
        if self.down:
            return web.json_response({"error": "temporarily_unavailable"}, status=503)
        return web.json_response({"access_token": "t", "expires_on": str(int(self._epoch()) + TOKEN_LIFETIME_S)})

    async def _identity(self, request: web.Request) -> web.Response:
        self.calls.append(Call(self._now(), request.method, request.path, None))
        if self.down:
            return web.json_response({"error": {"code": "ServiceUnavailable"}}, status=503)
        name = request.path.rsplit("/", 1)[1]
        return web.json_response({"properties": {"clientId": f"client-of-{name}"}})


class Fixed(Random):
    """A stream whose exponential draws are all the same and whose choice is always the first."""

    def __init__(self, exponential: float) -> None:
        super().__init__(0)
        self.exponential = exponential

    def expovariate(self, lambd: float = 1.0) -> float:
        return self.exponential

    def random(self) -> float:
        return 0.0


@dataclass
class Cloud:
    """The fakes, the load generator's environment, and what was recorded."""

    world: VirtualWorld
    regions: tuple[str, ...]
    events: list[dict[str, Any]] = field(default_factory=list)
    provisioners: dict[str, FakeProvisioner] = field(default_factory=dict)
    routers: dict[str, FakeRouter] = field(default_factory=dict)
    blob_calls: list[str] = field(default_factory=list)
    background: list[asyncio.Task[Any]] = field(default_factory=list)

    @property
    def provisioner(self) -> FakeProvisioner:
        return self.provisioners[self.regions[0]]

    @property
    def router(self) -> FakeRouter:
        return self.routers[self.regions[0]]

    @property
    def now(self) -> float:
        return self.world.loop.time()

    async def serve(self) -> None:
        clock = Clock(self.world.loop.time, self.world.epoch_s)
        for region in self.regions:
            self.provisioners[region] = FakeProvisioner(clock.now, region)
            self.routers[region] = FakeRouter(clock.epoch, clock.now)
            await self.world.serve(self.provisioners[region].app(), f"provisioner-{region}", PORT)
            await self.world.serve(self.routers[region].app(), f"router-{region}", PORT)
            await self.world.serve(self._blobstore(), f"blobstore-{region}", PORT)

    def _blobstore(self) -> web.Application:
        async def seen(request: web.Request) -> web.Response:
            self.blob_calls.append(request.path)
            return web.Response()

        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", seen)
        return app

    def env(self, tree: Tree | None = None, *, seed: int = 1) -> Env:
        return make_env(
            Instance("loadgen", "", "loadgen", f"http://loadgen:{PORT}"),
            seed=seed,
            clock=Clock(self.world.loop.time, self.world.epoch_s),
            http=HttpClient(self.world.session("loadgen")),
            store=self.world.redis.client(),
            sink=self.events.append,
            tree=tree or {},
            peers=Peers(),
            secret=SECRET,
        )

    def load(
        self,
        *,
        seed: int = 1,
        table: TenantTable | None = None,
        jobs: float = 0.0,
        tokens: float = 0.0,
        **settings: Any,
    ) -> Load:
        """A load over all regions at these rates; nothing exists before it unless asked for."""
        rates = {"job_rate_per_s": jobs, "token_rate_per_s": tokens}
        values = {
            "regions": dict.fromkeys(self.regions, rates),
            "warm_runners": 0,
            "ready_machines": 0,
            "discard_used": True,
            **settings,
        }
        return Load(self.env({"loadgen": values}, seed=seed), table=table)

    def site(self, tenant: str = "virtual-machines", *, patience_s: float = 1000.0, **settings: Any) -> Site:
        """One tenant in the first region, by hand: its choices are fixed and its patience is `patience_s`."""
        values = LoadgenSettings(**{"warm_runners": 0, "ready_machines": 0, "discard_used": True, **settings})
        env = self.env()

        def spawn(coroutine: Any) -> None:
            self.background.append(asyncio.get_running_loop().create_task(coroutine))

        tools = Tools(env, values, ManagedIdentityClient(env), LoadMetrics(env.metrics), spawn)
        site = Site(tools, tenant, self.regions[0], run="run")
        site.rng = Fixed(patience_s)
        return site

    def operations(self, **where: Any) -> list[dict[str, Any]]:
        """The `operation` events whose fields have these values."""
        return [
            event
            for event in self.events
            if event["kind"] == "operation" and all(event.get(name) == value for name, value in where.items())
        ]


def only(*slugs: str, share: float | None = None) -> TenantTable:
    """A table of these tenants, at the shares that they have; `share` gives each of them another."""
    rows = [default_table().get(slug) for slug in slugs]
    changed: list[Tenant] = [row if share is None else row.model_copy(update={"share": share}) for row in rows]
    return TenantTable.model_construct(tenants=tuple(changed))
