"""The one client through which provisioner and tenants call the managed-identity service.

It carries the incident's two retry layers, an SDK inside a workflow, so one operation that keeps failing becomes
4 × 3 = 12 attempts. It never raises: under overload a failed call is the normal case, and a value is cheaper.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import Field
from yarl import URL

from services.chassis.client import TIMEOUT, Reply
from services.chassis.env import Env
from services.chassis.settings import Settings, resolve
from services.policies import deadline
from services.policies.retry import SDK_NAIVE, WORKFLOW_NAIVE, RetryPolicy, RetrySettings, call

TOKEN_PATH = "/metadata/identity/oauth2/token"
TOKEN_API = "2018-02-01"
IDENTITY_API = "2024-11-30"
SUBSCRIPTION = "00000000-0000-4000-8000-00000af7e5c0"
ATTEMPT_HEADER = "x-attempt"
TENANT_HEADER = "x-tenant"
BACKLOG_HEADER = "x-backlog"
RETRYABLE_STATUS = frozenset({408, 410, 429, 500, 502, 503, 504})
TIMEOUT_OUTCOME, OK = "timeout", "ok"
OUTCOMES = (OK, TIMEOUT_OUTCOME, "throttled", "error", "shed")
_LONG_URL_CACHE = 4096


class IdentityClientSettings(Settings):
    """How callers of the identity service behave. The defaults are the incident's."""

    timeout_s: float = Field(default=1.0, gt=0, description="per attempt, at the client")
    sdk: RetrySettings = SDK_NAIVE
    workflow: RetrySettings = WORKFLOW_NAIVE
    send_deadline: bool = False


class CallResult:
    """How one operation ended. `failure` is empty on success, else `timeout`, `throttled`, `shed` or `error`."""

    __slots__ = ("attempts", "body", "failure", "retry_after_s", "retryable", "status")

    def __init__(self, reply: Reply) -> None:
        self.status = reply.status
        self.body = reply.body
        self.failure = outcome_of(reply)
        self.attempts = 1
        self.retryable = bool(reply.failure) or reply.status in RETRYABLE_STATUS
        self.retry_after_s = reply.retry_after_s() if self.retryable and reply.status else None

    @property
    def ok(self) -> bool:
        return not self.failure

    def json(self) -> Any:
        return Reply(self.status, {}, self.body).json()

    def __repr__(self) -> str:
        return f"<CallResult {self.failure or OK} {self.status}, {self.attempts} attempts>"


def outcome_of(reply: Reply) -> str:
    """The reply in the words of the attempts metric, empty when it is good."""
    if reply.failure:
        return TIMEOUT_OUTCOME if reply.failure == TIMEOUT else "error"
    if reply.status < 400:
        return ""
    return {429: "throttled", 503: "shed", 504: TIMEOUT_OUTCOME}.get(reply.status, "error")


class _Layers:
    """What applies to calls from one region: both retry layers and where its router answers."""

    __slots__ = ("router", "sdk", "send_deadline", "timeout_s", "workflow")

    def __init__(self, settings: IdentityClientSettings, router: str) -> None:
        self.sdk: RetryPolicy = settings.sdk.build()
        self.workflow: RetryPolicy = settings.workflow.build()
        self.timeout_s = settings.timeout_s
        self.send_deadline = settings.send_deadline
        self.router = router


class _Counters:
    """Pre-bound metric children of one tenant in one region."""

    __slots__ = ("attempt", "result", "started", "workflow")

    def __init__(self, client: "ManagedIdentityClient", tenant: str, region: str) -> None:
        self.started = client.started.labels(tenant, region).inc
        self.result = {name: client.results.labels(tenant, region, name).inc for name in ("success", "failed")}
        self.attempt = self._by_outcome(client, tenant, region, "sdk")
        self.workflow = self._by_outcome(client, tenant, region, "workflow")

    @staticmethod
    def _by_outcome(
        client: "ManagedIdentityClient", tenant: str, region: str, layer: str
    ) -> dict[str, Callable[[], None]]:
        return {name: client.attempts.labels(tenant, region, layer, name).inc for name in OUTCOMES}


class ManagedIdentityClient:
    """Tokens and identities from the router of a region. Safe to share between all callers of one process."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._rng = env.streams["identity_client"]
        self._layers: dict[str, _Layers] = {}
        self._counters: dict[tuple[str, str], _Counters] = {}
        self._urls: dict[tuple[str, ...], URL] = {}
        metrics = env.metrics
        self.started = metrics.counter(
            "identity_client_operations_started_total", "Identity operations begun.", ("tenant", "region")
        )
        self.results = metrics.counter(
            "identity_client_operations_total", "Identity operations ended.", ("tenant", "region", "result")
        )
        self.attempts = metrics.counter(
            "identity_client_attempts_total",
            "Attempts of identity operations, by the layer that made them.",
            ("tenant", "region", "layer", "outcome"),
        )
        env.live.on_change(lambda _topic: self._layers.clear())

    async def token(
        self, tenant: str, region: str, client_id: str, resource: str, *, backlog: bool = False
    ) -> CallResult:
        """A token for `resource`; an empty `client_id` means the caller's system-assigned identity."""
        url = self._token_url(region, client_id, resource)
        return await self._operate(tenant, region, "GET", url, None, backlog)

    async def put_identity(self, tenant: str, region: str, name: str, *, backlog: bool = False) -> CallResult:
        """Creates or updates the user-assigned identity `name`; the body carries its `clientId`."""
        body = {"location": region, "tags": {"tenant": tenant}}
        return await self._operate(tenant, region, "PUT", self._identity_url(region, name), body, backlog)

    async def delete_identity(self, tenant: str, region: str, name: str, *, backlog: bool = False) -> CallResult:
        return await self._operate(tenant, region, "DELETE", self._identity_url(region, name), None, backlog)

    async def _operate(self, tenant: str, region: str, method: str, url: URL, body: Any, backlog: bool) -> CallResult:
        layers = self._layers.get(region) or self._make_layers(region)
        counters = self._counters.get((tenant, region)) or self._make_counters(tenant, region)
        operation = _Operation(self._env, layers, counters, method, url, body, self._headers(tenant, backlog))
        counters.started()
        result = await _retry(self._env, self._rng, layers.workflow, operation.sdk_layer(self._rng))
        result.attempts = operation.attempts
        counters.result["failed" if result.failure else "success"]()
        return result

    def _headers(self, tenant: str, backlog: bool) -> dict[str, str]:
        headers = {"Metadata": "true", TENANT_HEADER: tenant}
        if backlog:
            headers[BACKLOG_HEADER] = "1"
        return headers

    def _make_layers(self, region: str) -> _Layers:
        settings = resolve(IdentityClientSettings, self._env.live.tree, "identity_client", region)
        layers = self._layers[region] = _Layers(settings, self._env.peers.url("router", region))
        return layers

    def _make_counters(self, tenant: str, region: str) -> _Counters:
        counters = self._counters[tenant, region] = _Counters(self, tenant, region)
        return counters

    def _token_url(self, region: str, client_id: str, resource: str) -> URL:
        key = (region, client_id, resource)
        url = self._urls.get(key)
        if url is None:
            if len(self._urls) > _LONG_URL_CACHE:
                self._urls.clear()
            query = {"api-version": TOKEN_API, "resource": resource}
            if client_id:
                query["client_id"] = client_id
            url = self._urls[key] = URL(self._env.peers.url("router", region) + TOKEN_PATH).with_query(query)
        return url

    def _identity_url(self, region: str, name: str) -> URL:
        path = (
            f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{region}"
            f"/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{name}?api-version={IDENTITY_API}"
        )
        return URL(self._env.peers.url("router", region) + path)


class _Operation:
    """One operation under way: counts its attempts over both layers."""

    __slots__ = ("_body", "_counters", "_env", "_headers", "_layers", "_method", "_url", "attempts")

    def __init__(
        self,
        env: Env,
        layers: _Layers,
        counters: _Counters,
        method: str,
        url: URL,
        body: Any,
        headers: dict[str, str],
    ) -> None:
        self._env = env
        self._layers = layers
        self._counters = counters
        self._method = method
        self._url = url
        self._body = body
        self._headers = headers
        self.attempts = 0

    def sdk_layer(self, rng: Any) -> Callable[[], Awaitable[CallResult]]:
        async def layer() -> CallResult:
            result = await _retry(self._env, rng, self._layers.sdk, self._attempt)
            self._counters.workflow[result.failure or OK]()
            return result

        return layer

    async def _attempt(self) -> CallResult:
        self.attempts += 1
        headers = self._headers
        layers = self._layers
        headers[ATTEMPT_HEADER] = str(self.attempts)
        if layers.send_deadline:
            expires = deadline.after(self._env.clock.epoch(), layers.timeout_s)
            headers[deadline.HEADER] = deadline.encode(expires)
        reply = await self._env.http.call(
            self._method, self._url, timeout_s=layers.timeout_s, headers=headers, json=self._body
        )
        result = CallResult(reply)
        self._counters.attempt[result.failure or OK]()
        return result


async def _retry(env: Env, rng: Any, policy: RetryPolicy, attempt: Callable[[], Awaitable[CallResult]]) -> CallResult:
    return await call(policy, attempt, clock_now=env.clock.now, sleep=asyncio.sleep, rng=rng)
