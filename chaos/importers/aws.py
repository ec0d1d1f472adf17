"""AWS SDKs: `retry_mode` and `max_attempts` of the shared configuration file, or their environment variables.

    retry_mode / AWS_RETRY_MODE       standard: 3 attempts, U(0, 1) * 2**(n-1) s, at most 20 s, a quota of 500 tokens
                                      legacy: botocore's 5 attempts, U(0, 1) * 2**(n-1) s, no quota
    max_attempts / AWS_MAX_ATTEMPTS   attempts, the first included

Sources: https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html;
https://docs.aws.amazon.com/boto3/latest/guide/retries.html; botocore 1.43.11, retries/standard.py and retryhandler.py.
"""

from typing import Any

from chaos.importers.reading import Fields, ImportRefused, Understood, one_of, sdk_layer, whole

ATTEMPTS = {"standard": 3, "legacy": 5}
NAMES = {"AWS_RETRY_MODE": "retry_mode", "AWS_MAX_ATTEMPTS": "max_attempts"}
REASONS = {"AWS_NEW_RETRIES_2026": "its changed backoff is not modelled (its quota is: guard.budget.kind aws_2026)"}
ADAPTIVE = "adaptive's limit of the client's sending rate is not modelled; standard is the same without it"
IN_FILE = frozenset({"region", "output"})


def matches(values: Any) -> bool:
    return isinstance(values, dict) and any(name in values for name in (*NAMES, *NAMES.values()))


def read(values: Any) -> Understood:
    """The settings of a retry mode.

    Raises:
        ImportRefused: the mode is adaptive, or a field is unknown.
    """
    named = {NAMES.get(name, name): value for name, value in values.items() if name not in IN_FILE}
    fields = Fields("", named, REASONS)
    mode = fields.take("retry_mode", one_of("standard", "legacy", "adaptive"), "legacy")
    if mode == "adaptive":
        raise ImportRefused(f"retry_mode: {ADAPTIVE}")
    attempts = fields.take("max_attempts", whole(1), ATTEMPTS[mode])
    fields.end()
    layer = {"attempts": attempts, "base_s": 1.0, "growth": "exponential", "jitter": "full"}
    if mode == "legacy":
        return Understood("aws", sdk_layer(layer), ("legacy is botocore's; other SDKs have their own",))
    return Understood("aws", sdk_layer({**layer, "max_s": 20.0}, guard={"budget": {"kind": "aws"}}))
