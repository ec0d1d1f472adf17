"""Fault rules as a service sees them: what to do to which requests, until when.

The controller writes each rule as a leased key; services keep a copy and drop it when the lease is over by their own
clock, so a rule ends on time even when the controller, or Redis, is gone.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from services.chassis.stored import Shape

LATENCY = "latency"
Kind = Literal["latency", "http_error", "fail_first", "throttle", "connection_reset", "blackhole"]
KINDS: tuple[str, ...] = get_args(Kind)
REQUIRED = {"latency": "delay_s", "http_error": "status", "fail_first": "count", "throttle": "rate_per_s"}
"""The parameter without which a kind says nothing."""


@dataclass(frozen=True, slots=True)
class RuleTarget:
    """Which requests a rule meets; an empty field matches everything."""

    service: str = ""
    region: str = ""
    instance: str = ""
    account: str = ""

    def matches_instance(self, service: str, region: str, instance: str) -> bool:
        return self.service in ("", service) and self.region in ("", region) and self.instance in ("", instance)


@dataclass(slots=True)
class FaultRule:
    """One active service-level fault. `expires_at` is epoch seconds; `effects` counts requests it changed."""

    id: str
    kind: str
    target: RuleTarget
    parameters: dict[str, Any]
    probability: float
    expires_at: float
    effects: int = 0
    state: dict[str, float] = field(default_factory=dict)
    over: asyncio.Event = field(default_factory=asyncio.Event, repr=False, compare=False)
    """Set when it was ended before its lease; whom it holds waits for this."""

    async def hold(self, longest_s: float, now_epoch_s: float) -> None:
        """Waits so long, but not longer than the rule is in force."""
        try:
            async with asyncio.timeout(max(0.0, min(longest_s, self.expires_at - now_epoch_s))):
                await self.over.wait()
        except TimeoutError:
            return

    def applies(self, path: str, now_epoch_s: float, rng: Random) -> bool:
        if now_epoch_s >= self.expires_at:
            return False
        if self.target.account and path.split("/", 2)[1] != self.target.account:
            return False
        return self.probability >= 1.0 or rng.random() < self.probability

    @classmethod
    def from_json(cls, raw: bytes | str) -> "FaultRule":
        """
        Raises:
            ValueError: naming the field that is wrong: a rule that cannot be carried out would fail every request.
        """
        found = _RULE.read(raw)
        _PARAMETERS.check(found.parameters)
        required = REQUIRED.get(found.kind)
        if required is not None and required not in found.parameters:
            raise ValueError(f"parameters.{required}: missing for {found.kind}")
        return cls(found.id, found.kind, found.target, found.parameters, found.probability, found.expires_at)


@dataclass(frozen=True, slots=True)
class _StoredRule:
    """The part of a stored fault that a service obeys."""

    id: str
    kind: Kind
    expires_at: float
    target: RuleTarget = RuleTarget()
    parameters: dict[str, Any] = field(default_factory=dict)
    probability: Annotated[float, Field(ge=0, le=1)] = 1.0


@dataclass(frozen=True, slots=True)
class _Parameters:
    """What a parameter must be, whatever kind it belongs to."""

    delay_s: Annotated[float, Field(ge=0)] = 0.0
    status: Annotated[int, Field(ge=400, le=599)] = 503
    code: str = ""
    retry_after_s: Annotated[float, Field(gt=0)] | None = None
    count: Annotated[int, Field(ge=0)] = 0
    rate_per_s: Annotated[float, Field(ge=0)] = 1.0


_RULE: Shape[_StoredRule] = Shape(_StoredRule)
_PARAMETERS: Shape[_Parameters] = Shape(_Parameters)


@dataclass(frozen=True, slots=True)
class FaultEffect:
    """What one request suffers of one rule: a delay, or an answer, a reset, or silence instead of being handled."""

    rule: FaultRule
    delay_s: float = 0.0
    status: int = 0
    code: str = ""
    retry_after_s: float | None = None
    reset: bool = False
    silent: bool = False

    @property
    def ends(self) -> bool:
        """Whether the request is not handled."""
        return bool(self.status or self.reset or self.silent)


def decide(rules: Iterable[FaultRule], path: str, now_epoch_s: float, rng: Random) -> list[FaultEffect]:
    """The effects on one request: all delays, then what the oldest rule that ends requests does to it.

    A rule that another one forestalls is not asked: its counters are for requests that it meets.
    """
    delays: list[FaultEffect] = []
    last: list[FaultEffect] = []
    for rule in rules:
        if (last and rule.kind != LATENCY) or not rule.applies(path, now_epoch_s, rng):
            continue
        effect = _effect(rule, now_epoch_s)
        if effect is not None:
            rule.effects += 1
            (last if effect.ends else delays).append(effect)
    return [*delays, *last]


def _effect(rule: FaultRule, now_epoch_s: float) -> FaultEffect | None:
    parameters = rule.parameters
    match rule.kind:
        case kind if kind == LATENCY:
            return FaultEffect(rule, delay_s=float(parameters["delay_s"]))
        case "http_error":
            code, retry_after_s = parameters.get("code", "InjectedFault"), parameters.get("retry_after_s")
            return FaultEffect(rule, status=int(parameters["status"]), code=code, retry_after_s=retry_after_s)
        case "fail_first":
            if rule.effects >= int(parameters["count"]):
                return None
            return FaultEffect(rule, status=int(parameters.get("status", 503)), code="InjectedFault")
        case "throttle":
            return _throttle(rule, now_epoch_s)
        case "connection_reset":
            return FaultEffect(rule, reset=True)
        case "blackhole":
            return FaultEffect(rule, silent=True)
    return None


def _throttle(rule: FaultRule, now_epoch_s: float) -> FaultEffect | None:
    """A one-second token bucket of `rate_per_s`; what it refuses gets 429."""
    rate = float(rule.parameters["rate_per_s"])
    last = rule.state.get("at", now_epoch_s - 1.0)
    tokens = min(rate, rule.state.get("tokens", rate) + (now_epoch_s - last) * rate)
    rule.state["at"] = now_epoch_s
    admitted = tokens >= 1.0
    rule.state["tokens"] = tokens - 1.0 if admitted else tokens
    if admitted:
        return None
    return FaultEffect(rule, status=429, code="TooManyRequests", retry_after_s=1.0)
