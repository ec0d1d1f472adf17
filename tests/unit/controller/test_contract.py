"""The controller's OpenAPI document: valid, complete, and what programs need of it."""

import re
from typing import Any

import pytest
from openapi_spec_validator import validate

from chaos.controller.app import create_controller
from tests.api_contract import operations
from tests.unit.controller.controller_desk import CONTROLLER, TOKENS, Desk


@pytest.fixture
async def document(desk: Desk) -> dict[str, Any]:
    found: dict[str, Any] = (await desk.http.call("GET", f"{CONTROLLER}/openapi.json", timeout_s=5.0)).json()
    return found


async def test_the_document_is_valid(document: dict[str, Any]) -> None:
    validate(document)


async def test_it_lists_what_is_served_and_nothing_else(desk: Desk, document: dict[str, Any]) -> None:
    app = create_controller(desk.testbed, TOKENS)
    served = {(route.method, route.resource.canonical) for route in app.router.routes() if route.resource}
    described = {(method, _served(path)) for method, path, _ in operations(document)}
    assert described == served


def _served(path: str) -> str:
    """How aiohttp shows a path of the resource manager: its words are patterns there."""
    if not path.startswith(("/subscriptions/", "/providers/")):
        return path
    words = path.split("/")[1:]
    shown = (word if word.startswith("{") else f"{{_{number}}}" for number, word in enumerate(words))
    return "".join(f"/{word}" for word in shown) + "{_end}"


async def test_every_operation_says_what_a_program_needs(document: dict[str, Any]) -> None:
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(ids)) == len(ids) > 50
    for method, path, operation in operations(document):
        where = f"{method} {path}"
        replies = operation["responses"]
        good = [reply for status, reply in replies.items() if status.startswith("2")]
        assert good, where
        assert all(media.get("schema") for reply in good for media in reply["content"].values()), where
        names = [parameter["name"] for parameter in operation.get("parameters", ()) if parameter["in"] == "path"]
        assert names == re.findall(r"\{(\w+)\}", path), where
        if "requestBody" in operation:
            assert {"400", "413", "415", "422"} <= replies.keys(), where
            assert operation["requestBody"]["content"]["application/json"]["schema"], where


async def test_who_may_call_is_described(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        replies = operation["responses"].keys()
        assert ("security" in operation) == ("401" in replies), (method, path)
        if path.startswith("/v1/") and method != "GET":
            assert {"401", "403", "501"} <= replies, (method, path)


async def test_bodies_that_must_be_sent_and_queries_are_declared(document: dict[str, Any]) -> None:
    required = {path for _, path, operation in operations(document) if operation.get("requestBody", {}).get("required")}
    assert {"/v1/faults", "/v1/runs", "/v1/accounts/{account}/anonymous-access", "/v1/operations/scale"} <= required
    queries = {
        (method, path): {
            one["name"]: one["required"] for one in operation.get("parameters", ()) if one["in"] == "query"
        }
        for method, path, operation in operations(document)
    }
    assert queries["POST", "/v1/faults"] == {"dry_run": False}
    assert queries["GET", "/v1/runs/compare"] == {"left": True, "right": True}
    policy = [found for (_, path), found in queries.items() if "Microsoft.PolicyInsights" in path]
    assert len(policy) == 15
    assert all(found == {"api-version": True} for found in policy)


def _query_of(operation: dict[str, Any]) -> dict[str, bool]:
    """Name and whether it is required."""
    return {one["name"]: one["required"] for one in operation.get("parameters", ()) if one["in"] == "query"}
