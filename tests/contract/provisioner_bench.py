"""A region around one provisioner: a storage and an identity service small enough to know exactly what they do."""

import asyncio
import hashlib
import json
from base64 import b64encode
from typing import Any

from aiohttp import web
from redis.exceptions import ConnectionError as RedisConnectionError

from services.chassis.clock import Clock
from services.chassis.env import Env, Peers, make_env
from services.chassis.http import HttpClient, HttpReply
from services.chassis.live import announce
from services.chassis.registry import Instance
from services.chassis.store import Keys, text
from services.provisioner.app import PROVISIONER, Provisioner, create_app
from tests.api_contract import Contract

REGION = "eastus"
HOST = f"provisioner-{REGION}"
API = "api-version=2024-07-01"
PACKAGE = b"PK" + bytes(range(256)) * 8
RUNNER = "GitHub.Actions/LargerRunner"
SCRIPT = "Microsoft.Azure.Extensions/CustomScript"
DENIED = (
    b'<?xml version="1.0" encoding="utf-8"?><Error><Code>PublicAccessNotPermitted</Code><Message>'
    b"Public access is not permitted on this storage account.\nRequestId:1\nTime:2026-02-02T18:03:00Z</Message></Error>"
)


class Storage:
    """Serves one package under every name; `closed` accounts refuse anonymous readers."""

    def __init__(self, world: Any) -> None:
        self._world = world
        self.closed: set[str] = set()
        self.damaged = False
        self.down = False
        self.reads: list[tuple[float, str, bool]] = []
        """(time, path, with a token)"""

    async def read(self, request: web.Request) -> web.Response:
        bearer = "Authorization" in request.headers
        self.reads.append((self._world.loop.time(), request.path, bearer))
        if self.down:
            return web.Response(status=503)
        if request.path.split("/")[1] in self.closed and not bearer:
            return web.Response(status=409, body=DENIED, headers={"x-ms-error-code": "PublicAccessNotPermitted"})
        digest = b64encode(hashlib.md5(PACKAGE, usedforsecurity=False).digest()).decode()
        return web.Response(body=PACKAGE[:-1] if self.damaged else PACKAGE, headers={"Content-MD5": digest})

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/{path:.*}", self.read)
        return app


class Identity:
    """Answers every call after `delay_s`, with 503 while `down`; knows the identities that exist."""

    def __init__(self, world: Any) -> None:
        self._world = world
        self.delay_s = 0.1
        self.down = False
        self.tokens_down = False
        self.calls: list[tuple[float, str, str]] = []
        """(time, method, identity name or resource of the token)"""
        self.backlog: list[bool] = []
        self.identities: set[str] = set()

    async def answer(self, request: web.Request) -> web.Response:
        token = request.path.startswith("/metadata/")
        name = request.query["resource"] if token else request.path.rsplit("/", 1)[1]
        self.calls.append((self._world.loop.time(), request.method, name))
        self.backlog.append(request.headers.get("x-backlog") == "1")
        await asyncio.sleep(self.delay_s)
        if self.down:
            return web.Response(status=503)
        if token and request.query.get("client_id", "client-").partition("-")[2] not in {"", *self.identities}:
            return web.json_response(
                {"error": "invalid_request", "error_description": "Identity not found"}, status=400
            )
        if token and self.tokens_down:
            return web.Response(status=503)
        if token:
            return web.json_response({"access_token": "secret", "expires_on": "9999999999"})
        if request.method == "DELETE":
            self.identities.discard(name)
            return web.Response(status=200)
        self.identities.add(name)
        ids = {"clientId": f"client-{name}", "principalId": f"principal-{name}", "tenantId": "directory"}
        return web.json_response({"properties": ids}, status=201)

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.answer)
        return app


class Bench:
    """One region under test, and a client of it."""

    def __init__(self, world: Any) -> None:
        self.world = world
        self.storage = Storage(world)
        self.identity = Identity(world)
        self.events: list[dict[str, Any]] = []
        self.starts = 0
        self.client = HttpClient(world.session("client"))
        self.served: Any = None
        self.env: Env | None = None
        self.provisioner: Provisioner | None = None

    async def open(self, **settings: Any) -> "Bench":
        await self.world.serve(self.storage.app(), f"blobstore-{REGION}", 8080)
        await self.world.serve(self.identity.app(), f"router-{REGION}", 8080)
        await self.start(**settings)
        return self

    async def start(self, **settings: Any) -> None:
        """Starts a provisioner over whatever is in Redis."""
        self.starts += 1
        host = HOST if self.starts == 1 else f"{HOST}-{self.starts}"
        one_attempt = {"enabled": False}
        self.env = make_env(
            Instance("provisioner", REGION, HOST, f"http://{host}:8080"),
            seed=self.starts,
            clock=Clock(self.world.loop.time, self.world.epoch_s),
            http=HttpClient(self.world.session(host)),
            store=self.world.redis.client(),
            sink=self.events.append,
            tree={
                "provisioner": settings,
                "identity_client": {"sdk": one_attempt, "workflow": one_attempt, "timeout_s": 5.0},
            },
            peers=Peers(),
        )
        app = create_app(self.env)
        self.contract = Contract.of(app)
        self.provisioner = app[PROVISIONER]
        self.base = f"http://{host}:8080"
        self.served = await self.world.serve(app, host, 8080)

    def kill(self) -> None:
        """SIGKILL."""
        assert self.env is not None
        self.served.kill()
        # A dead host's connections never report their end, and closing the session would wait for just that.
        connector: Any = self.env.http.session.connector
        connector._conns.clear()
        connector._acquired.clear()

    def now(self) -> float:
        return float(self.world.loop.time())

    def url(self, path: str) -> str:
        if path.startswith("http"):
            return path
        if not path.startswith("/"):
            path = f"/subscriptions/sub/resourceGroups/rg/providers/Microsoft.Compute/{path}"
        separator = "&" if "?" in path else "?"
        return self.base + (path if "api-version" in path else f"{path}{separator}{API}")

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> HttpReply:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        url = self.url(path)
        reply = await self.client.call(method, url, timeout_s=60.0, json=body, headers=names or None)
        if not reply.failure:
            self.contract.check(method, url, reply.status, reply.headers, reply.body)
        return reply

    async def put_machine(self, name: str, *, package: str = RUNNER, **more: Any) -> HttpReply:
        tags = {"aftershock-tenant": "github-actions", **({"aftershock-extension": package} if package else {})}
        return await self.call("PUT", f"virtualMachines/{name}", {"location": REGION, "tags": tags, **more})

    async def put_extension(self, machine: str, name: str, package: str = SCRIPT, **more: Any) -> HttpReply:
        publisher, _, type_ = package.partition("/")
        body = {"location": REGION, "properties": {"publisher": publisher, "type": type_, **more}}
        return await self.call("PUT", f"virtualMachines/{machine}/extensions/{name}", body)

    async def operation(self, reply: HttpReply) -> dict[str, Any]:
        """The operation that a reply started, as it stands now."""
        path = reply.headers["Azure-AsyncOperation"].split("8080", 1)[1]
        return dict((await self.call("GET", path)).json())

    async def end(self, reply: HttpReply, timeout_s: float = 600.0) -> dict[str, Any]:
        """Waits for the operation's end."""
        limit = self.now() + timeout_s
        while self.now() < limit:
            operation = await self.operation(reply)
            if operation["status"] != "InProgress":
                return operation
            await asyncio.sleep(0.05)
        raise AssertionError(f"still in progress after {timeout_s} s: {operation}")

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["kind"] == kind]

    def finished(self, operation_id: str) -> list[dict[str, Any]]:
        return [event for event in self.of_kind("job_finished") if event["job"] == operation_id]

    def at(self, event: dict[str, Any]) -> float:
        """The event's moment on the world's clock."""
        return float(round(event["at"] - self.world.epoch_s, 6))

    def metric(self, name: str, **labels: str) -> float:
        assert self.env is not None
        return self.env.metrics.total(name, **labels)

    async def overlay(self, tree: dict[str, Any]) -> None:
        """Changes settings while everything runs, as the controller does."""
        assert self.env is not None
        await self.env.store.set(Keys.OVERLAY, json.dumps(tree))
        await announce(self.env.store, "settings")
        await asyncio.sleep(0.001)

    def lose_next_transaction(self, *, executed: bool, after_s: float = 0.0) -> None:
        """The next MULTI of the provisioner ends in a broken connection, with or without having been executed."""
        assert self.env is not None
        store: Any = self.env.store
        original = store.pipeline

        def pipeline(transaction: bool = True) -> Any:
            pipe = original(transaction=transaction)
            if transaction:
                store.pipeline = original
                pipe.execute = broken(pipe.execute)
            return pipe

        def broken(execute: Any) -> Any:
            async def execute_and_lose() -> None:
                if executed:
                    await execute()
                await asyncio.sleep(after_s)
                raise RedisConnectionError("connection lost")

            return execute_and_lose

        store.pipeline = pipeline

    def lose_next_reading(self) -> None:
        """The next entries that the worker reads never arrive."""
        assert self.provisioner is not None
        journal = self.provisioner.journal
        read_new = journal.read_new

        async def broken() -> list[tuple[str, str]]:
            if await read_new():
                journal.read_new = read_new  # type: ignore[method-assign]
            return []

        journal.read_new = broken  # type: ignore[method-assign]

    async def snapshot(self) -> dict[Any, Any]:
        """What Redis holds of the region now."""
        assert self.env is not None
        store = self.env.store
        return {name: await store.dump(name) for name in sorted(await store.keys("compute:*"))}

    async def restore(self, snapshot: dict[Any, Any]) -> None:
        assert self.env is not None
        names = await self.env.store.keys("compute:*")
        async with self.env.store.pipeline(transaction=True) as pipe:
            pipe.delete(*names)
            for name, value in snapshot.items():
                pipe.restore(name, 0, value)
            await pipe.execute()

    async def queue(self) -> list[Any]:
        """Entries that are still in the stream."""
        assert self.env is not None
        return list(await self.env.store.xrange("compute:eastus:queue") or ())

    async def redis_names(self) -> list[str]:
        assert self.env is not None
        return sorted(text(key) for key in await self.env.store.keys("compute:*"))


def error_of(reply: HttpReply) -> dict[str, Any]:
    return dict(json.loads(reply.body)["error"])
