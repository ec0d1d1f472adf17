"""Retry configurations of other libraries as ours: what is understood, to the wait; what is refused, by its name."""

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from chaos.importers.known import IMPORTERS, understand, values_in
from chaos.importers.reading import ImportRefused
from services.clients.identity.client import IdentityClientSettings
from services.parts.loading import build
from services.policies.retry import RETRY, FailedAttempt


class Drawn(Random):
    """Every draw is at this place of its range: 0 the low end, 1 the high one."""

    def __new__(cls, place: float) -> "Drawn":
        return super().__new__(cls)

    def __init__(self, place: float) -> None:
        super().__init__(0)
        self._place = place

    def random(self) -> float:
        return self._place


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


def waits(client: dict[str, Any], failure: str = "timeout", status: int = 0, place: float = 0.5) -> list[float]:
    part = build(RETRY, client["sdk"]["part"], client["sdk"]["options"])
    found: list[float] = []
    for number in range(1, 20):
        wait_s = part.wait_s(FailedAttempt(number, 0.0, 0.0, failure, status, None), Drawn(place))
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


def decorated(arguments: str) -> str:
    return f"@retry({arguments})\ndef call(): ..."


def spring(properties: str) -> str:
    return f"resilience4j.retry: {{instances: {{a: {{{properties}}}}}}}"


SAID_OTHERWISE: list[tuple[str, str, float, list[float]]] = [
    # file, text, place of the draws, waits after timeouts
    ("a.yaml", "{retryOn: gateway-error, numRetries: '2', retryBackOff: {baseInterval: 1s}}", 1, [1, 3]),
    ("a.env", "# ours\nexport AWS_RETRY_MODE=standard\nAWS_MAX_ATTEMPTS='4'\n", 1, [1, 2, 4]),
    ("config", "[profile ours]\nAWS_RETRY_MODE = legacy\n", 1, [1, 2, 4, 8]),
    ("a.properties", "resilience4j.retry.instances.back-end.max-attempts=2\n", 1, [0.5]),
    (
        "a.yaml",
        "resilience4j: {retry: {configs: {our-own: {max-attempts: 3}, default: {wait-duration: 1s}}, "
        "instances: {back-end: {base-config: our-own}}}}",
        1,
        [1, 1],
    ),
    (
        "a.yaml",
        spring(
            "maxAttempts: 4, waitDuration: 1s, enableExponentialBackoff: 'true', exponentialBackoffMultiplier: 2, "
            "exponentialMaxWaitDuration: 4s, enableRandomizedWait: true, randomizedWaitFactor: 0.5"
        ),
        1,
        [1.5, 3, 4],  # the maximum also limits the random part
    ),
    ("a.yaml", spring("enableExponentialBackoff: true"), 1, [0.5, 0.5]),  # without effect: no waitDuration
    (
        "a.yaml",
        spring("waitDuration: 1s, enableExponentialBackoff: true, exponentialMaxWaitDuration: 1s"),
        1,
        [1, 1.5],  # without effect: no multiplier
    ),
    (
        "a.json",
        '{"BackoffType": "Constant", "delay": "00:00:04", "UseJitter": "True", "maxDelay": "00:00:04"}',
        1,
        [4] * 3,
    ),
    (
        "a.py",
        decorated("stop=stop_after_attempt(3) | stop_after_attempt(5), wait=wait_random(1, 3) + wait_fixed(2)"),
        1,
        [5, 5],
    ),
    ("a.py", decorated("stop=stop_after_attempt(4), wait=wait_exponential_jitter(max=3, jitter=2)"), 1, [3, 3, 3]),
    ("a.py", decorated("stop=stop_after_attempt(2), wait=wait_none() + wait_random(1, 3)"), 0, [1]),
]


@pytest.mark.parametrize(("name", "text", "place", "expected"), SAID_OTHERWISE)
def test_other_notations_and_limits_are_those_of_the_library(
    name: str, text: str, place: float, expected: list[float], tmp_path: Path
) -> None:
    _, client = settings_of(tmp_path, name, text)

    assert waits(client, place=place) == expected


WORDS = {"reset": "timeout connection", "connect-failure": "connection", "5xx": "timeout connection 500 503"}
WORDS |= {"gateway-error": "timeout connection 503", "retriable-status-codes": "429"}


@pytest.mark.parametrize("word", WORDS)
def test_envoys_words_name_the_failures_that_they_do_in_envoy(word: str, tmp_path: Path) -> None:
    """A per-try timeout resets the stream, and any reset counts as a gateway error."""
    _, client = settings_of(tmp_path, "a.yaml", f"retry_policy: {{retry_on: {word}, retriable_status_codes: ['429']}}")
    failures = {"timeout": ("timeout", 0), "connection": ("error", 0)}
    failures |= {status: ("error", int(status)) for status in ("429", "500", "503")}

    assert [name for name, one in failures.items() if waits(client, *one)] == sorted(
        WORDS[word].split(), key=list(failures).index
    )


def test_a_grpc_deadline_limits_every_attempt_and_codes_have_three_forms(tmp_path: Path) -> None:
    method: dict[str, Any] = {"timeout": "0.5s"}
    _, alone = settings_of(tmp_path, "a.json", json.dumps({"methodConfig": [method]}))
    policy = {**GRPC["methodConfig"][0]["retryPolicy"], "retryableStatusCodes": ["unavailable", 8]}  # type: ignore[index]
    _, client = settings_of(tmp_path, "a.json", json.dumps({"methodConfig": [{**method, "retryPolicy": policy}]}))

    assert alone["timeout_s"] == client["timeout_s"] == 0.5
    assert (len(waits(client, "shed", 503)), len(waits(client, "throttled", 429)), waits(client)) == (4, 4, [])


HOSTILE: tuple[Any, ...] = (
    None,
    True,
    -1,
    2.5,
    10**9,
    "",
    "x",
    "1e999",
    "²",
    [],
    [None],
    {},
    {"value": None},
    {"x": {"y": 1}},
)


def altered(values: Any) -> Iterator[Any]:
    """The values with one of them, at any depth, replaced by a hostile one."""
    yield from HOSTILE
    items = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    for key, value in items:
        for other in altered(value):
            copy = values.copy()
            copy[key] = other
            yield copy


@pytest.mark.parametrize("library", list(IMPORTERS))
def test_a_value_of_any_shape_is_understood_or_refused(library: str) -> None:
    """And what is understood can be built: no run ends in the middle because of it."""
    name = next(name for name, one in UNDERSTOOD.items() if one[0] == library)
    refused = understood = 0
    for values in altered(values_in(UNDERSTOOD[name][1], name)):
        try:
            client = IMPORTERS[library].read(values).settings["identity_client"]
        except ImportRefused:
            refused += 1
        else:
            IdentityClientSettings.model_validate(client).sdk.build()
            understood += 1

    assert refused > 20
    assert understood


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
        ("a.py", f"@retry(stop={'-' * 3000}1)\ndef f(): ...", "nested too deep"),
        ("a.py", "x = 1", "has 0 calls of retry(…); one is needed"),
        pytest.param("a.yaml", f"retries: {'[' * 3000}{']' * 3000}", "neither YAML, JSON nor INI", id="nested"),
        ("a.json", '{"Retry": {}, "CircuitBreaker": {}}', "CircuitBreaker: only the retry is imported"),
        ("a.json", '{"MaxRetryAttempts": 3, "Delay": 2}', "Delay: should be a duration with its unit"),
        ("a.yaml", "retry_policy: {retry_on: 5xx, per_try_timeout: 500}", "per_try_timeout: should be a duration with"),
        (
            "a.yaml",
            "retry_policy: {retry_on: 5xx, num_retries: 500}",
            "retry_policy.num_retries: should be from 0 to 100",
        ),
        (
            "a.yaml",
            "retry_policy: {retry_on: 5xx, num_retries: 100}",
            "attempts should be a whole number from 1 to 100",
        ),
        (
            "a.yaml",
            "resilience4j.circuitbreaker: {}\nresilience4j.retry: {}",
            "resilience4j.circuitbreaker: only the retry",
        ),
        ("a.yaml", "retry_mode: standard\nAWS_RETRY_MODE: legacy", "AWS_RETRY_MODE: retry_mode: given twice"),
        ("a.json", '{"retryThrottling": {}, "retryPolicy": {}}', "could be of envoy or grpc; --as says which"),
        ("config", "[a]\nretry_mode = 50%(x)s\n", "retry_mode: should be one of"),
        ("a.py", decorated("stop=stop_after_attempt()"), "stop_after_attempt needs max_attempt_number"),
        ("a.py", decorated("stop=stop_after_attempt(2.5)"), "stop_after_attempt(2.5) is no whole number"),
        ("a.py", decorated("stop=stop_after_attempt(1e999)"), "is no number from 0 up"),
        ("a.py", decorated("stop=stop_after_attempt(0)"), "attempts should be a whole number from 1 to 100"),
        (
            "a.py",
            decorated("stop=stop_after_attempt(3), wait=wait_fixed(3) + wait_exponential()"),
            "wait_fixed(3) + wait_exponential(): only the sum of a wait and one wait_random",
        ),
        (
            "a.py",
            decorated("stop=stop_after_attempt(3), wait=wait_random() + wait_random()"),
            "only the sum of a wait and",
        ),
        ("a.py", decorated("stop=stop_after_attempt(3), wait=stop_after_delay(3)"), "wait: stop_after_delay is not"),
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
