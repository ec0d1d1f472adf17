"""A storage resource provider per region, as small as the policy job needs it: list and switch, each switch logged."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from chaos.remediation.accounts import ACCOUNTS_PATH, StorageAccounts
from chaos.remediation.rollout import RolloutRegion
from chaos.remediation.settings import RemediationSettings
from chaos.remediation.workflow import RemediationWorkflow
from compose.virtual.world import EPOCH_S, VirtualWorld
from services.chassis.background import Background
from services.chassis.clock import Clock
from services.chassis.env import Peers
from services.chassis.events import Events
from services.chassis.http import HttpClient
from services.chassis.metrics import Metrics
from services.chassis.streams import Streams
from services.clients.identity.client import SUBSCRIPTION

REGIONS = (
    RolloutRegion("westus", "West US"),
    RolloutRegion("centraluseuap", "Central US EUAP", canary=True),
    RolloutRegion("eastus", "East US"),
)
EXEMPT = ("vmextarc", "vmextlinux", "vmextmi", "vmextwin")
PLATFORM = ("msdiag", "mslogs")


@dataclass
class Provider:
    """The accounts of all regions. `flips` has one line a change: (time, account, public, actor)."""

    clock: Clock
    patch_s: float = 0.0
    accounts: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    flips: list[tuple[float, str, bool, str]] = field(default_factory=list)
    refuse: set[str] = field(default_factory=set)
    deaf: set[str] = field(default_factory=set)
    busy: int = 0
    busy_max: int = 0

    def add(self, region: str) -> None:
        group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{region}/providers/Microsoft.Storage/storageAccounts"
        self.accounts[region] = {
            f"{family}{region}": {
                "id": f"{group}/{family}{region}",
                "name": f"{family}{region}",
                "location": region,
                "tags": {"aftershock-exempt": "true" if family in EXEMPT else "false"},
                "properties": {"allowBlobPublicAccess": True},
            }
            for family in (*EXEMPT, *PLATFORM)
        }

    def app(self, region: str) -> web.Application:
        async def listing(_request: web.Request) -> web.Response:
            if region in self.deaf:
                return web.json_response({}, status=503)
            return web.json_response({"value": list(self.accounts[region].values())})

        async def patch(request: web.Request) -> web.Response:
            name = request.match_info["name"]
            actor = request.headers["x-ms-correlation-request-id"]
            public = (await request.json())["properties"]["allowBlobPublicAccess"]
            self.busy += 1
            self.busy_max = max(self.busy_max, self.busy)
            await asyncio.sleep(self.patch_s)
            self.busy -= 1
            if name in self.refuse:
                return web.json_response({}, status=409)
            account = self.accounts[region][name]
            account["properties"]["allowBlobPublicAccess"] = public
            self.flips.append((self.clock.now(), name, public, actor))
            return web.json_response(account)

        app = web.Application()
        app.router.add_get(ACCOUNTS_PATH, listing)
        app.router.add_patch(
            "/subscriptions/{s}/resourceGroups/{group}/providers/Microsoft.Storage/storageAccounts/{name}", patch
        )
        return app

    def private(self) -> list[str]:
        """Names of the accounts that are switched off, sorted."""
        rows = [row for accounts in self.accounts.values() for row in accounts.values()]
        return sorted(row["name"] for row in rows if not row["properties"]["allowBlobPublicAccess"])

    def switch(self, name: str, public: bool) -> None:
        """What an operator does, without going through HTTP."""
        for accounts in self.accounts.values():
            if name in accounts:
                accounts[name]["properties"]["allowBlobPublicAccess"] = public


@dataclass
class Env:
    http: HttpClient
    clock: Clock
    events: Events
    metrics: Metrics
    streams: Streams
    peers: Peers
    background: Background


class Quiet:
    """A health service that knows nothing."""

    def failure_ratio(self, region: str, start_t: float, end_t: float) -> tuple[float, int] | None:
        return None


class Truthful:
    """A health service with ten tries a second in each region; those of a region with a private host all fail."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider

    def failure_ratio(self, region: str, start_t: float, end_t: float) -> tuple[float, int] | None:
        if region not in self._provider.accounts:
            return None
        off = f"vmextmi{region}" in self._provider.private()
        return (1.0 if off else 0.0), int((end_t - start_t) * 10)


class Bench:
    """The job, the providers of three regions, and everything that was said."""

    def __init__(self, world: VirtualWorld, regions: Sequence[RolloutRegion] = REGIONS) -> None:
        self.world = world
        self.regions = tuple(regions)
        self.lines: list[dict[str, Any]] = []
        clock = Clock(world.loop.time, EPOCH_S)
        events = Events(self.lines.append, clock, "controller")
        self.env = Env(
            HttpClient(world.session("controller")),
            clock,
            events,
            Metrics(),
            Streams(7, "controller"),
            Peers(),
            Background(clock, events.emit),
        )
        self.provider = Provider(clock)

    async def serve(self) -> None:
        for region in self.regions:
            self.provider.add(region.name)
            await self.world.serve(self.provider.app(region.name), f"blobstore-{region.name}", 8080)

    def workflow(self, signals: Any = None, **settings: Any) -> RemediationWorkflow:
        return RemediationWorkflow(
            self.env,
            RemediationSettings.model_validate(settings),
            regions=self.regions,
            signals=signals or Quiet(),
            origin_epoch_s=EPOCH_S,
        )

    @staticmethod
    def workflow_settings(**settings: Any) -> RemediationSettings:
        return RemediationSettings.model_validate(settings)

    def storage(self) -> StorageAccounts:
        return StorageAccounts(self.env.http, self.env.peers)

    def now(self) -> float:
        return self.env.clock.now()

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The events of one kind, with τ instead of the epoch."""
        return [
            {**{k: v for k, v in line.items() if k not in ("at", "source", "kind")}, "t": line["at"] - EPOCH_S}
            for line in self.lines
            if line["kind"] == kind
        ]

    def counts(self, name: str) -> dict[tuple[str, ...], float]:
        """The counter's rows that are not 0."""
        rows = {tuple(v for _, v in labels): value for n, labels, value in self.env.metrics.samples() if n == name}
        return {labels: value for labels, value in rows.items() if value}


def flipped(provider: Provider) -> list[tuple[float, str, bool]]:
    return [(t, name, public) for t, name, public, _who in provider.flips]
