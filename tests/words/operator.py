"""One operator in front of any runtime: calls to the controller, looks at instances, waiting for what is to show.

Nothing here knows in which runtime the testbed runs, so a word has one performance and one proof for all of them.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from compose.runtime import Runtime
from compose.topology import PORT
from services.chassis.access import SECRET_HEADER
from services.chassis.http import HttpReply

POLL_S = 0.1
REGION = "northeurope"
"""A region without a pair: in Docker its users are few, and nothing done to it can tip another one."""
ACCOUNT = f"vmextmi{REGION}"
ROUTER, BLOBSTORE = f"router-{REGION}", f"blobstore-{REGION}"
BLOB = f"/{ACCOUNT}/packages/GitHub.Actions.LargerRunner/1.0/package.zip"
TOKEN = "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fmanagement.azure.com%2F"
Probe = Callable[[], Awaitable[bool]]


class Asks(Protocol):
    """Anything that can send a GET request to an instance."""

    async def ask(self, name: str, path: str = "/readyz", timeout_s: float = 2.0) -> HttpReply: ...


async def eventually(probe: Probe, within_s: float, what: str = "") -> float:
    """Waits until `probe` holds; returns how long it took."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    while not await probe():
        assert loop.time() - start < within_s, f"not within {within_s} s: {what or probe}"
        await asyncio.sleep(POLL_S)
    return loop.time() - start


@dataclass
class Operator:
    """A caller with all permissions. `slow_s` is the time that a process needs to start, `soon_s` that of an effect."""

    runtime: Runtime
    controller: str
    token: str
    slow_s: float
    soon_s: float

    async def call(self, method: str, path: str, body: Any = None) -> HttpReply:
        headers = {"Authorization": f"Bearer {self.token}"}
        return await self.runtime.http.call(
            method, self.controller + path, json=body, headers=headers, timeout_s=self.slow_s + 30.0
        )

    async def done(self, method: str, path: str, body: Any = None) -> Any:
        reply = await self.call(method, path, body)
        assert reply.ok, f"{method} {path}: {reply.failure or reply.status} {reply.body.decode()[:300]}"
        return reply.json()

    async def ask(self, name: str, path: str = "/readyz", timeout_s: float = 2.0) -> HttpReply:
        headers = {
            SECRET_HEADER: self.runtime.secret,
            "Metadata": "true",
            "x-ms-client-request-id": str(uuid.UUID(int=1)),
        }
        return await self.runtime.http.call("GET", self.url(name) + path, headers=headers, timeout_s=timeout_s)

    def url(self, name: str) -> str:
        found = {target.spec.name: target.url for target in self.runtime.targets()}
        return found[name] or f"http://{name}:{PORT}"

    # What shows

    async def shows(self, probe: Probe, what: str, within_s: float | None = None) -> None:
        await eventually(probe, within_s or self.soon_s, what)

    async def is_public(self) -> bool:
        return (await self.ask(BLOBSTORE, BLOB)).ok

    async def undo(self) -> None:
        """Public again, whatever a policy job has done. It reads many accounts, so a call after it is throttled."""

        async def enabled() -> bool:
            return (await self.call("PUT", f"/v1/regions/{REGION}/anonymous-access", {"enabled": True})).ok

        await self.shows(enabled, "the operator is served again")
        await self.shows(self.is_public, "what the job may have done is undone")

    async def is_private(self) -> bool:
        return not await self.is_public()

    async def ready(self) -> bool:
        return (await self.ask(ROUTER)).ok

    async def gets_tokens(self) -> bool:
        """Whether the router lets a request for a token through; its own answer about it may be a refusal."""
        return (await self.ask(ROUTER, TOKEN)).status not in (0, 500, 503)

    async def gets_none(self) -> bool:
        return not await self.gets_tokens()

    async def nodes(self) -> int:
        return int((await self.traffic())["nodes"])

    async def traffic(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.ask(ROUTER, "/admin/traffic")).json()["regions"][REGION]
        return found

    async def load_factor(self) -> float:
        return float((await self.ask("loadgen", "/admin/load")).json()["regions"][REGION])

    async def settings(self) -> dict[str, Any]:
        """The settings in force, by service."""
        names = {"router": ROUTER, "provisioner": f"provisioner-{REGION}", "loadgen": "loadgen"}
        return {service: (await self.ask(name, "/admin/settings")).json() for service, name in names.items()}

    def differ(self, settings: dict[str, Any]) -> Probe:
        async def probe() -> bool:
            return await self.settings() != settings

        return probe

    def equal(self, settings: dict[str, Any]) -> Probe:
        async def probe() -> bool:
            return await self.settings() == settings

        return probe

    def has_nodes(self, count: int) -> Probe:
        async def probe() -> bool:
            return await self.nodes() == count

        return probe
