"""One region's blob service in a virtual world, and a caller of it."""

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from compose.virtual.world import EPOCH_S, Served, VirtualWorld
from services.blobstore.app import create_app
from services.chassis.access import SECRET_HEADER
from services.chassis.clock import Clock
from services.chassis.env import Env, Peers, make_env
from services.chassis.http import HttpClient
from services.chassis.registry import Instance
from services.clients.identity.client import SUBSCRIPTION
from services.identity.tokens import Issuer
from tests.api_contract import Contract

SECRET = "secret of the project in tests"
GROUPS = f"/subscriptions/{SUBSCRIPTION}/resourceGroups"
PROVIDER = "providers/Microsoft.Storage"
VERSION = "api-version=2023-05-01"
PACKAGE = "/vmextmieastus/packages/GitHub.Actions.LargerRunner/1.0/package.zip"
IDENTITY = {"tenantId": "tenant", "clientId": "client", "principalId": "principal", "id": "/identity"}
STORAGE = "https://storage.azure.com"


@dataclass
class Answer:
    """What came back, with the virtual time it came at."""

    at: float
    status: int
    reason: str | None
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return self.headers.get("x-ms-error-code", "")


@dataclass
class Region:
    """`settings` is the blobstore section of the settings tree. Reads take no time unless they say so."""

    world: VirtualWorld
    settings: dict[str, Any] = field(default_factory=dict)
    name: str = "eastus"
    events: list[dict[str, Any]] = field(default_factory=list)
    starts: int = 0
    env: Env = field(init=False)
    app: web.Application = field(init=False)
    served: Served = field(init=False)

    def __post_init__(self) -> None:
        self.clock = Clock(self.world.loop.time, EPOCH_S)
        self.issuer = Issuer("a key seed", "https://sts.invalid/")
        self.session = self.world.session("caller")
        self.jwks_fetches = 0
        self.jwks_status = 200

    async def start(self) -> "Region":
        self.starts += 1
        host = f"blobstore-{self.name}"
        self.env = make_env(
            Instance("blobstore", self.name, host, f"http://{host}:8080"),
            seed=1,
            clock=self.clock,
            http=HttpClient(self.world.session(host)),
            store=self.world.redis.client(),
            sink=self.events.append,
            tree={"blobstore": {"service_time_s": 0.0, **self.settings}},
            peers=Peers(),
            secret=SECRET,
        )
        self.app = create_app(self.env)
        self.contract = Contract.of(self.app)
        self.served = await self.world.serve(self.app, host, 8080)
        return self

    async def serve_keys(self) -> None:
        """The router's key set, which bearer tokens are checked against."""

        async def jwks(_request: web.Request) -> web.Response:
            self.jwks_fetches += 1
            return web.json_response(self.issuer.jwks(), status=self.jwks_status)

        app = web.Application()
        app.router.add_get("/.well-known/jwks.json", jwks)
        await self.world.serve(app, f"router-{self.name}", 8080)

    async def restart(self) -> None:
        """SIGKILL, then a new process over the same Redis."""
        await self.env.http.close()  # the world cannot close a dead process's pooled connections at its end
        self.served.kill()
        await self.start()

    def token(self, audience: str = STORAGE, lifetime_s: float = 3600.0) -> str:
        return self.issuer.issue(IDENTITY, audience, self.clock.epoch(), lifetime_s, "id")

    async def call(
        self,
        method: str,
        path: str,
        *,
        bearer: str | None = None,
        headers: dict[str, str] | None = None,
        **options: Any,
    ) -> Answer:
        headers = {SECRET_HEADER: SECRET, **(headers or {})} if path.startswith("/admin/") else dict(headers or {})
        if bearer is not None:
            headers["Authorization"] = f"Bearer {bearer}"
        async with self.session.request(method, f"{self.served.url}{path}", headers=headers, **options) as response:
            body = await response.read()
            self.contract.check(method, path, response.status, response.headers, body)
            return Answer(self.clock.now(), response.status, response.reason, _lower(response.headers), body)

    async def get(self, path: str, **headers: str) -> Answer:
        """GET with headers written as keywords: `if_match="…"`."""
        return await self.call("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})

    async def get_within(self, path: str, timeout_s: float) -> Answer:
        """Raises TimeoutError if the answer takes longer."""
        async with asyncio.timeout(timeout_s):
            return await self.get(path)

    async def account(self, name: str, **seed: Any) -> None:
        assert (await self.call("PUT", f"/admin/accounts/{name}", json=seed)).status == 201

    async def blob(self, path: str, data: bytes, **headers: str) -> Answer:
        """Stores a blob at `account/container/name` through the operator API."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await self.call("PUT", f"/admin/accounts/{path}", data=body_of(data), headers=named)
        assert answer.status == 201, answer
        return answer

    async def arm(self, method: str, rest: str, *, query: str = VERSION, **options: Any) -> Answer:
        """`rest` follows `…/providers/Microsoft.Storage`; a leading resource group name and `!` puts it in a group."""
        group, _, path = rest.rpartition("!")
        scope = f"{GROUPS}/{group}" if group else f"/subscriptions/{SUBSCRIPTION}"
        return await self.call(method, f"{scope}/{PROVIDER}/{path}?{query}", **options)

    async def switch(self, account: str, public: bool, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        body = {"properties": {"allowBlobPublicAccess": public}}
        return await self.arm("PATCH", f"{self.name}!storageAccounts/{account}", json=body, headers=named)

    def changes(self) -> list[dict[str, Any]]:
        """The `account_changed` events, without where and when they were written."""
        return [
            {key: value for key, value in event.items() if key not in ("at", "source", "kind")}
            for event in self.events
            if event["kind"] == "account_changed"
        ]

    def metric(self, name: str, **labels: str) -> float:
        return self.env.metrics.total(name, **labels)


def md5(data: bytes) -> str:
    """As `Content-MD5` has it."""
    return base64.b64encode(hashlib.md5(data).digest()).decode()


def body_of(data: bytes) -> bytes | AsyncIterator[bytes]:
    """`data` as aiohttp wants it: a large body in pieces."""

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(data), 2**18):
            yield data[start : start + 2**18]

    return pieces() if len(data) > 2**18 else data


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
