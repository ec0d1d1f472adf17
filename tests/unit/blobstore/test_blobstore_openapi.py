"""The OpenAPI document: complete, consistent in itself, and served."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from blobstore_region import Region

from services.blobstore.arm import Arm
from services.blobstore.openapi import document

DOCUMENT = document("the-subscription", "eastus")
CHASSIS = {"/healthz", "/readyz", "/metrics", "/admin/settings", "/openapi.json"}
METHODS = ("get", "head", "put", "patch", "post", "delete")


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in DOCUMENT["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


async def test_it_is_served(region: Region) -> None:
    served = (await region.get("/openapi.json")).json()
    assert served["openapi"] == "3.1.0"
    assert served["paths"].keys() == DOCUMENT["paths"].keys()


async def test_every_route_is_described_and_nothing_else(region: Region) -> None:
    routes = set()
    for route in region.app.router.routes():
        assert route.resource is not None
        path = re.sub(r"\{(\w+)[^}]*\}", r"{\1}", route.resource.canonical).rstrip("/")
        if path not in CHASSIS and not path.startswith("/{root}"):
            routes.add((path, route.method.lower()))
    described = {(path, method) for path, method, _ in operations() if not path.startswith("/subscriptions")}
    implied = {("/admin/accounts", "head"), ("/admin/accounts/{account}", "head"), ("/{account}", "head")}
    assert described == routes - implied


async def test_every_arm_operation_is_described(region: Region) -> None:
    [arm] = [route.handler.__self__ for route in region.app.router.routes() if _is_arm(route)]
    known = set()
    for pattern, answers in arm._resources:
        path = re.sub(r"\(\?P<(\w+)>\[\^/\]\+\)", r"{\1}", pattern.pattern)
        known |= {(path.lower(), method.lower()) for method in answers}
    described = {(path.lower(), method) for path, method, _ in operations() if path.startswith("/subscriptions")}
    assert described == known


def _is_arm(route: Any) -> bool:
    return isinstance(getattr(route.handler, "__self__", None), Arm)


@pytest.mark.parametrize(("path", "method", "operation"), list(operations()), ids=lambda value: str(value)[:60])
def test_an_operation_names_its_path_parameters_and_answers(path: str, method: str, operation: dict[str, Any]) -> None:
    parameters = [*DOCUMENT["paths"][path].get("parameters", []), *operation["parameters"]]
    in_path = [parameter["name"] for parameter in parameters if parameter["in"] == "path"]
    assert sorted(in_path) == sorted(re.findall(r"\{(\w+)\}", path))
    assert operation["summary"]
    assert any(status.startswith("4") for status in operation["responses"])
    if method == "head":
        assert all("content" not in answer for answer in operation["responses"].values())


def test_every_reference_leads_somewhere() -> None:
    references = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(DOCUMENT)))
    assert references <= DOCUMENT["components"]["schemas"].keys()
    assert "AccountCreate" in references
