"""Management calls (ARM) of tenants: two retry layers, then polling of the accepted operation.

A 409 or another 4xx is not retried, so a blocked extension makes its user wait. The first poll comes early
(`first_poll_s`, a user who watches); the server sets the interval of later ones (`Retry-After`).
"""

import asyncio
from typing import Any, NamedTuple, Protocol

from yarl import URL

from services.chassis.env import Env
from services.chassis.http import REFUSED, RESET, TIMEOUT, HttpReply
from services.clients.identity.client import OK, RETRYABLE_STATUS, SUBSCRIPTION, outcome_of
from services.policies.retry import RetryPolicy, call

COMPUTE_API_VERSION = "2024-07-01"
ASYNC_HEADER = "Azure-AsyncOperation"
SUCCEEDED, WAITING = "Succeeded", "Waiting"
ENDED = frozenset({SUCCEEDED, "Failed", "Canceled"})
TRANSPORT_CODES = {TIMEOUT: "RequestTimeout", RESET: "ConnectionReset", REFUSED: "ConnectionRefused"}


class ArmPatience(Protocol):
    """Timeouts and poll intervals of a caller, in seconds; for tenants they come from `LoadgenSettings`."""

    @property
    def arm_timeout_s(self) -> float:
        """Per attempt."""

    @property
    def first_poll_s(self) -> float:
        """From acceptance to the first poll of an operation."""

    @property
    def poll_s(self) -> float:
        """Between polls, unless the server sends `Retry-After`."""


class ArmMeans(Protocol):
    """The dependencies of a caller."""

    env: Env
    sdk: RetryPolicy
    workflow: RetryPolicy

    @property
    def settings(self) -> ArmPatience:
        """The current settings."""

    @property
    def now(self) -> float:
        """Clock seconds."""


class ArmMeter(Protocol):
    """Counts the calls."""

    def attempt(self, layer: str, outcome: str) -> None:
        """One attempt of `layer`: `sdk` or `workflow`."""

    def poll(self, outcome: str) -> None:
        """One poll of a running operation."""


class Ended(NamedTuple):
    """How an operation ended: `Succeeded`, `Failed`, `Canceled`, or `Waiting` when the deadline passed first."""

    status: str
    code: str = ""

    @property
    def ok(self) -> bool:
        return self.status == SUCCEEDED


class ArmReply:
    """One response of the management plane, in the form that retry layers and poller need."""

    __slots__ = ("_reply", "failure", "retry_after_s", "retryable", "status")

    def __init__(self, reply: HttpReply, now_epoch_s: float = 0.0) -> None:
        self._reply = reply
        self.status = reply.status
        self.failure = outcome_of(reply)
        self.retryable = bool(reply.failure) or reply.status in RETRYABLE_STATUS
        self.retry_after_s = reply.retry_after_s(now_epoch_s) if reply.status else None

    @property
    def operation_url(self) -> str:
        return self._reply.headers.get(ASYNC_HEADER, "")

    @property
    def code(self) -> str:
        """The error code of the body, or the transport failure; empty for success."""
        if not self.failure:
            return ""
        if self._reply.failure:
            return TRANSPORT_CODES[self._reply.failure]
        return error_code(self.json()) or f"Http{self.status}"

    def json(self) -> dict[str, Any]:
        """The body; empty if it is not a JSON object."""
        try:
            body = self._reply.json()
        except ValueError:
            return {}
        return body if isinstance(body, dict) else {}

    def __repr__(self) -> str:
        return f"<ArmReply {self.status} {self.failure or OK}>"


def error_code(body: dict[str, Any]) -> str:
    """`error.code` of an ARM body, or empty."""
    error = body.get("error")
    return str(error.get("code", "")) if isinstance(error, dict) else ""


class ArmCaller:
    """Management calls of one tenant in one region."""

    def __init__(self, tools: ArmMeans, meter: ArmMeter, tenant: str, region: str) -> None:
        self._tools = tools
        self._meter = meter
        self._rng = tools.env.streams[f"arm/{tenant}/{region}"]
        self._region = region
        self._base = tools.env.peers.url("provisioner", region)
        self.group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{tenant}-{region}/providers/Microsoft.Compute"

    async def send(self, method: str, path: str, body: Any = None) -> ArmReply:
        """Makes one management call through both retry layers. Returns the last response, whatever its status."""
        with self._tools.env.tracing.span("arm.call", method=method, region=self._region) as span:
            reply = await self._send(method, path, body)
            if reply.failure:
                span.fail(reply.failure)
            return reply

    async def _send(self, method: str, path: str, body: Any) -> ArmReply:
        tools, meter, tracing = self._tools, self._meter, self._tools.env.tracing
        attempts = calls = 0
        url = URL(f"{self._base}{path}?api-version={COMPUTE_API_VERSION}", encoded=True)

        async def attempt() -> ArmReply:
            nonlocal attempts
            attempts += 1
            with tracing.request("arm.attempt", attempt=attempts):
                reply = await self._once(method, url, body)
            meter.attempt("sdk", reply.failure or OK)
            return reply

        async def sdk_layer() -> ArmReply:
            nonlocal calls
            calls += 1
            with tracing.span("arm.workflow", call=calls) as span:
                reply = await call(
                    tools.sdk, attempt, clock_now=tools.env.clock.now, sleep=asyncio.sleep, rng=self._rng
                )
                if reply.failure:
                    span.fail(reply.failure)
            meter.attempt("workflow", reply.failure or OK)
            return reply

        return await call(tools.workflow, sdk_layer, clock_now=tools.env.clock.now, sleep=asyncio.sleep, rng=self._rng)

    async def _once(self, method: str, url: URL, body: Any) -> ArmReply:
        env, timeout_s = self._tools.env, self._tools.settings.arm_timeout_s
        return ArmReply(await env.http.call(method, url, timeout_s=timeout_s, json=body), env.clock.epoch())

    async def follow(self, accepted: ArmReply, deadline: float) -> Ended:
        """Polls until the operation ends or `deadline` (clock seconds) passes."""
        with self._tools.env.tracing.span("arm.wait") as span:
            ended = await self._follow(accepted, deadline)
            if not ended.ok:
                span.fail(ended.code or ended.status)
            return ended

    async def _follow(self, accepted: ArmReply, deadline: float) -> Ended:
        if accepted.failure:
            return Ended("Failed", accepted.code)
        if not accepted.operation_url:
            return _settled(accepted.json())
        url = URL(accepted.operation_url, encoded=True)
        wait_s = self._tools.settings.first_poll_s
        while True:
            left_s = deadline - self._tools.now
            if left_s <= wait_s:
                await asyncio.sleep(max(0.0, left_s))
                return Ended(WAITING)
            await asyncio.sleep(wait_s)
            reply = await self._look(url)
            if reply.status == 404:
                return Ended("Failed", reply.code)
            body = {} if reply.failure else reply.json()
            status = body.get("status", "")
            if status in ENDED:
                return Ended(status, error_code(body) or ("" if status == SUCCEEDED else status))
            wait_s = reply.retry_after_s or self._tools.settings.poll_s

    async def _look(self, url: URL) -> ArmReply:
        """Polls once. A failed poll is repeated at the next interval: the operation continues regardless."""
        with self._tools.env.tracing.request("arm.poll"):
            reply = await self._once("GET", url, None)
        self._meter.poll(reply.failure or OK)
        return reply


def _settled(resource: dict[str, Any]) -> Ended:
    """The result of a response without an operation to poll: the change is complete or the resource is gone."""
    state = str(resource.get("properties", {}).get("provisioningState", SUCCEEDED))
    return Ended(SUCCEEDED) if state == SUCCEEDED else Ended("Failed", state)
