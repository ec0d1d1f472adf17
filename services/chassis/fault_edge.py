"""Applies fault rules to requests: delays, injected responses, resets, blackholes. Counts each effect."""

import asyncio
from functools import partial

from aiohttp import web

from services.chassis.env import Env
from services.chassis.errors import ErrorSpec, ServiceError
from services.chassis.faults import KINDS, FaultEffect, decide
from services.chassis.http import retry_after
from services.chassis.store import Keys
from services.parts.kind import PartError

CRASH_REASON = "injected_fault"
EFFECT_FLUSH_S = 0.25
LOOK_FOR_CALLER_S = 5.0
EFFECTS_KEPT_S = 90_000
"""How long a fault's effect count is kept after the last effect: longer than the longest lease, 24 h."""


class Suffering:
    """Applies fault rules to requests. A delayed or held request is released when its rule ends."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._rng = env.streams["faults"]
        self._effects = _EffectCounter(env)

    async def meet(self, request: web.Request) -> None:
        """Applies the rules in force to one request.

        Raises:
            ServiceError: the injected error.
            ConnectionResetError: after the connection was cut, or the instance has crashed.
            PartError: a user's fault crashes a service that has no crash of its own.
        """
        met: set[str] = set()
        while not await self._pass(request, self._decide(request, met), met):
            continue

    async def _pass(self, request: web.Request, effects: list[FaultEffect], met: set[str]) -> bool:
        """Applies effects; False if the rule of the last one ended during a delay, so that another rule may apply."""
        for effect in effects:
            if effect.delay_s:
                await effect.rule.hold(effect.delay_s, self._env.clock.epoch())
            if effect.ends and effect.rule.is_over(self._env.clock.epoch()):
                return False
            if effect.silent:
                await self._keep_silent(request, effect, met)
            if effect.crash:
                self._crash(effect)
            if effect.ends:
                _end(request, effect)
        return True

    def _decide(self, request: web.Request, met: set[str]) -> list[FaultEffect]:
        rules = [rule for rule in self._env.live.active_rules() if rule.id not in met]
        effects = decide(rules, request.path, self._env.clock.epoch(), self._rng, self._env.life.since_s)
        for effect in effects:
            self._effects.count(effect)
        met.update(effect.rule.id for effect in effects)
        return effects

    def _crash(self, effect: FaultEffect) -> None:
        crash = self._env.life.crash
        if crash is None:
            raise PartError(f"{effect.rule.kind}: crash: a {self._env.instance.service} has no crash of its own")
        crash(CRASH_REASON)

    async def _keep_silent(self, request: web.Request, effect: FaultEffect, met: set[str]) -> None:
        """Holds the request as long as any rule blackholes it: another rule may take over from the one that ends.

        A request whose caller has gone is not held: a lease can be as long as a day.
        """
        silent: FaultEffect | None = effect
        while silent is not None:
            await silent.rule.hold(LOOK_FOR_CALLER_S, self._env.clock.epoch())
            if request.transport is None or request.transport.is_closing():
                raise ConnectionResetError("the caller has gone")
            if silent.rule.is_over(self._env.clock.epoch()):
                silent = next((one for one in self._decide(request, met) if one.silent), None)


def _end(request: web.Request, effect: FaultEffect) -> None:
    if effect.silent or effect.reset or effect.crash:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("injected fault")
    spec = ErrorSpec(effect.code, effect.status, "Injected by fault {fault_id}.")
    raise ServiceError(spec, headers=retry_after(effect.retry_after_s), fault_id=effect.rule.id)


class _EffectCounter:
    """Counts fault effects: in a metric at once, and in the store a moment later for the controller."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._pending: dict[str, int] = {}
        self._flusher: asyncio.Task[None] | None = None
        self._metric = env.metrics.counter("fault_effects_total", "Requests that an injected fault changed.", ("kind",))
        for kind in KINDS:  # create the series at 0: `increase()` would miss the first effect
            self._metric.labels(kind)

    def count(self, effect: FaultEffect) -> None:
        self._metric.labels(effect.rule.kind).inc()
        self._pending[effect.rule.id] = self._pending.get(effect.rule.id, 0) + 1
        if self._flusher is None or self._flusher.done():
            self._flusher = self._env.background.finish(self._flush, "fault effects")

    async def _flush(self) -> None:
        while self._pending:
            await asyncio.sleep(EFFECT_FLUSH_S)
            for fault_id, count in list(self._pending.items()):
                key = Keys.fault_effects(fault_id)
                await self._env.stored.with_sound_keys(self._env.store, partial(self._add, key, count), {key: "hash"})
                self._pending[fault_id] -= count
            self._pending = {fault_id: count for fault_id, count in self._pending.items() if count}

    async def _add(self, key: str, count: int) -> None:
        async with self._env.store.pipeline(transaction=True) as pipe:
            pipe.hincrby(key, self._env.instance.name, count)
            pipe.expire(key, EFFECTS_KEPT_S)
            await pipe.execute()
