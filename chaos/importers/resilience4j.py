"""Resilience4j: the properties of one retry instance, bare or under `resilience4j.retry.instances`.

    maxAttempts (3) · waitDuration (500 ms) · enableExponentialBackoff · exponentialBackoffMultiplier (1.5)
    exponentialMaxWaitDuration · enableRandomizedWait · randomizedWaitFactor (0.5) · baseConfig, configs

With a random wait of factor f the wait is e * U(1 - f, 1 + f). Names in kebab-case are accepted.

Sources: https://resilience4j.readme.io/docs/retry; its CommonRetryConfigurationProperties and IntervalFunction.
"""

import re
from collections.abc import Mapping
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
    sdk_layer,
    single,
    whole,
)

PREDICATES = "which exceptions are retried is the program's; here every refusal and every timeout is"
REASONS = {
    "retryExceptions": PREDICATES,
    "ignoreExceptions": PREDICATES,
    "retryExceptionPredicate": PREDICATES,
    "resultPredicate": PREDICATES,
    "intervalBiFunction": "a function of the program cannot be read from a configuration",
    "intervalFunction": "a function of the program cannot be read from a configuration",
    "failAfterMaxAttempts": "what the program does after the last attempt is not modelled",
    "circuitbreaker": "only the retry is imported; a breaker here is identity_client.guard.breaker",
    "circuitBreaker": "only the retry is imported; a breaker here is identity_client.guard.breaker",
}
KEYS = {"maxAttempts", "maxRetryAttempts", "waitDuration", "enableExponentialBackoff", "enableRandomizedWait"}


def matches(values: Any) -> bool:
    return isinstance(values, dict) and bool(({"resilience4j", "resilience4j.retry"} | KEYS) & set(_camel(values)))


def read(values: Any) -> Understood:
    """The settings of the only retry instance.

    Raises:
        ImportRefused: there are several, or a field has no equivalent.
    """
    at, instance = _instance(_camel(values))
    fields = Fields(at, instance, REASONS)
    attempts = fields.take("maxAttempts", whole(1), 3)
    wait_s = fields.take("waitDuration", duration("ms"), 0.5)
    grows = fields.take("enableExponentialBackoff", flag, False)
    multiplier = fields.take("exponentialBackoffMultiplier", number(1, 100), 1.5)
    max_s = fields.take("exponentialMaxWaitDuration", duration("ms"), 3600.0)
    random_ = fields.take("enableRandomizedWait", flag, False)
    share = fields.take("randomizedWaitFactor", number(0, 0.999999), 0.5)
    fields.take("eventConsumerBufferSize", whole(0, 10**9), 0)
    fields.end()
    layer = {
        "attempts": attempts,
        "base_s": wait_s,
        "growth": "exponential" if grows else "constant",
        "multiplier": multiplier,
        "max_s": max_s if grows else 3600.0,
        "jitter": "spread" if random_ else "none",
        "share": share if random_ else 0.0,
    }
    return Understood("resilience4j", sdk_layer(layer))


def _instance(values: Mapping[str, Any]) -> tuple[str, Any]:
    """The path and the properties of the instance, with those of its base configuration."""
    nested = values.get("resilience4j", values)
    retry = nested.get("retry", nested) if "resilience4j" in values else nested.get("resilience4j.retry", nested)
    if not isinstance(retry, Mapping) or "instances" not in retry:
        return "", retry
    top = Fields("resilience4j.retry", retry, REASONS)
    configs, instances = top.take("configs", mapping, NO_ENTRIES), top.take("instances", mapping, NO_ENTRIES)
    top.end()
    name, given = single("resilience4j.retry.instances", instances)
    base = given.get("baseConfig", "default")
    if base != "default" and base not in configs:
        raise ImportRefused(f"resilience4j.retry.instances.{name}.baseConfig: no configs.{base}")
    own = {key: value for key, value in given.items() if key != "baseConfig"}
    return f"resilience4j.retry.instances.{name}", {**configs.get(base, {}), **own}


def _camel(values: Any) -> Any:
    """Keys in camelCase, as Spring binds them; `maxRetryAttempts` is the old name of `maxAttempts`."""
    if not isinstance(values, Mapping):
        return values
    named = {re.sub(r"-([a-z])", lambda found: found[1].upper(), str(key)): value for key, value in values.items()}
    return {"maxAttempts" if key == "maxRetryAttempts" else key: _camel(value) for key, value in named.items()}
