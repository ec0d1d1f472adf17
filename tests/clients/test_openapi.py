"""schemathesis over each service's own OpenAPI document: no 5xx, and no answer that the document does not describe."""

from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings

from tests.clients.client_bench import TOKENS, Bench

REGION = "westus"
EXAMPLES = (2, pytest.param(8, marks=pytest.mark.long))
"""Requests for each operation."""
BOUNDED = settings(
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("examples", EXAMPLES)
@pytest.mark.parametrize("service", ["blobstore", "provisioner", "identity", "router", "controller"])
def test_a_service_answers_as_its_document_says(bench: Bench, service: str, examples: int) -> None:
    import schemathesis  # takes half a second: only the worker of these tests has to load it
    from schemathesis.core.result import Ok

    base = bench.controller if service == "controller" else bench.url(service, REGION)
    schema = schemathesis.openapi.from_url(f"{base}/openapi.json")
    schema.config.update(base_url=base)
    headers = _headers(bench, service)
    # The next test needs the node, and of a stream schemathesis would wait for the end: it has a test of its own.
    harmless = schema.exclude(operation_id=["crash", "watch_events"])
    operations = [result.ok() for result in harmless.get_all_operations() if isinstance(result, Ok)]
    assert len(operations) == len(list(harmless.get_all_operations())), "every operation can be read"
    statuses: set[int] = set()
    for operation in operations:
        statuses |= _exercise(operation, headers, examples)
        if service == "router":
            bench.traffic("open", REGION)
    assert 200 in statuses, "some requests pass authentication"


def test_the_stream_of_events_answers_as_the_document_says(bench: Bench) -> None:
    url, headers = f"{bench.controller}/v1/events", _headers(bench, "controller")
    described = requests.get(f"{bench.controller}/openapi.json", timeout=5).json()["paths"]["/v1/events"]["get"]
    bench.allow_anonymous("vmextlinuxeastus", True)
    with requests.get(url, headers=headers, stream=True, timeout=5) as answer:
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] in described["responses"]["200"]["content"]
        lines = answer.iter_lines()
        assert [next(lines).partition(b" ")[0] for _ in range(2)] == [b"event:", b"data:"], "what has happened before"
    refused = requests.get(url, timeout=5)
    assert refused.status_code == 401
    assert "401" in described["responses"]


def _exercise(operation: Any, headers: dict[str, str], examples: int) -> set[int]:
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi import checks

    conforms = [checks.status_code_conformance, checks.content_type_conformance, checks.response_schema_conformance]
    examined = [not_a_server_error, *conforms]
    statuses: set[int] = set()

    @settings(BOUNDED, max_examples=examples)
    @given(case=operation.as_strategy())
    def inner(case: Any) -> None:
        statuses.add(case.call_and_validate(checks=examined, headers=headers, timeout=10).status_code)

    inner()
    return statuses


def _headers(bench: Bench, service: str) -> dict[str, str]:
    """Valid credentials, so that generated requests pass authentication; on the controller they may only read."""
    if service == "controller":
        return {"Authorization": f"Bearer {TOKENS.read}"}
    if service != "blobstore":
        return bench.secret
    url = bench.url("router") + "/metadata/identity/oauth2/token?api-version=2018-02-01"
    params = {"resource": "https://management.azure.com"}
    answer = requests.get(url, params=params, headers={"Metadata": "true"}, timeout=5)
    return {"Authorization": f"Bearer {answer.json()['access_token']}", **bench.secret}
