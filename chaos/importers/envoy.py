"""Envoy: a route's `retry_policy` and a cluster's `retry_budget`.

    num_retries (1) · retry_on · per_try_timeout · retriable_status_codes
    retry_back_off.base_interval (25 ms) · retry_back_off.max_interval (10 × base)
    rate_limited_retry_back_off, with Retry-After as its only header
    retry_budget.budget_percent (20 %) · retry_budget.min_retry_concurrency (3)

The wait before retry n is U(0, min(max, base * (2**n - 1))). Fields in lowerCamelCase are accepted, as in protobuf.

Sources: https://www.envoyproxy.io/docs, api-v3/config/route/v3/route_components.proto (RetryPolicy),
configuration/http/http_filters/router_filter (x-envoy-retry-on, the backoff), config/cluster/v3/circuit_breaker.proto.
"""

import re
from collections.abc import Mapping
from typing import Any

from chaos.importers.reading import (
    NO_ITEMS,
    Fields,
    ImportRefused,
    Understood,
    duration,
    listing,
    no_retries,
    number,
    one_of,
    renamed,
    sdk_layer,
    text,
    whole,
)
from services.chassis.settings import Tree

# A per-try timeout resets the stream. A reset counts as the 503 or 504 that it would become.
RETRY_ON = {
    "5xx": ("timeout", "connection", "5xx"),
    "gateway-error": ("timeout", "connection", "502", "503", "504"),
    "reset": ("timeout", "connection"),
    "connect-failure": ("connection",),
    "refused-stream": ("connection",),
    "reset-before-request": ("connection",),
}
REASONS = {
    "retry_priority": "other priorities than the router's own are not modelled",
    "retry_host_predicate": "the choice of another node is not modelled",
    "retry_options_predicates": "extensions are not modelled",
    "host_selection_retry_max_attempts": "the choice of another node is not modelled",
    "per_try_idle_timeout": "idle time within an attempt is not modelled",
    "retriable_headers": "response headers of the service are not part of the model",
    "retriable_request_headers": "request headers are not part of the model",
}
NONE: tuple[str, ...] = ()
RETRIABLE = range(500, 600)


def matches(values: Any) -> bool:
    keys = {_snake(str(key)) for key in values} if isinstance(values, dict) else set()
    return bool(keys & {"retry_policy", "retry_on", "num_retries", "retry_budget"})


def read(values: Any) -> Understood:
    """The settings of a retry policy, bare or under `retry_policy`.

    Raises:
        ImportRefused: a field has no equivalent; named in the message.
    """
    values = renamed(values, _snake)
    wrapped = {"retry_policy", "retry_budget"} & set(values)
    top = Fields("", values if wrapped else {"retry_policy": values}, REASONS)
    policy, budget = top.below("retry_policy"), top.below("retry_budget")
    top.end()
    guard = {"guard": {"budget": _budget(budget)}} if budget is not None else {}
    if policy is None:
        return Understood("envoy", no_retries(**guard), ("no retry_policy: one attempt",))
    return Understood("envoy", _policy(policy, guard), ("the route's own timeout is not part of a retry policy",))


def _policy(policy: Fields, guard: Tree) -> Tree:
    retries = policy.take("num_retries", whole(0), 1)
    timeout_s = policy.take("per_try_timeout", duration(), 0.0)
    statuses = policy.take("retriable_status_codes", _statuses, NONE)
    failures = policy.take("retry_on", lambda value: _failures(text(value), statuses), NONE)
    base_s, max_s = _back_off(policy.below("retry_back_off"))
    honour = _rate_limited(policy.below("rate_limited_retry_back_off"))
    policy.end()
    more = {**guard, **({"timeout_s": timeout_s} if timeout_s else {})}
    if not failures or not retries:
        return no_retries(**more)
    layer = {
        "attempts": retries + 1,
        "base_s": base_s,
        "max_s": max_s,
        "growth": "doubling",
        "jitter": "full",
        "retry_on": ",".join(dict.fromkeys(failures)),
        "honour_retry_after": honour,
    }
    return sdk_layer(layer, **more)


def _failures(words: str, statuses: tuple[str, ...]) -> tuple[str, ...]:
    found: list[str] = []
    for word in (word.strip() for word in words.split(",") if word.strip()):
        if word == "retriable-status-codes":
            found += statuses
        elif word.isdigit():
            found += _statuses([int(word)])
        elif word in RETRY_ON:
            found += RETRY_ON[word]
        else:
            raise ValueError(f"{word!r} is not modelled; known: {', '.join((*RETRY_ON, 'retriable-status-codes'))}")
    return tuple(found)


def _statuses(values: Any) -> tuple[str, ...]:
    statuses = tuple(whole(100, 599)(value) for value in listing(values))
    for status in statuses:
        if status not in RETRIABLE and status != 429:
            raise ValueError(f"{status} is never retried by the callers here; 429 and 5xx are")
    return tuple(map(str, statuses))


def _back_off(back_off: Fields | None) -> tuple[float, float]:
    if back_off is None:
        return 0.025, 0.25
    base_s = back_off.take("base_interval", duration(), 0.025)
    max_s = back_off.take("max_interval", duration(), 10 * base_s)
    back_off.end()
    if not 0 < base_s <= max_s:
        raise ImportRefused(f"{back_off.at}: base_interval should be above 0 and not above max_interval")
    return base_s, max_s


def _rate_limited(limited: Fields | None) -> bool:
    """Whether Retry-After is honoured: the only header that the services here send."""
    if limited is None:
        return False
    for header in limited.take("reset_headers", listing, NO_ITEMS):
        one = Fields(f"{limited.at}.reset_headers", header)
        name = one.take("name", text, "")
        one.take("format", one_of("SECONDS", "UNIX_TIMESTAMP"), "SECONDS")
        one.end()
        if name.lower() != "retry-after":
            raise ImportRefused(f"{one.at}: the services here send no {name}")
    limited.take("max_interval", duration(), 300.0)
    limited.end()
    return True


def _budget(budget: Fields) -> Tree:
    percent = budget.take("budget_percent", _percent, 20.0)
    least = budget.take("min_retry_concurrency", whole(0), 3)
    budget.end()
    return {
        "part": "services.policies.retry_budget:EnvoyBudget",
        "options": {"share": percent / 100, "retries_min": least},
    }


def _percent(value: Any) -> float:
    if not isinstance(value, Mapping):
        return number(0, 100)(value)
    percent = Fields("", value)
    found = percent.take("value", number(0, 100), 0.0)
    percent.end()
    return found


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
