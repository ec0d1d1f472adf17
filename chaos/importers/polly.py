"""Polly 8: the properties of `RetryStrategyOptions`, as JSON or YAML.

    MaxRetryAttempts (3) · Delay (2 s) · BackoffType (Constant, Linear, Exponential) · UseJitter (false) · MaxDelay

With jitter, constant and linear waits are spread by ± 25 %. An exponential wait with jitter follows Polly's own
decorrelated formula, which is not among ours: it is refused.

Sources: https://www.pollydocs.org/strategies/retry.html; https://pollydocs.org/api/Polly.Retry.RetryStrategyOptions-1.html.
"""

from collections.abc import Mapping
from typing import Any

from chaos.importers.reading import Fields, ImportRefused, Understood, duration, flag, one_of, sdk_layer, whole

WRAPPERS = ("Polly", "Retry", "RetryStrategyOptions")
DELEGATE = "a delegate of the program cannot be read from a configuration"
REASONS = {"ShouldHandle": DELEGATE, "DelayGenerator": DELEGATE, "OnRetry": DELEGATE, "Randomizer": DELEGATE}
KEYS = {"MaxRetryAttempts", "BackoffType", "UseJitter", "MaxDelay"}
DECORRELATED = "Polly's decorrelated jitter of exponential waits is not modelled"
JITTER_SHARE = 0.25
GROWTH = {"Constant": "constant", "Linear": "linear", "Exponential": "exponential"}


def matches(values: Any) -> bool:
    return isinstance(values, dict) and bool(({*WRAPPERS} | KEYS) & set(values))


def read(values: Any) -> Understood:
    """The settings of the options.

    Raises:
        ImportRefused: a field has no equivalent.
    """
    at: list[str] = []
    while isinstance(values, Mapping) and len(values) == 1 and (name := next(iter(values))) in WRAPPERS:
        at.append(name)
        values = values[name]
    fields = Fields(".".join(at), values, REASONS)
    fields.take("Name", str, "")
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
        "jitter": "spread" if jitter else "none",
        "share": JITTER_SHARE if jitter else 0.0,
    }
    return Understood("polly", sdk_layer(layer))
