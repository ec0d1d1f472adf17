"""The drives of actions and journeys, in virtual time."""

import asyncio
import json
from collections.abc import Coroutine, Mapping, Sequence
from random import Random
from typing import Any, NoReturn

from chaos.check_part.drives import Make, Trace, Unbounded, require
from chaos.scenarios.signals import SIGNALS
from compose.virtual.world import EPOCH_S, VirtualWorld
from loadgen.metrics import LoadMetrics
from loadgen.settings import LoadgenSettings
from loadgen.site import JourneyOutcome, Site, Tools
from services.chassis.clock import Clock
from services.chassis.env import Env, Peers, make_env
from services.chassis.http import NO_HEADERS, TIMEOUT, HttpClient, HttpReply
from services.chassis.registry import Instance
from services.clients.arm import ASYNC_HEADER
from services.clients.identity.client import ManagedIdentityClient

DAY_S = 86_400.0
CALLS_MAX = 1000
JOURNEYS = 10
SETUP_MAX = 100
REPLY_S = 0.05
REGIONS = ("eastus", "westus")


class ScriptedDesk:
    """An `OperatorDesk` that records the calls and lets each take a moment."""

    def __init__(self, rng: Random, trace: Trace) -> None:
        self.regions = REGIONS
        self.rng = rng
        self.shared: dict[str, Any] = {}
        self._faults = 0
        self._trace = trace

    async def _done(self, *call: Any) -> None:
        self._trace.append((round(asyncio.get_running_loop().time(), 6), *call))
        if len(self._trace) > CALLS_MAX:
            await _never()
        await asyncio.sleep(REPLY_S)

    async def sleep(self, delay_s: float) -> None:
        await self._done("sleep", delay_s)
        await asyncio.sleep(delay_s)

    async def reading(self, signal: str, region: str, over_s: float) -> float | None:
        require(signal in SIGNALS, f"reads the unknown signal {signal!r}")
        await self._done("reading", signal, region, over_s)
        return self.rng.choice((None, 0.0, 0.5, 1.0))

    async def set_load(self, region: str, factor: float) -> None:
        await self._done("set_load", region, factor)

    async def scale_identity(self, region: str, count: int) -> None:
        await self._done("scale_identity", region, count)

    async def set_traffic(self, region: str, rule: Mapping[str, Any]) -> None:
        await self._done("set_traffic", region, dict(rule))

    async def restore_accounts(self, regions: Sequence[str], accounts: Sequence[str]) -> None:
        await self._done("restore_accounts", list(regions), list(accounts))

    async def disable_accounts(self, regions: Sequence[str], accounts: Sequence[str]) -> None:
        await self._done("disable_accounts", list(regions), list(accounts))

    async def inject_fault(
        self, kind: str, target: Mapping[str, str], parameters: Mapping[str, Any], lease_s: float
    ) -> str:
        await self._done("inject_fault", kind, dict(target), dict(parameters), lease_s)
        self._faults += 1
        return f"f{self._faults}"

    async def end_fault(self, fault: str) -> None:
        await self._done("end_fault", fault)

    async def settings(self, change: Mapping[str, Any]) -> None:
        await self._done("settings", dict(change))


async def _never() -> NoReturn:
    """For a part past its bound: the day of virtual time passes at once."""
    await asyncio.Event().wait()
    raise AssertionError


def action(make: Make, rng: Random) -> Trace:
    trace = Trace()

    async def perform() -> None:
        try:
            async with asyncio.timeout(DAY_S):
                await make().perform(ScriptedDesk(rng, trace))
        except TimeoutError as error:
            many = len(trace) > CALLS_MAX
            what = f"makes more than {CALLS_MAX} calls" if many else "does not end within a day of bench time"
            raise Unbounded(what) from error

    VirtualWorld().run(perform())
    return trace


class ScriptedCloud(HttpClient):
    """Every service at once: works, refuses with 503, or is silent."""

    __slots__ = ("calls", "mood", "now_epoch_s")

    def __init__(self) -> None:
        self.mood = "works"
        self.calls = 0
        self.now_epoch_s = EPOCH_S

    async def call(self, method: str, url: Any, *, timeout_s: float, **_options: Any) -> HttpReply:
        self.calls += 1
        if self.calls > CALLS_MAX * JOURNEYS:
            await _never()
        await asyncio.sleep(timeout_s if self.mood == "silent" else REPLY_S)
        if self.mood == "silent":
            return HttpReply(0, NO_HEADERS, b"", TIMEOUT)
        return HttpReply(503, NO_HEADERS, b"{}") if self.mood == "refuses" else _granted(method, str(url))

    async def close(self) -> None:
        """Nothing is open."""


def _granted(method: str, url: str) -> HttpReply:
    if "/operations/" in url:
        return _reply(200, {"status": "Succeeded"})
    if "oauth2/token" in url:
        return _reply(200, {"access_token": "token", "expires_on": str(EPOCH_S + DAY_S)})
    if "userAssignedIdentities" in url:
        return _reply(200, {"properties": {"clientId": "client"}})
    headers = {ASYNC_HEADER: "http://provisioner/operations/1"} if method != "GET" else {}
    return _reply(201, {"properties": {"provisioningState": "Succeeded"}}, headers)


def _reply(status: int, body: Any, headers: Mapping[str, str] = NO_HEADERS) -> HttpReply:
    return HttpReply(status, headers, json.dumps(body).encode())


def journey(make: Make, rng: Random) -> Trace:
    world, trace, seed = VirtualWorld(), Trace(), rng.randrange(1000)

    async def travel() -> None:
        cloud = ScriptedCloud()
        env = _env(world, cloud, seed)
        tools = Tools(env, LoadgenSettings(), ManagedIdentityClient(env), LoadMetrics(env.metrics), _close)
        site = Site(tools, "mine", REGIONS[0], run="check")
        one = make(site)
        setup = one.setup()
        require(len(setup) <= SETUP_MAX, f"sets up {len(setup)} resources; at most {SETUP_MAX}")
        for mood in ("works", "refuses", "silent"):
            cloud.mood, cloud.calls = mood, 0
            await _all(one, site, trace, mood, [step() for step in setup] if mood == "works" else [])

    world.run(travel())
    return trace


async def _all(one: Any, site: Site, trace: Trace, mood: str, setup: list[Coroutine[Any, Any, Any]]) -> None:
    now = site.tools.now
    started = [coroutine for number in range(JOURNEYS) if (coroutine := one.start(now + number)) is not None]
    drawn = site.rng.getstate()
    results = asyncio.gather(*started, *setup)
    try:
        async with asyncio.timeout(DAY_S):
            found = await results
    except TimeoutError as error:
        raise Unbounded(f"does not end within a day, or calls for ever, when the cloud {mood}") from error
    require(site.rng.getstate() == drawn, "draws random numbers after its start")
    for outcome in found[: len(started)]:
        require(isinstance(outcome, JourneyOutcome), f"ends with {outcome!r}; should be a JourneyOutcome")
        require(outcome.result in ("success", "failed", "abandoned"), f"the result is {outcome.result!r}")
        trace.append((mood, *outcome[:3], round(site.tools.now - now, 6)))


def _close(coroutine: Coroutine[Any, Any, Any]) -> None:
    coroutine.close()


def _env(world: VirtualWorld, cloud: HttpClient, seed: int) -> Env:
    return make_env(
        Instance("loadgen", "", "loadgen", "http://loadgen:8080"),
        seed=seed,
        clock=Clock(world.loop.time, EPOCH_S),
        http=cloud,
        store=world.redis.client(),
        sink=lambda _line: None,
        tree={},
        peers=Peers(),
    )
