"""The OpenAPI document of every service is valid, complete and true of the answers. The controller has its own test."""

import asyncio
import json
import re
from typing import Any

import pytest
from aiohttp import web
from openapi_spec_validator import validate

from compose.topology import app_factory
from services.chassis.app import API
from services.chassis.env import make_env
from services.chassis.live import announce
from services.chassis.openapi import document
from services.chassis.store import Keys
from services.clients.identity.client import SUBSCRIPTION
from tests.api_contract import Contract, operations
from tests.contract.small_testbed import HOSTS, SERVICES, SmallTestbed

NEVER_READABLE = ("GET", "/{account}")
SAMPLE = "sample1"
"""Good for every path parameter there is."""


def application(testbed: SmallTestbed, service: str) -> web.Application:
    """An application of its own, which is never started."""
    runtime = testbed.runtime
    env = make_env(
        runtime._running[HOSTS[service]].env.instance,
        seed=1,
        clock=runtime.clock,
        http=runtime.http,
        store=runtime.store,
        sink=lambda _event: None,
        tree=runtime._tree,
        peers=runtime.peers,
    )
    return app_factory(service)(env)


async def test_a_document_is_valid(testbed: SmallTestbed) -> None:
    for service in SERVICES:
        validate(await testbed.document(service))


async def test_every_operation_has_what_a_client_generator_needs(testbed: SmallTestbed) -> None:
    for service in SERVICES:
        found = await testbed.document(service)
        ids = [operation["operationId"] for _, _, operation in operations(found)]
        assert len(set(ids)) == len(ids) > 8
        for method, path, operation in operations(found):
            where = f"{method} {path}"
            good = [reply for status, reply in operation["responses"].items() if status.startswith("2")]
            assert good or (method, path) == NEVER_READABLE, where
            assert all(media["schema"] for reply in good for media in reply.get("content", {}).values()), where
            names = [one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"]
            assert names == re.findall(r"\{(\w+)\}", path), where
            assert all(one["schema"] for one in operation.get("parameters", ())), where
            for media, content in operation.get("requestBody", {}).get("content", {}).items():
                assert content["schema"], where
                assert media != "application/json" or {"400", "413", "415"} <= operation["responses"].keys(), where
            if method == "HEAD":
                assert not any("content" in reply for reply in operation["responses"].values()), where


async def test_a_document_lists_exactly_the_served_routes(testbed: SmallTestbed) -> None:
    """Asked of aiohttp's own router, so that a route that by-passes the table is found."""
    for service in SERVICES:
        app = application(testbed, service)
        listed = {(method, re.sub(r"\{\w+\}", SAMPLE, path)) for method, path, _ in operations(document(app[API]))}
        served = {(route.method, route.resource) for route in app.router.routes() if route.resource is not None}
        for method, path in listed:
            assert any(method == verb and _matches(resource, path) for verb, resource in served), f"{method} {path}"
        for verb, resource in served:
            verbs = {verb, "GET"} if verb == "HEAD" else {verb}
            assert any(method in verbs and _matches(resource, path) for method, path in listed), f"{verb} {resource}"


def _matches(resource: Any, path: str) -> bool:
    return resource._match(path) is not None or resource._match(f"{path}/") is not None


async def test_every_route_states_its_required_access(testbed: SmallTestbed) -> None:
    for service in SERVICES:
        app = application(testbed, service)
        for route in app[API].routes:
            assert route.access in ("open", "client", "project")
            assert (route.access == "project") == route.path.startswith("/admin"), route.path
            if route.access == "open":
                assert route.method == "GET", f"{route.path}: what anybody may call changes nothing"
        for method, path, operation in operations(document(app[API])):
            secured = path.startswith("/admin") and method != "GET"
            assert operation.get("security", []) == ([{"secret": []}] if secured else []), f"{method} {path}"


GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/group/providers/Microsoft.ManagedIdentity"
EVERY = f"{GROUP}/userAssignedIdentities?api-version=1"
ONE = f"{GROUP}/userAssignedIdentities/one?api-version=1"
TALK: dict[str, list[tuple[str, str, Any, int]]] = {
    "identity": [
        ("GET", "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=r", None, 200),
        ("GET", "/metadata/identity/oauth2/token?api-version=2018-02-01", None, 400),
        ("GET", "/msi/token?api-version=2019-08-01&resource=r", None, 200),
        ("GET", "/.well-known/jwks.json", None, 200),
        ("PUT", ONE, {"location": "x"}, 201),
        ("PUT", ONE, {}, 400),
        (
            "PATCH",
            ONE,
            {"tags": {"a": "b"}},
            200,
        ),
        ("GET", ONE, None, 200),
        ("GET", EVERY, None, 200),
        ("DELETE", ONE, None, 200),
        ("DELETE", ONE, None, 204),
        ("GET", ONE, None, 404),
    ],
    "router": [
        ("GET", "/admin/traffic", None, 200),
        ("PUT", "/admin/traffic/eastus", {"mode": "drain"}, 200),
        ("GET", "/metadata/identity/oauth2/token?api-version=2018-02-01&resource=r", None, 503),
        ("GET", "/msi/token?api-version=2019-08-01&resource=r", None, 503),
        ("GET", ONE, None, 503),
        ("PUT", "/admin/traffic/eastus", {"mode": "open"}, 200),
        ("PUT", "/admin/traffic/eastus", {"mode": "sideways"}, 422),
        ("PUT", "/admin/traffic/mars", {"mode": "open"}, 404),
    ],
    "loadgen": [
        ("GET", "/admin/load", None, 200),
        ("POST", "/admin/start", {}, 200),
        ("POST", "/admin/start", {}, 409),
        ("POST", "/admin/load", {"region": "eastus", "factor": 2}, 200),
        ("POST", "/admin/load", {"region": "mars", "factor": 2}, 422),
        ("GET", "/admin/arrivals?from=0", None, 200),
        ("GET", "/admin/arrivals?from=x", None, 422),
        ("POST", "/admin/stop", None, 200),
    ],
}
TALK["router"] += TALK["identity"]
TALK["identity"] = [*TALK["identity"], ("POST", "/admin/crash", None, 200)]


@pytest.mark.parametrize("service", SERVICES)
async def test_real_answers_match_the_document(testbed: SmallTestbed, service: str) -> None:
    """Of storage and compute the answers in all their own tests are compared; here are the others, and the pages."""
    contract = Contract(await testbed.document(service))
    pages = ("/healthz", "/readyz", "/metrics", "/openapi.json", "/admin/settings")
    for method, path, body, status in [("GET", page, None, 200) for page in pages] + TALK.get(service, []):
        headers = {"Metadata": "true", "X-IDENTITY-HEADER": "aftershock-app-service"}
        reply = await testbed.call(service, method, path, json=body, headers=headers)
        assert reply.status == status, (method, path, reply.body)
        contract.check(method, path, reply.status, reply.headers, reply.body)


async def test_an_identity_beyond_the_limit_is_refused_until_one_is_deleted(testbed: SmallTestbed) -> None:
    await testbed.runtime.store.set(Keys.OVERLAY, json.dumps({"identity": {"identities_max": 1}}))
    await announce(testbed.runtime.store, "settings")
    await asyncio.sleep(1.0)
    contract = Contract(await testbed.document("identity"))
    two = ONE.replace("/one?", "/two?")
    for method, path, status in (
        ("PUT", ONE, 201),
        ("PUT", two, 409),
        ("GET", two, 404),
        ("PUT", ONE, 200),
        ("DELETE", ONE, 200),
        ("PUT", two, 201),
    ):
        body = {"location": "x"} if method == "PUT" else None
        reply = await testbed.call("identity", method, path, json=body)
        assert reply.status == status, (method, path, reply.body)
        contract.check(method, path, reply.status, reply.headers, reply.body)
        if status == 409:
            assert reply.json()["error"]["code"] == "QuotaExceeded"
