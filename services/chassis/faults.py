"""Fault rules as a service sees them: the effect, the matching requests, the expiry.

The controller writes each rule as a leased key. Services keep a copy and drop it when the lease ends by their own
clock, so a rule ends on time even when the controller or Redis is down.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from random import Random
from typing import Annotated, Any, Literal, NamedTuple, Protocol, get_args

from pydantic import Field, TypeAdapter, ValidationError

from services.chassis.stored import StoredShape
from services.parts.kind import PartError, PartKind
from services.parts.loading import build

LATENCY = "latency"
RuleKind = Literal["latency", "http_error", "fail_first", "throttle", "connection_reset", "blackhole"]
KINDS: tuple[str, ...] = get_args(RuleKind)
REQUIRED = {"latency": "delay_s", "http_error": "status", "fail_first": "count", "throttle": "rate_per_s"}
"""The required parameter of each kind."""


DELAY_MAX_S = 3600.0
OWN_CODE = "InjectedFault"


class SeenRequest(NamedTuple):
    """A request that a user's fault may change."""

    path: str
    now_s: float
    """Unix time."""
    expires_at: float
    """When the fault ends by itself; Unix time."""
    effects: int
    """How many requests of this instance the fault has changed."""
    since_s: float
    """Since when the instance serves: its start, or its last restart after a crash of its own; Unix time."""


@dataclass(frozen=True, slots=True)
class OwnEffect:
    """What a user's fault does to a request; without a status, reset, silence or crash it only delays."""

    delay_s: Annotated[float, Field(ge=0, le=DELAY_MAX_S)] = 0.0
    status: Annotated[int, Field(ge=400, le=599)] | None = None
    """Answers with this error status in place of the service."""
    retry_after_s: Annotated[float, Field(gt=0)] | None = None
    """The Retry-After of that answer."""
    reset: bool = False
    """Cuts the connection."""
    silent: bool = False
    """Holds the request until the fault ends."""
    crash: bool = False
    """Crashes the instance, which restarts as after any crash of its own. Only identity nodes can."""


class OwnFault(Protocol):
    """A fault that services apply to their own requests. Its constructor gets the fault's parameters.

    Each process of a service has one instance for each active fault of the kind. Target, probability and lease are
    checked before it is asked.
    """

    def effect(self, request: SeenRequest, rng: Random) -> OwnEffect | None:
        """The effect on a request; None leaves it alone. `rng` is the only source of chance."""


FAULT = PartKind("fault", OwnFault)


@dataclass(frozen=True, slots=True)
class RuleTarget:
    """The requests that a rule applies to; an empty field matches everything."""

    service: str = ""
    region: str = ""
    instance: str = ""
    account: str = ""

    def matches_instance(self, service: str, region: str, instance: str) -> bool:
        return self.service in ("", service) and self.region in ("", region) and self.instance in ("", instance)


@dataclass(slots=True)
class FaultRule:
    """One active service-level fault. `expires_at` is in epoch seconds; `effects` counts the requests it changed."""

    id: str
    kind: str
    target: RuleTarget
    parameters: dict[str, Any]
    probability: float
    expires_at: float
    effects: int = 0
    state: dict[str, float] = field(default_factory=dict)
    own: OwnFault | None = field(default=None, repr=False, compare=False)
    """The user's fault, if the kind is one."""
    over: asyncio.Event = field(default_factory=asyncio.Event, repr=False, compare=False)
    """Set when the rule was ended before its lease; held requests wait for it."""

    async def hold(self, longest_s: float, now_epoch_s: float) -> None:
        """Waits `longest_s`, or until the rule ends if that is earlier."""
        try:
            async with asyncio.timeout(max(0.0, min(longest_s, self.expires_at - now_epoch_s))):
                await self.over.wait()
        except TimeoutError:
            return

    def is_over(self, now_epoch_s: float) -> bool:
        return self.over.is_set() or now_epoch_s >= self.expires_at

    def applies(self, path: str, now_epoch_s: float, rng: Random) -> bool:
        if now_epoch_s >= self.expires_at:
            return False
        if self.target.account and path.split("/", 2)[1:2] != [self.target.account]:  # `OPTIONS *` has no segments
            return False
        return self.probability >= 1.0 or rng.random() < self.probability

    @classmethod
    def from_json(cls, raw: bytes | str) -> "FaultRule":
        """Parses a stored rule.

        Raises:
            ValueError: names the invalid field. A rule that cannot be applied would fail every request.
        """
        found = _RULE.read(raw)
        if found.kind not in KINDS:
            own: OwnFault = build(FAULT, found.kind, found.parameters)
            return cls(**_shared(found), own=own)
        _PARAMETERS.check(found.parameters)
        required = REQUIRED.get(found.kind)
        if required is not None and required not in found.parameters:
            raise ValueError(f"parameters.{required}: missing for {found.kind}")
        return cls(**_shared(found))


@dataclass(frozen=True, slots=True)
class _StoredRule:
    """The part of a stored fault that a service uses."""

    id: str
    kind: str
    """A `RuleKind`, or a user's fault."""
    expires_at: float
    target: RuleTarget = RuleTarget()
    parameters: dict[str, Any] = field(default_factory=dict)
    probability: Annotated[float, Field(ge=0, le=1)] = 1.0


def _shared(stored: _StoredRule) -> dict[str, Any]:
    names = ("id", "kind", "target", "parameters", "probability", "expires_at")
    return {name: getattr(stored, name) for name in names}


@dataclass(frozen=True, slots=True)
class _Parameters:
    """The type and bounds of each parameter, for all kinds."""

    delay_s: Annotated[float, Field(ge=0)] = 0.0
    status: Annotated[int, Field(ge=400, le=599)] = 503
    code: str = ""
    retry_after_s: Annotated[float, Field(gt=0)] | None = None
    count: Annotated[int, Field(ge=0)] = 0
    rate_per_s: Annotated[float, Field(ge=0)] = 1.0


_RULE: StoredShape[_StoredRule] = StoredShape(_StoredRule)
_PARAMETERS: StoredShape[_Parameters] = StoredShape(_Parameters)
_OWN_EFFECT: TypeAdapter[OwnEffect] = TypeAdapter(OwnEffect)


@dataclass(frozen=True, slots=True)
class FaultEffect:
    """The effect of one rule on one request: a delay; or a response, a reset or a blackhole in place of the handler."""

    rule: FaultRule
    delay_s: float = 0.0
    status: int = 0
    code: str = ""
    retry_after_s: float | None = None
    reset: bool = False
    silent: bool = False
    crash: bool = False

    @property
    def ends(self) -> bool:
        """Whether the effect replaces the handler."""
        return bool(self.status or self.reset or self.silent or self.crash)


def decide(
    rules: Iterable[FaultRule], path: str, now_epoch_s: float, rng: Random, since_s: float = 0.0
) -> list[FaultEffect]:
    """The effects on one request: all delays, then the effect of the first rule that ends the request.

    `since_s` is when the instance began to serve.
    Later ending rules are not evaluated: their counters count only requests that reach them.
    """
    delays: list[FaultEffect] = []
    last: list[FaultEffect] = []
    for rule in rules:
        if (last and rule.kind != LATENCY) or not rule.applies(path, now_epoch_s, rng):
            continue
        if rule.own is None:
            effect = _effect(rule, now_epoch_s)
        else:
            seen = SeenRequest(path, now_epoch_s, rule.expires_at, rule.effects, since_s)
            effect = _own_effect(rule, rule.own, seen, rng)
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


def _own_effect(rule: FaultRule, own: OwnFault, seen: SeenRequest, rng: Random) -> FaultEffect | None:
    """Asks a user's fault. Raises PartError if the effect is none that a fault may have."""
    made = own.effect(seen, rng)
    if made is None:
        return None
    valid_effect(rule.kind, made)
    status, code = (made.status, OWN_CODE) if made.status is not None else (0, "")
    return FaultEffect(rule, made.delay_s, status, code, made.retry_after_s, made.reset, made.silent, made.crash)


def valid_effect(name: str, made: OwnEffect) -> None:
    """Checks the effect of the user's fault `name`.

    Raises:
        PartError: a field is out of its bounds.
    """
    try:
        _OWN_EFFECT.validate_python(asdict(made))
    except (ValidationError, TypeError) as error:
        raise PartError(f"{name}: no valid effect: {made!r}") from error


def _throttle(rule: FaultRule, now_epoch_s: float) -> FaultEffect | None:
    """A token bucket with `rate_per_s` and one second of burst, at least one request; refused requests get 429."""
    rate = float(rule.parameters["rate_per_s"])
    burst = max(rate, 1.0) if rate else 0.0
    since_s = now_epoch_s - rule.state.get("at", now_epoch_s)
    tokens = min(burst, rule.state.get("tokens", burst) + since_s * rate)
    rule.state["at"] = now_epoch_s
    admitted = tokens >= 1.0
    rule.state["tokens"] = tokens - 1.0 if admitted else tokens
    if admitted:
        return None
    wait_s = (1.0 - rule.state["tokens"]) / rate if rate else None
    return FaultEffect(rule, status=429, code="TooManyRequests", retry_after_s=wait_s)
