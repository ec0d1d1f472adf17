"""The route table of a process, one row per call, used by the server, the OpenAPI document and the access rules.

Paths use OpenAPI syntax: `/v1/faults/{id}`. Azure Resource Manager paths are case-insensitive in their fixed segments
and may end in a slash; only this module implements that.
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web
from pydantic import BaseModel

from services.chassis.errors import ErrorSpec

Schema = dict[str, Any]
BodyShape = Any
"""A type that pydantic can describe (usually a model), a JSON schema as a dict, or None for no body."""

Access = Literal["open", "client", "project", "read", "operate"]
"""Who may call.

* `open`: anyone. Such a call changes nothing.
* `client`: Azure clients. The protocol's own tokens decide; a change must not come from a page of another origin.
* `project`: our own processes. A change needs the project secret; anyone may read.
* `read`, `operate`: holders of that controller token; `operate` includes `read`.
"""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
JSON = "application/json"
PATHS = web.AppKey("paths", dict[web.AbstractResource, str])
"""The path, as written in its row, of every resource of an application."""
_PARAMETER = re.compile(r"\{(\w+)\}")
_ARM = re.compile(r"/(subscriptions|providers)/")


@dataclass(frozen=True)
class Parameter:
    """A query parameter or a header. `shape` is the type of its value."""

    name: str
    shape: BodyShape = str
    required: bool = False
    about: str = ""


@dataclass(frozen=True)
class ResponseSpec:
    """The meaning of one status and the shape of its body. A media type without a shape means arbitrary bytes."""

    about: str
    shape: BodyShape = None
    media: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Response headers: name and meaning."""


@dataclass(frozen=True)
class Body:
    """The request body. A body without a shape is arbitrary bytes."""

    shape: BodyShape = None
    required: bool = True
    media: str = JSON
    by_handler: bool = False
    """Whether the handler reads and validates the body itself, with its own error format."""


@dataclass(frozen=True)
class Route:
    """One call. `handler` takes aiohttp's request or, in the controller, a `Call`."""

    method: str
    path: str
    operation_id: str
    summary: str
    handler: Callable[[Any], Awaitable[Any]]
    access: Access
    replies: Mapping[int, ResponseSpec]
    errors: tuple[ErrorSpec, ...] = ()
    body: Body | None = None
    query: type[BaseModel] | tuple[Parameter, ...] = ()
    """The query parameters: a model whose fields (by alias) are the parameters, or the parameters themselves."""
    headers: tuple[Parameter, ...] = ()
    path_shapes: Mapping[str, BodyShape] = field(default_factory=dict)
    """Schemas of path parameters, for the document; the default is a string."""
    patterns: Mapping[str, str] = field(default_factory=dict)
    """Patterns of path parameters, for the server, in aiohttp's syntax; the default is anything but a slash."""
    slash: bool = False
    """Whether the path is also served with a trailing slash. Resource Manager paths always are."""
    tag: str = ""

    @property
    def names(self) -> list[str]:
        """The names of the path parameters."""
        return _PARAMETER.findall(self.path)

    @property
    def is_arm(self) -> bool:
        return _ARM.match(self.path) is not None

    @property
    def model(self) -> type[BaseModel] | None:
        """The model that validates the body before the handler runs, or None."""
        shape = self.body.shape if self.body and not self.body.by_handler else None
        return shape if isinstance(shape, type) and issubclass(shape, BaseModel) else None

    def query_parameters(self) -> tuple[Parameter, ...]:
        if isinstance(self.query, tuple):
            return self.query
        described = self.query.model_json_schema()
        required = described.get("required", [])
        return tuple(
            Parameter(name, schema, name in required, schema.get("description", ""))
            for name, schema in described.get("properties", {}).items()
        )

    def served_paths(self) -> list[str]:
        """The path in aiohttp's syntax; two paths if it is also served with a trailing slash."""
        named = _PARAMETER.sub(self._matched, self.path)
        if self.is_arm:
            return [_any_case(named) + "{_end:/?}"]
        return [named, f"{named}/"] if self.slash else [named]

    def _matched(self, found: re.Match[str]) -> str:
        pattern = self.patterns.get(found[1])
        return f"{{{found[1]}:{pattern}}}" if pattern else found[0]


def named(
    method: str,
    path: str,
    operation_id: str,
    handler: Callable[[Any], Awaitable[Any]],
    replies: Mapping[int, ResponseSpec],
    errors: tuple[ErrorSpec, ...] = (),
    body: Body | None = None,
    query: tuple[Parameter, ...] = (),
    *,
    access: Access,
    **more: Any,
) -> Route:
    """A row whose summary is its operation id in words."""
    summary = operation_id.replace("_", " ").capitalize()
    return Route(method, path, operation_id, summary, handler, access, replies, errors, body, query, **more)


def _any_case(path: str) -> str:
    words = path.split("/")[1:]
    return "".join(
        f"/{word}" if word.startswith("{") else f"/{{_{number}:(?i:{re.escape(word)})}}"
        for number, word in enumerate(words)
    )


def install(
    app: web.Application,
    routes: Iterable[Route],
    wrap: Callable[[Route], Callable[[web.Request], Awaitable[web.StreamResponse]]] | None = None,
    *,
    heads: bool = True,
) -> None:
    """Adds the routes to the application.

    `wrap` turns a row into an aiohttp handler. With `heads`, a GET without a HEAD row also serves HEAD.
    """
    rows = list(routes)
    paths = app[PATHS] = {}
    explicit = {row.path for row in rows if row.method == "HEAD"}
    for row in rows:
        handler = wrap(row) if wrap else row.handler
        for path in row.served_paths():
            if row.method == "GET" and heads and row.path not in explicit:
                added = app.router.add_get(path, handler)
            else:
                added = app.router.add_route(row.method, path, handler)
            if added.resource is not None:
                paths[added.resource] = row.path
