"""Real answers against an OpenAPI document, for every test that calls a process which has one.

Schemas are closed here: a field that an answer has and its schema lacks is an error too, though clients must take it.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web
from jsonschema import Draft202012Validator

from services.chassis.app import API
from services.chassis.openapi import document

Operation = tuple[str, str, dict[str, Any]]


def operations(document: Mapping[str, Any]) -> Iterator[Operation]:
    """Method, path and description of everything in a document."""
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


class Contract:
    """One document, ready to compare answers with."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._schemas = closed(document["components"]["schemas"])
        self._operations = [(method, _pattern(path), path, found) for method, path, found in operations(document)]

    @classmethod
    def of(cls, app: web.Application) -> "Contract":
        """The contract of a service. Applications whose tables differ in the handlers only have one document."""
        api = app[API]
        rows = [
            (replace(route, handler=_described_only), api.scheme(route), api.dialect(route), list(api.common(route)))
            for route in api.routes
        ]
        key = repr((api.title, api.version, rows))
        if key not in _KNOWN:
            _KNOWN[key] = cls(document(api))
        return _KNOWN[key]

    def find(self, method: str, path: str) -> tuple[str, dict[str, Any]] | None:
        """The path as the document writes it, and the operation; of several the one with most words wins."""
        found = [
            (written, operation)
            for own, pattern, written, operation in self._operations
            if own == method and pattern.fullmatch(path)
        ]
        return max(found, key=lambda row: _words(row[0]), default=None)

    def check(self, method: str, url: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Fails when the answer is not one that the document describes. Calls of unknown paths are let through."""
        path = urlsplit(url).path
        found = self.find(method, path) or self.find(method, path.rstrip("/"))
        if found is None:
            assert status in (400, 404, 405), f"{method} {url} is served and not described"
            return
        written, operation = found
        where = f"{method} {written} → {status}"
        assert str(status) in operation["responses"], f"{where}: not described; {body[:300]!r}"
        content = operation["responses"][str(status)].get("content", {})
        if not content:
            assert not body, f"{where}: a body where none is described: {body[:300]!r}"
            return
        media = headers.get("Content-Type", "").partition(";")[0]
        assert media in content or "*/*" in content, f"{where}: {media} is not described"
        schema = content.get(media, {}).get("schema")
        if schema is not None and media == "application/json":
            self._check_body(json.loads(body), schema, where)

    def _check_body(self, value: object, schema: Any, where: str) -> None:
        whole = {**closed(schema), "components": {"schemas": self._schemas}}
        errors = [
            f"{error.json_path}: {error.message[:300]}" for error in Draft202012Validator(whole).iter_errors(value)
        ]
        assert not errors, f"{where}: {errors[:3]}"


_KNOWN: dict[str, Contract] = {}
"""By everything that a document is made from: to write one takes longer than most tests."""


async def _described_only(_request: Any) -> None:
    """Stands for the handlers, which are bound to one instance of a service."""


def closed(schema: Any) -> Any:
    """The schema with every object limited to the properties that it names."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    walked = {name: closed(value) for name, value in schema.items()}
    if isinstance(walked.get("properties"), dict) and walked.get("type") == "object":
        walked.setdefault("additionalProperties", False)
    return walked


def _words(path: str) -> int:
    return sum(1 for part in path.split("/") if part and not part.startswith("{"))


def _pattern(path: str) -> re.Pattern[str]:
    """ARM's paths are case-insensitive; a blob's name may hold slashes."""
    flags = re.IGNORECASE if path.startswith(("/subscriptions/", "/providers/")) else re.NOFLAG
    wide = re.escape(path).replace(r"\{blob\}", ".+")
    first = r"(?!/(?i:admin|subscriptions)/)" if path.startswith("/{") else ""
    return re.compile(first + re.sub(r"\\{\w+\\}", "[^/]+", wide), flags)
