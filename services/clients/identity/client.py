"""The client with which provisioner and tenants call the managed-identity service.

It has the incident's two retry layers, an SDK inside a workflow, so an operation that keeps failing makes 4 × 3 = 12
attempts. It never raises: under overload a failed call is the normal case, and a return value is cheaper.

All other policies are off by default and cost the naive path one check per operation. Changed settings apply to
operations that begin later; those in progress keep the settings they began with.
"""

from typing import Any

from pydantic import Field
from yarl import URL

from services.chassis.env import Env
from services.chassis.metrics import incrementer
from services.chassis.settings import Settings, SettingsError, resolve
from services.clients.identity.call import (
    OK,
    RETRYABLE_STATUS,
    ByOutcome,
    CallResult,
    GuardedOperation,
    IdentityOperation,
    outcome_of,
    retry,
)
from services.clients.identity.guard import CallGuard, GuardSettings
from services.clients.identity.sharing import CacheSettings, SharedTokens
from services.policies.recent import Recent
from services.policies.retry import SDK_NAIVE, WORKFLOW_NAIVE, RetryPolicy, RetrySettings, WaitKind

__all__ = [
    "OK",
    "RETRYABLE_STATUS",
    "SUBSCRIPTION",
    "CallResult",
    "IdentityClientSettings",
    "ManagedIdentityClient",
    "outcome_of",
]

TOKEN_PATH = "/metadata/identity/oauth2/token"
TOKEN_API = "2018-02-01"
IDENTITY_API = "2024-11-30"
SUBSCRIPTION = "00000000-0000-4000-8000-00000af7e5c0"
TENANT_HEADER = "x-tenant"
BACKLOG_HEADER = "x-backlog"
URLS_MAX = TENANTS_MAX = 1024


class WorkflowRetrySettings(RetrySettings):
    """The naive workflow layer. A separate class, so that overriding one field keeps these defaults for the others."""

    attempts: int = Field(default=WORKFLOW_NAIVE.attempts, ge=1)
    """Tries in total; each is a complete SDK call."""
    wait: WaitKind = WORKFLOW_NAIVE.wait
    """The backoff formula for the wait before the next try."""
    base_s: float = Field(default=WORKFLOW_NAIVE.base_s, ge=0)
    """The wait of kind `fixed`, in seconds."""


class IdentityClientSettings(Settings):
    """Behaviour of identity callers. The defaults are those of the incident."""

    timeout_s: float = Field(default=1.0, gt=0, description="per attempt, at the client")
    sdk: RetrySettings = SDK_NAIVE
    workflow: WorkflowRetrySettings = WorkflowRetrySettings()
    send_deadline: bool = Field(default=False, description="send the attempt's deadline to every hop")
    guard: GuardSettings = GuardSettings()
    cache: CacheSettings = CacheSettings()


class _Layers:
    """The policies for calls from one region: both retry layers and the enabled guards."""

    __slots__ = ("cache", "guards", "sdk", "send_deadline", "settings", "timeout_s", "workflow")

    def __init__(self, settings: IdentityClientSettings, before: "_Layers | None") -> None:
        """`before`: the previous policies; a policy whose settings did not change keeps its state."""
        self.settings = settings
        self.sdk: RetryPolicy = settings.sdk.build()
        self.workflow: RetryPolicy = settings.workflow.build()
        self.timeout_s = settings.timeout_s
        self.send_deadline = settings.send_deadline
        self.guards: Recent[str, CallGuard] | None = Recent(TENANTS_MAX) if settings.guard.active else None
        self.cache: SharedTokens[CallResult] | None = None
        if before is not None and before.settings.guard == settings.guard:
            self.guards = before.guards
        if before is not None and before.settings.cache == settings.cache:
            self.cache = before.cache


class _Counters:
    """Pre-bound metric children of one tenant in one region."""

    __slots__ = ("_held_back", "_labels", "_uses", "attempt", "result", "started", "workflow")

    def __init__(self, client: "ManagedIdentityClient", tenant: str, region: str) -> None:
        self.started = incrementer(client.started.labels(tenant, region))
        self.result = {name: incrementer(client.results.labels(tenant, region, name)) for name in ("success", "failed")}
        self.attempt = ByOutcome(lambda name: incrementer(client.attempts.labels(tenant, region, "sdk", name)))
        self.workflow = ByOutcome(lambda name: incrementer(client.attempts.labels(tenant, region, "workflow", name)))
        self._held_back = client.held_back
        self._uses = client.uses
        self._labels = (tenant, region)

    def held_back(self, reason: str) -> None:
        self._held_back.labels(*self._labels, reason).inc()

    def cached(self, use: str) -> None:
        self._uses.labels(*self._labels, use).inc()


class ManagedIdentityClient:
    """Tokens and identities from the router of a region. Safe to share between all callers of one process."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._rng = env.streams["identity_client"]
        self._layers: dict[str, _Layers] = {}
        self._counters: Recent[tuple[str, str], _Counters] = Recent(TENANTS_MAX)
        self._urls: Recent[tuple[str, ...], URL] = Recent(URLS_MAX)
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
        self.held_back = metrics.counter(
            "identity_client_held_back_total",
            "Attempts and retries that the caller's own policies held back.",
            ("tenant", "region", "reason"),
        )
        self.uses = metrics.counter(
            "identity_client_cached_total",
            "Token requests answered without an operation: from the cache, by a shared fetch, or by a cached failure.",
            ("tenant", "region", "result"),
        )
        env.live.on_change(lambda _topic: self.reconfigure())

    async def token(
        self, tenant: str, region: str, client_id: str, resource: str, *, backlog: bool = False
    ) -> CallResult:
        """A token for `resource`; an empty `client_id` means the caller's system-assigned identity."""
        url = self._token_url(region, client_id, resource)
        layers = self._layers.get(region) or self._make_layers(region)
        if layers.cache is None:
            return await self._operate(layers, tenant, region, "GET", url, None, backlog)
        return await self._shared(layers, layers.cache, tenant, region, (client_id, resource, url), backlog)

    async def put_identity(self, tenant: str, region: str, name: str, *, backlog: bool = False) -> CallResult:
        """Creates or updates the user-assigned identity `name`; the body carries its `clientId`."""
        body = {"location": region, "tags": {"tenant": tenant}}
        layers = self._layers.get(region) or self._make_layers(region)
        return await self._operate(layers, tenant, region, "PUT", self._identity_url(region, name), body, backlog)

    async def delete_identity(self, tenant: str, region: str, name: str, *, backlog: bool = False) -> CallResult:
        layers = self._layers.get(region) or self._make_layers(region)
        return await self._operate(layers, tenant, region, "DELETE", self._identity_url(region, name), None, backlog)

    async def _operate(
        self, layers: _Layers, tenant: str, region: str, method: str, url: URL, body: Any, backlog: bool
    ) -> CallResult:
        counters = self._counters.get((tenant, region)) or self._make_counters(tenant, region)
        operation = IdentityOperation(self._env, layers, counters, method, url, body, self._headers(tenant, backlog))
        counters.started()
        with self._env.tracing.span("identity.call", tenant=tenant, region=region) as span:
            if layers.guards is None:
                result = await retry(self._env, self._rng, layers.workflow, operation.sdk_layer(self._rng))
            else:
                guard = layers.guards.get(self._scope(layers, tenant)) or self._make_guard(layers, tenant)
                result = await GuardedOperation(operation, guard, self._rng).run()
            span.note(attempts=operation.attempts)
            if result.failure:
                span.fail(result.failure)
        result.attempts = operation.attempts
        counters.result["failed" if result.failure else "success"]()
        return result

    def _headers(self, tenant: str, backlog: bool) -> dict[str, str]:
        headers = {"Metadata": "true", TENANT_HEADER: tenant}
        if backlog:
            headers[BACKLOG_HEADER] = "1"
        return headers

    async def _shared(
        self,
        layers: _Layers,
        cache: SharedTokens[CallResult],
        tenant: str,
        region: str,
        what: tuple[str, str, URL],
        backlog: bool,
    ) -> CallResult:
        """A token from the cache or a shared fetch; only a fetch of its own is an identity operation."""
        client_id, resource, url = what
        counters = self._counters.get((tenant, region)) or self._make_counters(tenant, region)
        holder = client_id or f"{tenant}/{cache.machine()}"
        return await cache.get(
            f"{region} {holder} {resource}",
            lambda: self._operate(layers, tenant, region, "GET", url, None, backlog),
            counters.cached,
        )

    def reconfigure(self) -> None:
        """Applies the current settings. Invalid settings are reported and ignored."""
        for region, layers in sorted(self._layers.items()):
            try:
                settings = self._settings(region)
            except SettingsError as error:
                self._env.events.emit("setting_rejected", region=region, error=str(error))
                return
            if settings != layers.settings:
                self._layers[region] = self._build(settings, layers)

    def _settings(self, region: str) -> IdentityClientSettings:
        """The settings for calls to `region` by this instance; they can differ per instance (`instances.loadgen`)."""
        return resolve(IdentityClientSettings, self._env.live.tree, "identity_client", region, self._env.instance.name)

    def _make_layers(self, region: str) -> _Layers:
        layers = self._layers[region] = self._build(self._settings(region), None)
        return layers

    def _build(self, settings: IdentityClientSettings, before: _Layers | None) -> _Layers:
        layers = _Layers(settings, before)
        if settings.cache.active and layers.cache is None:
            clock = self._env.clock
            layers.cache = SharedTokens(
                settings.cache,
                now=clock.now,
                epoch=clock.epoch,
                rng=self._env.streams["identity_client.machines"],
                background=self._env.background,
                cached=CallResult.cached,
            )
        return layers

    @staticmethod
    def _scope(layers: _Layers, tenant: str) -> str:
        return tenant if layers.settings.guard.scope == "tenant" else ""

    def _make_guard(self, layers: _Layers, tenant: str) -> CallGuard:
        guards = layers.guards if layers.guards is not None else Recent[str, CallGuard](TENANTS_MAX)
        rng = self._env.streams["identity_client.throttle"]
        guard = guards[self._scope(layers, tenant)] = CallGuard(layers.settings.guard, rng)
        return guard

    def _make_counters(self, tenant: str, region: str) -> _Counters:
        counters = self._counters[tenant, region] = _Counters(self, tenant, region)
        return counters

    def _token_url(self, region: str, client_id: str, resource: str) -> URL:
        key = (region, client_id, resource)
        url = self._urls.get(key)
        if url is None:
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
