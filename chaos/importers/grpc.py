"""gRPC: a service config with `methodConfig[].retryPolicy` and `retryThrottling`.

    maxAttempts (2 to 5) · initialBackoff · maxBackoff · backoffMultiplier · retryableStatusCodes
    retryThrottling.maxTokens · retryThrottling.tokenRatio
    methodConfig[].timeout is the deadline of the whole call, and all that an attempt is given

The wait before retry n is min(initialBackoff * backoffMultiplier**(n-1), maxBackoff) * U(0.8, 1.2); clients make at
most five attempts. Codes are names in any case, or numbers.

Source: https://github.com/grpc/proposal, A6 (client retries).
"""

from typing import Any

from chaos.importers.reading import (
    NO_ITEMS,
    Fields,
    ImportRefused,
    Understood,
    duration,
    flag,
    listing,
    no_retries,
    number,
    sdk_layer,
    text,
    whole,
)
from services.chassis.settings import Tree

ATTEMPTS_MAX = 5
CODES = {
    "UNAVAILABLE": ("connection", "502", "503"),
    "DEADLINE_EXCEEDED": ("timeout",),
    "RESOURCE_EXHAUSTED": ("429",),
    "INTERNAL": ("500",),
    "UNKNOWN": ("500",),
}
NUMBERS = {2: "UNKNOWN", 4: "DEADLINE_EXCEEDED", 8: "RESOURCE_EXHAUSTED", 13: "INTERNAL", 14: "UNAVAILABLE"}
REASONS = {
    "hedgingPolicy": "hedging is not modelled",
    "maxRequestMessageBytes": "message sizes are not modelled",
    "maxResponseMessageBytes": "message sizes are not modelled",
    "healthCheckConfig": "health checks by the client are not modelled",
    "loadBalancingPolicy": "the router balances; the client does not",
    "loadBalancingConfig": "the router balances; the client does not",
    "retryPolicy": "belongs in an entry of methodConfig",
}


def matches(values: Any) -> bool:
    return isinstance(values, dict) and bool({"methodConfig", "retryThrottling", "retryPolicy"} & set(values))


def read(values: Any) -> Understood:
    """The settings of a service config with one retry policy.

    Raises:
        ImportRefused: a field has no equivalent, or the methods have different policies.
    """
    top = Fields("", values, REASONS)
    methods = top.take("methodConfig", listing, NO_ITEMS)
    throttling = top.below("retryThrottling")
    top.end()
    more: Tree = {"guard": {"budget": _throttling(throttling)}} if throttling is not None else {}
    if len(methods) > 1:
        raise ImportRefused(f"methodConfig: has {len(methods)} entries; keep the one to try")
    layer, own = _method(Fields("methodConfig.0", methods[0], REASONS)) if methods else (None, {})
    more.update(own)
    remarks = ("UNAVAILABLE is 502, 503 or no connection; RESOURCE_EXHAUSTED 429; INTERNAL and UNKNOWN 500",)
    return Understood("grpc", no_retries(**more) if layer is None else sdk_layer(layer, **more), remarks)


def _method(method: Fields) -> tuple[Tree | None, Tree]:
    """The retry layer of a method, and what else its callers get."""
    method.take("name", listing, NO_ITEMS)
    method.take("waitForReady", flag, False)
    deadline_s = method.take("timeout", duration(), 0.0)
    policy = method.below("retryPolicy")
    method.end()
    more: Tree = {"timeout_s": deadline_s} if deadline_s else {}
    if policy is None:
        return None, more
    attempts = policy.take("maxAttempts", whole(2, 10**6), 0)
    base_s = policy.take("initialBackoff", duration(), 0.0)
    max_s = policy.take("maxBackoff", duration(), 0.0)
    multiplier = policy.take("backoffMultiplier", number(1e-3, 1000), 0.0)
    failures = policy.take("retryableStatusCodes", _failures, "")
    policy.end()
    required = {
        "maxAttempts": attempts,
        "initialBackoff": base_s,
        "maxBackoff": max_s,
        "backoffMultiplier": multiplier,
        "retryableStatusCodes": failures,
    }
    for name, value in required.items():
        if not value:
            raise ImportRefused(f"{policy.path(name)}: is required")
    layer = {
        "attempts": min(attempts, ATTEMPTS_MAX),
        "base_s": base_s,
        "max_s": max_s,
        "growth": "exponential",
        "multiplier": multiplier,
        "jitter": "spread",
        "share": 0.2,
        "retry_on": failures,
        "stop_after_s": deadline_s or None,
    }
    return layer, more


def _failures(codes: Any) -> str:
    found: list[str] = []
    for code in listing(codes):
        name = NUMBERS.get(code, "") if isinstance(code, int) else text(code).upper()
        if name not in CODES:
            raise ValueError(f"{code} has no equivalent here; known: {', '.join(CODES)}")
        found += CODES[name]
    return ",".join(dict.fromkeys(found))


def _throttling(throttling: Fields) -> Tree:
    tokens = throttling.take("maxTokens", number(1e-3, 1000), 0.0)
    ratio = throttling.take("tokenRatio", number(1e-3, 1000), 0.0)
    throttling.end()
    if not tokens or not ratio:
        raise ImportRefused(f"{throttling.at}: needs maxTokens and tokenRatio")
    return {
        "part": "services.policies.retry_budget:GrpcThrottle",
        "options": {"max_tokens": tokens, "token_ratio": ratio},
    }
