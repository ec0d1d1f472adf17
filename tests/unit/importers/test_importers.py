"""Retry configurations of other libraries as ours: what is understood, to the wait; what is refused, by its name."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from chaos.importers.known import understand
from chaos.importers.reading import ImportRefused
from services.clients.identity.client import IdentityClientSettings
from services.parts.loading import build
from services.policies.retry import RETRY, FailedAttempt


class Middle(Random):
    """Every draw is in the middle of its range."""

    def random(self) -> float:
        return 0.5


ENVOY = """
retry_policy:
  retry_on: "5xx,reset"
  num_retries: 3
  per_try_timeout: 0.5s
  retry_back_off: {base_interval: 0.1s, max_interval: 0.4s}
retry_budget: {budget_percent: {value: 25.0}, min_retry_concurrency: 2}
"""
GRPC = {
    "methodConfig": [
        {
            "name": [{"service": "identity"}],
            "retryPolicy": {
                "maxAttempts": 9,
                "initialBackoff": "0.1s",
                "maxBackoff": "0.3s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
    "retryThrottling": {"maxTokens": 20, "tokenRatio": 0.5},
}
AWS = "[default]\nregion = eastus\nretry_mode = standard\n"
RESILIENCE4J = """
resilience4j.retry:
  configs: {default: {maxAttempts: 4}}
  instances:
    identity: {wait-duration: 200ms, enableExponentialBackoff: true, exponentialBackoffMultiplier: 3}
"""
POLLY = {"Retry": {"MaxRetryAttempts": 2, "Delay": "00:00:01.5", "BackoffType": "Linear", "UseJitter": True}}
TENACITY = """
from tenacity import retry, stop_after_attempt, stop_after_delay, wait_exponential, wait_random

@retry(stop=stop_after_attempt(4) | stop_after_delay(30), wait=wait_exponential(multiplier=1, min=2, max=10)
       + wait_random(0, 2), reraise=True)
def call(): ...
"""
UNDERSTOOD: dict[str, tuple[str, str, list[float]]] = {
    "envoy.yaml": ("envoy", ENVOY, [0.05, 0.15, 0.2]),
    "service.json": ("grpc", json.dumps(GRPC), [0.1, 0.2, 0.3, 0.3]),
    "config": ("aws", AWS, [0.5, 1.0]),
    "application.yaml": ("resilience4j", RESILIENCE4J, [0.2, 0.6, 1.8]),
    "appsettings.json": ("polly", json.dumps(POLLY), [1.5, 3.0]),
    "calls.py": ("tenacity", TENACITY, [3.0, 3.0, 5.0]),
}
"""File → library, text, the waits of an operation that keeps timing out when every draw is in the middle."""


def settings_of(folder: Path, name: str, text: str) -> tuple[str, dict[str, Any]]:
    (folder / name).write_text(text)
    understood = understand(folder / name)
    client: dict[str, Any] = understood.settings["identity_client"]
    IdentityClientSettings.model_validate(client)
    return understood.library, client


def waits(client: dict[str, Any], failure: str = "timeout", status: int = 0) -> list[float]:
    part = build(RETRY, client["sdk"]["part"], client["sdk"]["options"])
    found: list[float] = []
    for number in range(1, 20):
        wait_s = part.wait_s(FailedAttempt(number, 0.0, 0.0, failure, status, None), Middle())
        if wait_s is None:
            return found
        found.append(round(wait_s, 9))
    raise AssertionError("never gives up")


@pytest.mark.parametrize("name", [name for name in UNDERSTOOD if name != "service.json"])
def test_a_configuration_waits_as_its_library_does(name: str, tmp_path: Path) -> None:
    library, text, expected = UNDERSTOOD[name]

    found, client = settings_of(tmp_path, name, text)

    assert found == library
    assert waits(client) == expected
    assert client["workflow"] == {"attempts": 1}


def test_grpc_retries_the_codes_it_names_at_most_five_times(tmp_path: Path) -> None:
    _, client = settings_of(tmp_path, "service.json", UNDERSTOOD["service.json"][1])

    assert waits(client, "shed", 503) == UNDERSTOOD["service.json"][2]
    assert waits(client, "timeout") == []
    assert client["guard"]["budget"] == {
        "part": "services.policies.retry_budget:GrpcThrottle",
        "options": {"max_tokens": 20.0, "token_ratio": 0.5},
    }


def test_envoys_timeout_and_budget_are_taken_too(tmp_path: Path) -> None:
    _, client = settings_of(tmp_path, "envoy.yaml", ENVOY)

    assert client["timeout_s"] == 0.5
    assert client["guard"]["budget"]["options"] == {"share": 0.25, "retries_min": 2}
    assert waits(client, "throttled", 429) == [], "429 is no 5xx"


def test_aws_standard_has_its_quota_and_legacy_none(tmp_path: Path) -> None:
    _, standard = settings_of(tmp_path, "config", AWS)
    _, legacy = settings_of(tmp_path, "legacy", "[default]\nretry_mode = legacy\nmax_attempts = 4\n")

    assert standard["guard"] == {"budget": {"kind": "aws"}}
    assert waits(legacy) == [0.5, 1.0, 2.0]
    assert "guard" not in legacy


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        (
            "a.yaml",
            "retry_policy: {retry_on: 5xx, retry_priority: {name: x}}",
            "retry_priority: other priorities",
        ),
        ("a.yaml", "retry_policy: {retry_on: '5xx,cancelled'}", "retry_policy.retry_on: 'cancelled' is not modelled"),
        ("a.yaml", "retry_policy: {num_retries: -1}", "retry_policy.num_retries: should be a whole number"),
        ("a.yaml", "retry_policy: {retry_on: 5xx, per_try_timeout: soon}", "per_try_timeout: should be a duration"),
        (
            "a.json",
            '{"methodConfig": [{"hedgingPolicy": {}}]}',
            "0.hedgingPolicy: hedging is not modelled",
        ),
        (
            "a.json",
            '{"methodConfig": [{"retryPolicy": {"maxAttempts": 3}}]}',
            "initialBackoff: is required",
        ),
        ("a.json", '{"retryThrottling": {"maxTokens": 1}}', "retryThrottling: needs maxTokens and tokenRatio"),
        ("config", "[a]\nretry_mode = adaptive\n", "retry_mode: adaptive's limit of the client's sending rate"),
        ("config", "[a]\nretry_mode = standard\n[b]\nretry_mode = legacy\n", "has the sections a, b; keep the one"),
        ("a.yaml", "maxAttempts: 3\nretryExceptions: [java.io.IOException]", "retryExceptions: which exceptions are"),
        ("a.yaml", "maxAttempts: 3\nwaitTime: 3", "waitTime: unknown field"),
        (
            "a.json",
            '{"Retry": {"BackoffType": "Exponential", "UseJitter": true}}',
            "UseJitter: Polly's decorrelated",
        ),
        (
            "a.json",
            '{"Retry": {"MaxRetryAttempts": 3, "DelayGenerator": 1}}',
            "DelayGenerator: a delegate of the",
        ),
        ("a.py", "@retry(wait=wait_fixed(1))\ndef f(): ...", "retry(stop=…): missing: tenacity retries for ever"),
        (
            "a.py",
            "@retry(stop=stop_after_attempt(N))\ndef f(): ...",
            "(max_attempt_number=N) is no number",
        ),
        ("a.py", "@retry(stop=stop_after_attempt(3), retry=x)\ndef f(): ...", "retry(retry=…): which exceptions are"),
        ("a.py", "x = 1", "has 0 calls of retry(…); one is needed"),
        pytest.param("a.yaml", f"retries: {'[' * 3000}{']' * 3000}", "neither YAML, JSON nor INI", id="nested"),
        ("a.yaml", "answer: 42", "is of none of envoy, grpc, aws, resilience4j, polly, tenacity"),
        ("a.yaml", "retry_mode: standard\nmaxAttempts: 3", "could be of aws or resilience4j; --as says which"),
    ],
)
def test_what_has_no_equivalent_is_refused_by_its_field(name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)

    with pytest.raises(ImportRefused) as caught:
        understand(tmp_path / name)

    assert message in str(caught.value)
    assert str(caught.value).startswith(name)


def test_a_python_file_is_never_run(tmp_path: Path) -> None:
    (tmp_path / "calls.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n" + TENACITY)

    understand(tmp_path / "calls.py")

    assert not (tmp_path / "ran").exists()
