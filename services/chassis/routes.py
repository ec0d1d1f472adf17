"""What a process serves, as a table with one row a call: the server, the OpenAPI document and the access rules read it.

A path is written as OpenAPI writes it: `/v1/faults/{id}`. Paths of Azure Resource Manager are case-insensitive in their
fixed words, and may end in a slash; that is said here and nowhere else.
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import web
from pydantic import BaseModel

from services.chassis.errors import ErrorSpec

Schema = dict[str, Any]
Shape = Any
"""A type that pydantic can describe (mostly a model), a JSON schema as a dict, or None: no body."""

Access = Literal["open", "client", "project", "read", "operate"]
"""Who may call.

* `open`: anyone. Such a call changes nothing.
* `client`: what a client of Azure calls. The tokens of the protocol decide; a change obeys no foreign page.
* `project`: our own processes. What changes something needs the secret of the project; anybody may look.
* `read`, `operate`: whoever holds that token of the controller; the second is good for both.
"""

JSON = "application/json"
_PARAMETER = re.compile(r"\{(\w+)\}")
_ARM = re.compile(r"/(subscriptions|providers)/")


@dataclass(frozen=True)
class Parameter:
    """A query parameter or a header. `shape` is the type of its value."""

    name: str
    shape: Shape = str
    required: bool = False
    about: str = ""


@dataclass(frozen=True)
class ResponseSpec:
    """What one status means, and the shape of its body. A media type without a shape is a body of any bytes."""

    about: str
    shape: Shape = None
    media: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Name and meaning."""


@dataclass(frozen=True)
class Body:
    """What is sent along. A body of no shape is any bytes."""

    shape: Shape = None
    required: bool = True
    media: str = JSON
    by_handler: bool = False
    """Whether the handler reads and validates it itself, in a dialect of its own."""


@dataclass(frozen=True)
class Route:
    """One call. `handler` takes what its process hands to handlers: aiohttp's request, or the controller's `Call`."""

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
    """A model whose fields (by alias) are the parameters, or the parameters themselves."""
    headers: tuple[Parameter, ...] = ()
    path_shapes: Mapping[str, Shape] = field(default_factory=dict)
    """What path parameters look like, for readers of the document; a string where nothing is said."""
    patterns: Mapping[str, str] = field(default_factory=dict)
    """What path parameters may match, for the server, as aiohttp writes it; all but a slash where nothing is said."""
    slash: bool = False
    """Whether the path is also served with a slash at its end. Paths of the resource manager always are."""
    tag: str = ""

    @property
    def names(self) -> list[str]:
        """The parameters in the path."""
        return _PARAMETER.findall(self.path)

    @property
    def is_arm(self) -> bool:
        return _ARM.match(self.path) is not None

    @property
    def model(self) -> type[BaseModel] | None:
        """The model that validates the body before the handler sees it, where one does."""
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
        """The path in aiohttp's words; two when it is served with a slash as well."""
        named = _PARAMETER.sub(self._matched, self.path)
        if self.is_arm:
            return [_any_case(named) + "{_end:/?}"]
        return [named, f"{named}/"] if self.slash else [named]

    def _matched(self, found: re.Match[str]) -> str:
        pattern = self.patterns.get(found[1])
        return f"{{{found[1]}:{pattern}}}" if pattern else found[0]


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
    """Serves the table. `wrap` makes aiohttp's handler of a row; with `heads`, a GET without a row for HEAD has one."""
    rows = list(routes)
    explicit = {row.path for row in rows if row.method == "HEAD"}
    for row in rows:
        handler = wrap(row) if wrap else row.handler
        for path in row.served_paths():
            if row.method == "GET" and heads and row.path not in explicit:
                app.router.add_get(path, handler)
            else:
                app.router.add_route(row.method, path, handler)
