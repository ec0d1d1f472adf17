"""Polly 8: the properties of `RetryStrategyOptions`, as JSON or YAML.

    MaxRetryAttempts (3) · Delay (2 s) · BackoffType (Constant, Linear, Exponential) · UseJitter (false) · MaxDelay

With jitter, constant and linear waits are spread by ± 25 %, and MaxDelay also limits those. An exponential wait with
jitter follows Polly's own decorrelated formula, which is not among ours: it is refused. Names in any case are accepted,
as .NET binds them; a bare number is no TimeSpan here (as text, `2` would be two days).

Sources: https://www.pollydocs.org/strategies/retry.html; https://pollydocs.org/api/Polly.Retry.RetryStrategyOptions-1.html.
"""

from typing import Any

from chaos.importers.reading import (
    Fields,
    ImportRefused,
    Understood,
    duration,
    flag,
    one_of,
    renamed,
    sdk_layer,
    text,
    whole,
)

WRAPPERS = ("Polly", "Retry", "RetryStrategyOptions")
DELEGATE = "a delegate of the program cannot be read from a configuration"
OTHER = "only the retry is imported; keep it alone"
DELEGATES = ("ShouldHandle", "DelayGenerator", "OnRetry", "Randomizer")
OTHERS = ("CircuitBreaker", "Timeout", "RateLimiter", "Hedging", "AttemptTimeout", "TotalRequestTimeout")
REASONS = {**dict.fromkeys(DELEGATES, DELEGATE), **dict.fromkeys(OTHERS, OTHER)}
KEYS = ("MaxRetryAttempts", "BackoffType", "UseJitter", "MaxDelay")
NAMES = {name.lower(): name for name in (*WRAPPERS, *KEYS, *REASONS, "Name", "Delay")}
DECORRELATED = "Polly's decorrelated jitter of exponential waits is not modelled"
JITTER_SHARE = 0.25
GROWTH = {"Constant": "constant", "Linear": "linear", "Exponential": "exponential"}


def matches(values: Any) -> bool:
    return isinstance(values, dict) and bool({*WRAPPERS, *KEYS} & {_named(str(name)) for name in values})


def read(values: Any) -> Understood:
    """The settings of the options.

    Raises:
        ImportRefused: a field has no equivalent.
    """
    fields = _options(Fields("", renamed(values, _named), REASONS))
    fields.take("Name", text, "")
    retries = fields.take("MaxRetryAttempts", whole(1), 3)
    delay_s = fields.take("Delay", duration(), 2.0)
    growth = fields.take("BackoffType", one_of(*GROWTH), "Constant")
    jitter = fields.take("UseJitter", flag, False)
    max_s = fields.take("MaxDelay", duration(), 3600.0)
    fields.end()
    if jitter and growth == "Exponential":
        raise ImportRefused(f"{fields.path('UseJitter')}: {DECORRELATED}")
    layer = {
        "attempts": retries + 1,
        "base_s": delay_s,
        "growth": GROWTH[growth],
        "max_s": max_s,
        "max_last": True,
        "jitter": "spread" if jitter else "none",
        "share": JITTER_SHARE if jitter else 0.0,
    }
    return Understood("polly", sdk_layer(layer))


def _options(fields: Fields) -> Fields:
    """The options of the retry, with nothing beside them."""
    for name in WRAPPERS:
        if name in fields.given:
            inner = fields.below(name)
            fields.end()
            if inner is None:
                raise ImportRefused(f"{fields.path(name)}: should be a mapping")
            return _options(inner)
    return fields


def _named(name: str) -> str:
    return NAMES.get(name.lower(), name)
