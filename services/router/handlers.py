"""The request path of the router: choose a region, admit or shed, choose a node, forward, record the outcome."""

import asyncio
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from multidict import CIMultiDictProxy
from yarl import URL

from services.chassis.bodies import parse, read_bytes, read_json
from services.chassis.env import Env
from services.chassis.errors import ErrorSpec, ServiceError
from services.chassis.http import RETRY_AFTER, TIMEOUT, HttpReply, retry_after
from services.chassis.live import EVERYTHING, announce
from services.chassis.registry import Instance
from services.chassis.settings import SettingsError
from services.chassis.store import Keys
from services.chassis.tracing import Span
from services.policies import deadline
from services.policies.admission import AdmissionControl
from services.policies.failover import Failover, RegionHealth
from services.policies.outcome import AttemptOutcome
from services.router import errors
from services.router.metrics import RouterMetrics
from services.router.rotation import Rotation
from services.router.routes import TrafficChange
from services.router.settings import RouterSettings
from services.router.state import OPEN, TRAFFIC, RegionAdmission, Traffic

FORWARDED = ("Metadata", "X-IDENTITY-HEADER", "Content-Type", "x-tenant", "x-deadline", "x-attempt", "x-backlog")
RETURNED = ("Content-Type", RETRY_AFTER)
LEAST_TIMEOUT_S = 0.001


class Router:
    """The router of one region."""

    def __init__(self, env: Env, metrics: RouterMetrics) -> None:
        self._env = env
        self._metrics = metrics
        self._rng = env.streams["router"]
        self._epoch = env.clock.epoch
        self.home = env.region
        self.settings = env.settings(RouterSettings)
        self.regions = (self.home, self.settings.pair) if self.settings.pair else (self.home,)
        self.rotation = Rotation(env, self.regions, self.settings)
        self.failover = self._make_failover()
        self.admissions = {region: RegionAdmission(OPEN) for region in self.regions}
        env.stored.expect("string", *(Keys.traffic(region) for region in self.regions))
        self.admission = self._make_admission()

    async def start(self) -> None:
        await self.rotation.refresh()
        await self.reload("traffic")
        self._env.live.on_change(self.reload)

    async def reload(self, topic: str) -> None:
        """Applies changed settings and traffic rules."""
        if topic in ("traffic", EVERYTHING):
            await self._reload_traffic()
        try:
            fresh = self._env.settings(RouterSettings)
        except SettingsError as error:
            self._env.events.emit("setting_rejected", region=self.home, error=str(error))
            return
        if fresh != self.settings:
            before, self.settings = self.settings, fresh
            self._take_failover(before)
            self.rotation.reconfigure(fresh)
            if fresh.admission != before.admission:
                self.admission = self._make_admission()
            for admission in self.admissions.values():
                admission.reserve = fresh.ramp_reserve

    def _make_failover(self) -> Failover:
        return self.settings.failover.build(self.home, self.settings.pair or self.home)

    def _take_failover(self, before: RouterSettings) -> None:
        """Keeps the recorded outcomes of both regions, unless the window has changed; those of a part if unchanged."""
        fresh, old = self.settings.failover, before.failover
        if fresh == old:
            return
        if fresh.part or old.part:
            self.failover = self._make_failover()
            return
        self.failover.settings = fresh
        if (fresh.window_s, fresh.samples_min) != (old.window_s, old.samples_min):
            self.failover.health_home = RegionHealth(fresh.window_s, fresh.samples_min)
            self.failover.health_alternate = RegionHealth(fresh.window_s, fresh.samples_min)

    def _make_admission(self) -> dict[str, AdmissionControl] | None:
        built = {region: self.settings.admission.build() for region in self.regions}
        on = {region: one for region, one in built.items() if one is not None}
        return on or None

    async def _reload_traffic(self) -> None:
        for region in self.regions:
            raw = await self._env.store.get(Keys.traffic(region))
            traffic = self._env.stored.read(TRAFFIC, raw, Keys.traffic(region)) if raw is not None else OPEN
            if traffic is not None and traffic != self.admissions[region].traffic:
                self.admissions[region] = RegionAdmission(traffic, self.settings.ramp_reserve)

    async def forward(self, request: web.Request) -> web.Response:
        headers = request.headers
        with self._env.tracing.span("router.choose", home=self.home) as span:
            node = await self._choose(headers, span)
        body = await read_bytes(request) if request.body_exists else None
        began = self._env.clock.now()
        with self._env.tracing.request("router.forward"):
            reply = await self._env.http.call(
                request.method,
                URL(node.url + request.raw_path, encoded=True),
                timeout_s=self._timeout_s(headers),
                headers=_subset(headers, FORWARDED),
                data=body,
            )
        return self._pass_on(reply, node, began)

    async def _choose(self, headers: Mapping[str, str], span: Span) -> Instance:
        """The node for a request.

        Raises:
            ServiceError: the request is refused, or the region has no node.
        """
        await self._own_work()
        region = self._choose_region(headers)
        span.note(region=region, failover=region != self.home)
        self._let_in(region, headers)
        node = self.rotation.pick(region, self._rng, headers.get("x-tenant", ""))
        if node is None:
            self._metrics.shed(region, "no_node")
            self._learn(region, 503)
            raise self._refusal(errors.NO_NODE, region=region)
        span.note(node=node.name)
        return node

    def _let_in(self, region: str, headers: Mapping[str, str]) -> None:
        """Admits a request.

        Raises:
            ServiceError: refused by an operator's rule or by admission control.
        """
        admission, now = self.admissions[region], self._epoch()
        if not admission.is_open(now) and not admission.admit(now, is_backlog=headers.get("x-backlog") == "1"):
            self._metrics.shed(region, admission.traffic.mode)
            raise self._refusal(errors.SHED, region=region, mode=admission.traffic.mode)
        if self.admission is not None and self.admission[region].should_reject(now, self._rng):
            self._metrics.shed(region, "admission")
            raise self._refusal(errors.NOT_ADMITTED, region=region)

    def _timeout_s(self, headers: Mapping[str, str]) -> float:
        """Timeout for the node, in seconds: at most the time that the caller still waits."""
        own_s = self.settings.hop_timeout_s
        left_s = deadline.remaining_s(deadline.parse(headers.get(deadline.HEADER)), self._epoch())
        return own_s if left_s is None else min(own_s, max(left_s, LEAST_TIMEOUT_S))

    async def _own_work(self) -> None:
        mean = self.settings.service_time_s
        if mean:
            await asyncio.sleep(mean * (0.5 + 0.5 * self._rng.expovariate(1.0)))

    def _choose_region(self, headers: Mapping[str, str]) -> str:
        pair = self.settings.pair
        now = self._epoch()
        if pair is None or not self.admissions[pair].is_open(now) or not self.admissions[self.home].is_open(now):
            return self.home
        return self.failover.route(now, self._rng, is_retry=headers.get("x-attempt", "1") != "1")

    def _pass_on(self, reply: HttpReply, node: Instance, began: float) -> web.Response:
        region = node.region
        if reply.failure:
            if reply.failure != TIMEOUT:
                self.rotation.drop(node)
            spec = errors.NODE_TIMEOUT if reply.failure == TIMEOUT else errors.NODE_LOST
            self.rotation.on_outcome(node, self._learn(region, spec.status), began)
            raise self._refusal(spec, region=region)
        self.rotation.on_outcome(node, self._learn(region, reply.status), began)
        return web.Response(status=reply.status, body=reply.body, headers=_subset(reply.headers, RETURNED))

    def _learn(self, region: str, status: int) -> AttemptOutcome:
        outcome = AttemptOutcome.DROPPED if status >= 500 or status == 429 else AttemptOutcome.SUCCESS
        self.failover.on_outcome(region, outcome, self._epoch())
        if self.admission is not None:
            self.admission[region].on_outcome(outcome, self._epoch())
        self._metrics.routed(region, status)
        return outcome

    def _refusal(self, spec: ErrorSpec, region: str, mode: str = "") -> ServiceError:
        return ServiceError(spec, headers=retry_after(self.settings.retry_after_s), region=region, mode=mode)

    async def show_traffic(self, _request: web.Request) -> web.Response:
        now = self._epoch()
        rows: dict[str, Any] = {
            region: {
                "mode": admission.traffic.mode,
                "open": admission.is_open(now),
                "nodes": self.rotation.count(region),
            }
            for region, admission in self.admissions.items()
        }
        return web.json_response({"home": self.home, "regions": rows})

    async def change_traffic(self, request: web.Request) -> web.Response:
        """Operator call: open, drain or ramp the home region. All routers read the change from the store."""
        region = request.match_info["region"]
        if region != self.home:
            raise ServiceError(errors.UNKNOWN_REGION, region=region, known=self.home)
        try:
            change = parse(TrafficChange, await read_json(request), "traffic")
        except SettingsError as error:
            raise ServiceError(errors.INVALID_TRAFFIC, detail=str(error)) from error
        await self.rotation.refresh()
        capacity_per_s = self.rotation.count(region) * self.settings.node_rate_per_s
        traffic = Traffic(since_epoch_s=self._epoch(), capacity_per_s=capacity_per_s, **change.model_dump())
        await self._env.store.set(Keys.traffic(region), traffic.to_json())
        await announce(self._env.store, "traffic")
        self._env.events.emit("traffic_changed", region=region, mode=change.mode, capacity_per_s=capacity_per_s)
        return web.json_response({"region": region, "mode": change.mode, "capacity_per_s": capacity_per_s})


def _subset(headers: Mapping[str, str] | CIMultiDictProxy[str], names: tuple[str, ...]) -> dict[str, str]:
    return {name: headers[name] for name in names if name in headers}
