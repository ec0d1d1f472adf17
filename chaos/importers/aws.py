"""AWS SDKs: `retry_mode` and `max_attempts` of the shared configuration file, or an environment file (`NAME=value`).

    retry_mode / AWS_RETRY_MODE       standard: 3 attempts, U(0, 1) * 2**(n-1) s, at most 20 s, a quota of 500 tokens
                                      legacy: botocore's 5 attempts, U(0, 1) * 2**(n-1) s, no quota
    max_attempts / AWS_MAX_ATTEMPTS   attempts, the first included

Sources: https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html;
https://docs.aws.amazon.com/boto3/latest/guide/retries.html; botocore 1.43.11, retries/standard.py and retryhandler.py.
"""

from typing import Any

from chaos.importers.reading import Fields, ImportRefused, Understood, one_of, renamed, sdk_layer, whole

ATTEMPTS = {"standard": 3, "legacy": 5}
KEYS = {"retry_mode", "max_attempts"}
REASONS = {
    "AWS_NEW_RETRIES_2026": "its changed backoff is not modelled (its quota is: guard.budget.kind aws_2026)",
    "mode": "is that of botocore's Config; in the configuration file it is retry_mode",
}
ADAPTIVE = "adaptive's limit of the client's sending rate is not modelled; standard is the same without it"
ELSEWHERE = frozenset({"region", "default_region", "output", "default_output", "profile"})
NAMES = {f"{prefix}{name}": name for prefix in ("", "aws_") for name in (*KEYS, *ELSEWHERE)}


def matches(values: Any) -> bool:
    return isinstance(values, dict) and bool(KEYS & {_plain(str(name)) for name in values})


def read(values: Any) -> Understood:
    """The settings of a retry mode.

    Raises:
        ImportRefused: the mode is adaptive, or a field is unknown.
    """
    named = renamed(values, _plain)
    fields = Fields("", {name: value for name, value in named.items() if name not in ELSEWHERE}, REASONS)
    mode = fields.take("retry_mode", one_of("standard", "legacy", "adaptive"), "legacy")
    if mode == "adaptive":
        raise ImportRefused(f"retry_mode: {ADAPTIVE}")
    attempts = fields.take("max_attempts", whole(1), ATTEMPTS[mode])
    fields.end()
    layer = {"attempts": attempts, "base_s": 1.0, "growth": "exponential", "jitter": "full"}
    if mode == "legacy":
        return Understood("aws", sdk_layer(layer), ("legacy is botocore's; other SDKs have their own",))
    return Understood("aws", sdk_layer({**layer, "max_s": 20.0}, guard={"budget": {"kind": "aws"}}))


def _plain(name: str) -> str:
    """The name in the configuration file."""
    return NAMES.get(name.lower(), name)
