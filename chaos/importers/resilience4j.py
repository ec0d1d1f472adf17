"""Resilience4j: the properties of one retry instance, bare or under `resilience4j.retry.instances`.

    maxAttempts (3) · waitDuration (500 ms) · enableExponentialBackoff · exponentialBackoffMultiplier (1.5)
    exponentialMaxWaitDuration · enableRandomizedWait · randomizedWaitFactor (0.5) · baseConfig, configs

With a random wait of factor f the wait is e * U(1 - f, 1 + f), and exponentialMaxWaitDuration also limits that. As in
Spring, names may be in kebab-case and their parts joined by points; the names of instances stay as they are.

Resilience4j ignores some fields without others; they are ignored here too, with a remark: backoff and random wait
without waitDuration, the maximum without multiplier, the maximum or the factor of both without all others.

Sources: https://resilience4j.readme.io/docs/retry; its CommonRetryConfigurationProperties and IntervalFunction (2.x).
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from chaos.importers.reading import (
    NO_ENTRIES,
    Fields,
    ImportRefused,
    Understood,
    duration,
    flag,
    mapping,
    number,
    renamed,
    sdk_layer,
    single,
    text,
    whole,
)
from services.chassis.settings import given_twice

PREDICATES = "which exceptions are retried is the program's; here every refusal and every timeout is"
REASONS = {
    "retryExceptions": PREDICATES,
    "ignoreExceptions": PREDICATES,
    "retryExceptionPredicate": PREDICATES,
    "resultPredicate": PREDICATES,
    "intervalBiFunction": "a function of the program cannot be read from a configuration",
    "intervalFunction": "a function of the program cannot be read from a configuration",
    "failAfterMaxAttempts": "what the program does after the last attempt is not modelled",
    "consumeResultBeforeRetryAttempt": PREDICATES,
}
BREAKER = "only the retry is imported; a breaker here is identity_client.guard.breaker"
OTHER = "only the retry is imported; keep it alone"
MODULES = {
    "circuitbreaker": BREAKER,
    "circuit-breaker": BREAKER,
    **dict.fromkeys(("bulkhead", "thread-pool-bulkhead", "ratelimiter", "timelimiter", "micrometer"), OTHER),
}
TOP = "resilience4j"
DEFAULT = "default"
FOREVER_S = 3600.0
OLD = {"maxRetryAttempts": "maxAttempts"}
KEYS = {"maxAttempts", "maxRetryAttempts", "waitDuration", "enableExponentialBackoff", "enableRandomizedWait"}


def matches(values: Any) -> bool:
    if not isinstance(values, dict):
        return False
    return any(str(key).partition(".")[0] == TOP or _camel(str(key)) in KEYS for key in values)


def read(values: Any) -> Understood:
    """The settings of the only retry instance.

    Raises:
        ImportRefused: there are several, or a field has no equivalent.
    """
    at, instance = _instance(_nested(Fields("", values).left))
    fields = Fields(at, instance, REASONS)
    attempts = fields.take("maxAttempts", whole(1), 3)
    layer, remarks = _waits(fields)
    fields.take("eventConsumerBufferSize", whole(0, 10**9), 0)
    fields.end()
    return Understood("resilience4j", sdk_layer({"attempts": attempts, **layer}), remarks)


def _waits(fields: Fields) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The waits of an instance, and what it says without effect."""
    given = frozenset(fields.given)
    wait_s = fields.take("waitDuration", duration("ms"), 0.5)
    grows = fields.take("enableExponentialBackoff", flag, False)
    multiplier = fields.take("exponentialBackoffMultiplier", number(1, 100), 1.5)
    max_s = fields.take("exponentialMaxWaitDuration", duration("ms"), FOREVER_S)
    random_ = fields.take("enableRandomizedWait", flag, False)
    share = fields.take("randomizedWaitFactor", number(0, 1), 0.5)
    ignored = set(_ignored(given, grows=grows, random=random_))
    if {"enableExponentialBackoff", "enableRandomizedWait"} & ignored:
        grows = random_ = False
    layer = {
        "base_s": wait_s,
        "growth": "exponential" if grows else "constant",
        "multiplier": multiplier,
        "max_s": max_s if grows and "exponentialMaxWaitDuration" not in ignored else FOREVER_S,
        "max_last": True,
        "jitter": "spread" if random_ else "none",
        "share": (0.5 if "randomizedWaitFactor" in ignored else share) if random_ else 0.0,
    }
    return layer, tuple(f"{name} without effect, as Resilience4j reads it" for name in sorted(ignored))


def _ignored(given: frozenset[str], *, grows: bool, random: bool) -> Iterator[str]:
    """The fields that have no effect, because another one is missing."""
    if "waitDuration" not in given:
        yield from (name for name, on in (("enableExponentialBackoff", grows), ("enableRandomizedWait", random)) if on)
        return
    needed = {"exponentialBackoffMultiplier", "randomizedWaitFactor"} if random else {"exponentialBackoffMultiplier"}
    if grows and "exponentialMaxWaitDuration" in given and not needed <= given:
        yield "exponentialMaxWaitDuration"
    if grows and random and "randomizedWaitFactor" in given and "exponentialBackoffMultiplier" not in given:
        yield "randomizedWaitFactor"


def _instance(values: Mapping[str, Any]) -> tuple[str, Any]:
    """The path and the properties of the instance, with those of its base configuration."""
    if TOP not in values:
        return "", _properties(values, "")
    modules = Fields(TOP, values[TOP], MODULES)
    retry = modules.below("retry", REASONS)
    modules.end()
    if retry is None:
        raise ImportRefused(f"{TOP}: has no retry")
    retry.take("retryAspectOrder", whole(0, 10**9), 0)
    configs = {
        name: _properties(one, f"{retry.at}.configs.{name}")
        for name, one in retry.take("configs", mapping, NO_ENTRIES).items()
    }
    name, own = single(f"{retry.at}.instances", retry.take("instances", mapping, NO_ENTRIES))
    retry.end()
    at = f"{retry.at}.instances.{name}"
    instance = Fields(at, {} if own is None else _properties(own, at))
    base = instance.take("baseConfig", text, DEFAULT)
    if base != DEFAULT and base not in configs:
        raise ImportRefused(f"{at}.baseConfig: no configs.{base}")
    return at, {**configs.get(DEFAULT, {}), **configs.get(base, {}), **instance.left}


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values with dotted names taken apart: `a.b: 1` is `a: {b: 1}`."""
    found: dict[str, Any] = {}
    for path, value in _leaves(values):
        *outer, last = path
        here = found
        for step in outer:
            here = here.setdefault(step, {})
            if not isinstance(here, dict):
                raise ImportRefused(f"{'.'.join(path)}: {step} is also a value")
        if last in here:
            raise ImportRefused(given_twice(".".join(path)))
        here[last] = value
    return found


def _leaves(values: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in values.items():
        steps = tuple(str(key).split("."))
        if isinstance(value, Mapping) and value:
            yield from (((*steps, *path), leaf) for path, leaf in _leaves(value))
        else:
            yield steps, value


def _properties(values: Any, at: str) -> dict[str, Any]:
    """The properties of an instance by their names in camelCase, the old name of `maxAttempts` replaced."""
    return renamed(values, _camel, at)


def _camel(name: str) -> str:
    camel = re.sub(r"-([a-z])", lambda found: found[1].upper(), name)
    return OLD.get(camel, camel)
