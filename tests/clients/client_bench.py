"""What the client tests work at: a small testbed of real processes and sockets, and an operator's hand in it.

The testbed runs in a thread with a loop of its own, so that both synchronous and asynchronous clients can call it.
Faults and settings go the way the controller sends them: into Redis, then announced.
"""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from aiohttp import web
from azure.core.credentials import AccessToken
from azure.core.pipeline.transport import AioHttpTransport, RequestsTransport
from redis import Redis

from chaos.controller.app import create_controller
from chaos.controller.auth import Tokens
from chaos.controller.testbed import Testbed
from chaos.scenarios.loader import load
from chaos.scenarios.restrict import restrict
from compose.local import HOST, LocalRuntime, free_ports
from compose.topology import RegionSpec, Topology
from services.chassis.access import SECRET_HEADER
from services.chassis.store import CHANGES_CHANNEL, Keys
from services.clients.identity.client import SUBSCRIPTION

GROUP = "clients"
TOKENS = Tokens(read="read-token", operate="operate-token")
START_TIMEOUT_S = 60.0
SETTLE_S = 0.05
MARKER = {
    "router": "discovery_s",
    "blobstore": "jwks_pause_s",
    "provisioner": "fetch_timeout_s",
    "identity": "restart_s",
}
"""A setting of each service that no test here depends on: it shows when an announcement has arrived."""

TREE: dict[str, Any] = {
    "provisioner": {"allocate_s": 0.02, "work_s": 0.02, "retry_after_s": 1, "requeue_delay_s": 0.2, "max_tries": 2},
    "identity": {"service_time_s": 0.01},
    "blobstore": {
        "propagation_delay_s": 0.05,
        "arm_read_rate_per_s": 1e4,
        "arm_write_rate_per_s": 1e4,
        "arm_read_burst": 1e5,
        "arm_write_burst": 1e5,
    },
}


class Bench:
    """One testbed, two paired regions of one identity node each, and a controller."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="testbed", daemon=True)
        self._marks = 0
        self.subscription = SUBSCRIPTION

    def start(self) -> None:
        self._thread.start()
        self._await(self._start())
        self.redis = Redis.from_url(self._runtime._redis_url)

    def stop(self) -> None:
        self.redis.close()
        self._await(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _await(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(START_TIMEOUT_S)

    async def _start(self) -> None:
        east, west = RegionSpec("eastus", "East US", "westus", "", 1), RegionSpec("westus", "West US", "eastus", "", 1)
        self._runtime = LocalRuntime(self._folder / "logs")
        await self._runtime.start(Topology((east, west), loadgen=False), TREE, 1, lambda _event: None)
        scenario = restrict(load("azure-fnj8-vqz-short"), ["eastus", "westus"])
        self._runner = web.AppRunner(
            create_controller(Testbed(self._runtime, scenario, self._folder), TOKENS), access_log=None
        )
        await self._runner.setup()
        port = free_ports(1)[0]
        await web.TCPSite(self._runner, HOST, port).start()
        self.controller = f"http://{HOST}:{port}"

    async def _stop(self) -> None:
        await self._runner.cleanup()
        await self._runtime.stop()

    def url(self, service: str, region: str = "eastus") -> str:
        """The base URL of a service of a region; of `identity`, its one node."""
        if service != "identity":
            return self._runtime.peers.url(service, region)
        return next(
            f"http://{HOST}:{child.port}"
            for child in self._runtime._children.values()
            if (child.spec.service, child.spec.region) == (service, region)
        )

    @property
    def secret(self) -> dict[str, str]:
        """What our own processes show."""
        return {SECRET_HEADER: self._runtime.secret}

    def group_path(self, provider: str) -> str:
        return f"/subscriptions/{self.subscription}/resourceGroups/{GROUP}/providers/{provider}"

    def admin(self, method: str, path: str, region: str = "eastus", **options: Any) -> dict[str, Any]:
        """A call of the blob service's operator API, below `/admin/accounts`."""
        url = f"{self.url('blobstore', region)}/admin/accounts/{path}".rstrip("/")
        options["headers"] = {SECRET_HEADER: self._runtime.secret, **options.get("headers", {})}
        answer = requests.request(method, url, timeout=60, **options)
        assert answer.ok, answer.text
        return dict(answer.json()) if answer.content else {}

    # --- settings and faults -----------------------------------------------------------------------------

    @contextmanager
    def fault(
        self, service: str, kind: str, region: str = "eastus", account: str = "", **parameters: Any
    ) -> Iterator[None]:
        """A fault on all requests to `service`, in effect when the block begins and gone when it is left."""
        target = {"service": service, "region": region, "account": account}
        rule = {"id": "clients", "kind": kind, "target": target, "parameters": parameters}
        self.redis.set(Keys.fault("clients"), json.dumps({**rule, "expires_at": time.time() + 60}))
        self._announce({}, service, region)
        try:
            yield
        finally:
            self.redis.delete(Keys.fault("clients"))
            self._announce({}, service, region)

    @contextmanager
    def settings(self, service: str, region: str = "eastus", **values: Any) -> Iterator[None]:
        """Other settings of `service` for the length of the block."""
        self._announce({service: values}, service, region)
        try:
            yield
        finally:
            self._announce({}, service, region)

    def _announce(self, overlay: dict[str, Any], service: str, region: str) -> None:
        """Announces what is in Redis together with a changed marker, and waits until the instance shows it."""
        self._marks += 1
        mark = 1.0 + self._marks / 1e4
        self.redis.publish(CHANGES_CHANNEL, "faults")
        values = {**overlay.get(service, {}), MARKER[service]: mark}
        self.redis.set(Keys.OVERLAY, json.dumps({**overlay, service: values}))
        self.redis.publish(CHANGES_CHANNEL, "settings")
        url = self.url(service, region) + "/admin/settings"
        wait_until(lambda: requests.get(url, timeout=5).json()[MARKER[service]] == mark, f"{service} took the settings")
        time.sleep(SETTLE_S)

    @contextmanager
    def drained(self, region: str = "eastus") -> Iterator[None]:
        """The router of `region` sheds everything."""
        self.traffic("drain", region)
        try:
            yield
        finally:
            self.traffic("open", region)

    def traffic(self, mode: str, region: str) -> None:
        url = self.url("router", region) + "/admin/traffic"
        assert requests.put(f"{url}/{region}", json={"mode": mode}, headers=self.secret, timeout=5).ok
        wait_until(lambda: requests.get(url, timeout=5).json()["regions"][region]["mode"] == mode, f"traffic: {mode}")

    @contextmanager
    def outage(self, account: str) -> Iterator[None]:
        """Anonymous reads of `account` are off, as the policy job leaves them."""
        self.allow_anonymous(account, False)
        try:
            yield
        finally:
            self.allow_anonymous(account, True)

    def put_anonymous(self, account: str, enabled: bool) -> None:
        answer = requests.put(
            f"{self.controller}/v1/accounts/{account}/anonymous-access",
            json={"enabled": enabled},
            headers={"Authorization": f"Bearer {TOKENS.operate}"},
            timeout=10,
        )
        assert answer.ok, answer.text

    def allow_anonymous(self, account: str, enabled: bool) -> None:
        self.put_anonymous(account, enabled)
        wait_until(lambda: self.admin("GET", account)["effective"] == enabled, "the switch took effect")


def wait_until(reached: Any, what: str, timeout_s: float = 15.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not reached():
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {what}"
        time.sleep(0.02)


HURRY = 20.0


class Counting(RequestsTransport):
    """A synchronous transport that keeps what went out, and for how long the client wanted to wait.

    It waits for a part of that only: one in `hurry`.
    """

    def __init__(self, hurry: float = HURRY) -> None:
        super().__init__()
        self.sent: list[Any] = []
        self.waits_s: list[float] = []
        self._hurry = hurry

    def send(self, request: Any, **options: Any) -> Any:
        self.sent.append(request)
        return super().send(request, **options)

    def sleep(self, duration: float) -> None:
        self.waits_s.append(duration)
        super().sleep(duration / self._hurry)


class AsyncCounting(AioHttpTransport):
    """The same for asynchronous clients."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[Any] = []

    async def send(self, request: Any, **options: Any) -> Any:
        self.sent.append(request)
        return await super().send(request, **options)

    async def sleep(self, duration: float) -> None:
        await super().sleep(duration / HURRY)


class Bearer:
    """A credential that always has the same token."""

    def __init__(self, token: str) -> None:
        self._token = token

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        return AccessToken(self._token, int(time.time()) + 3600)
