"""The OpenAPI 3.1 document of a route table, served by every process at `/openapi.json`.

Schemas come from the models and types in the rows; pydantic names them. Errors come from the error tables, in the
error format of the process, so that no error can have a status that is missing from the document.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from pydantic import TypeAdapter

from services.chassis.access import SAFE_METHODS, SECRET_HEADER
from services.chassis.bodies import BODY_ERRORS
from services.chassis.errors import ErrorSpec
from services.chassis.routes import JSON, Body, BodyShape, Parameter, ResponseSpec, Route, Schema

COMPONENTS = "#/components/schemas/"
TEXT: Schema = {"type": "string"}
SCHEMES: Schema = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "secret": {"type": "apiKey", "in": "header", "name": SECRET_HEADER},
}

SchemaMode = Literal["validation", "serialization"]
Dialect = Callable[[Route], ResponseSpec]
"""Returns the media type and shape of a route's error bodies."""
Common = Callable[[Route], Iterable[ErrorSpec]]
"""Returns the errors that apply to a route in addition to those in its row."""


def body_errors(route: Route) -> Iterable[ErrorSpec]:
    """The errors of invalid JSON, for a route with a JSON body."""
    return BODY_ERRORS if route.body is not None and route.body.media == JSON else ()


@dataclass(frozen=True)
class Api:
    """The route table of a process, with title and description."""

    title: str
    routes: tuple[Route, ...]
    dialect: Dialect
    common: Common = body_errors
    version: str = "1"
    project_scheme: Literal["bearer", "secret"] = "secret"
    """How callers authenticate: the controller takes a bearer token, the services a header."""

    def scheme(self, route: Route) -> str:
        """The security scheme of a route; empty for none, or where Azure's own protocol decides."""
        if route.access in ("read", "operate"):
            return "bearer"
        if route.access != "project" or (self.project_scheme == "secret" and route.method in SAFE_METHODS):
            return ""
        return self.project_scheme


def document(api: Api) -> Schema:
    """The complete OpenAPI document."""
    shapes = _Shapes(api.routes, api.dialect)
    paths: dict[str, Schema] = {}
    for row in api.routes:
        operation = _operation(row, shapes, api.dialect, (*row.errors, *api.common(row)))
        if scheme := api.scheme(row):
            operation["security"] = [{scheme: []}]
        paths.setdefault(row.path, {})[row.method.lower()] = operation
    components: Schema = {"schemas": shapes.definitions}
    if used := {api.scheme(row) for row in api.routes} - {""}:
        components["securitySchemes"] = {name: SCHEMES[name] for name in sorted(used)}
    info = {"title": api.title, "version": api.version}
    return {"openapi": "3.1.0", "info": info, "paths": paths, "components": components}


class _Shapes:
    """The schemas of all shapes in a table, and the definitions that they refer to."""

    def __init__(self, rows: Sequence[Route], dialect: Dialect) -> None:
        wanted = {(repr(shape), mode): shape for row in rows for shape, mode in _shapes_of(row, dialect)}
        adapters = [(key, mode, TypeAdapter(shape)) for (key, mode), shape in wanted.items()]
        self._schemas, generated = TypeAdapter.json_schemas(adapters, ref_template=COMPONENTS + "{model}")
        self.definitions: dict[str, Schema] = generated.get("$defs", {})

    def schema(self, shape: BodyShape, mode: SchemaMode) -> Schema:
        return shape if isinstance(shape, dict) else dict(self._schemas[repr(shape), mode])


def _shapes_of(row: Route, dialect: Dialect) -> Iterator[tuple[BodyShape, SchemaMode]]:
    """The types of a row: inputs with their validation schema, outputs with their serialisation schema."""
    inward = [parameter.shape for parameter in (*row.query_parameters(), *row.headers)] + list(row.path_shapes.values())
    inward += [row.body.shape] if row.body else []
    outward = [reply.shape for reply in row.replies.values()] + [dialect(row).shape]
    sides: tuple[tuple[SchemaMode, list[BodyShape]], ...] = (("validation", inward), ("serialization", outward))
    for mode, shapes in sides:
        yield from ((shape, mode) for shape in shapes if shape is not None and not isinstance(shape, dict))


def _operation(row: Route, shapes: _Shapes, dialect: Dialect, errors: Iterable[ErrorSpec]) -> Schema:
    operation: Schema = {"operationId": row.operation_id, "summary": row.summary}
    if row.tag:
        operation["tags"] = [row.tag]
    parameters = [_in_path(name, row.path_shapes.get(name, str), shapes) for name in row.names]
    parameters += [_parameter(parameter, "query", shapes) for parameter in row.query_parameters()]
    parameters += [_parameter(parameter, "header", shapes) for parameter in row.headers]
    if parameters:
        operation["parameters"] = parameters
    if row.body is not None:
        operation["requestBody"] = _body(row.body, shapes)
    operation["responses"] = _responses(row, shapes, dialect, errors)
    return operation


def _in_path(name: str, shape: BodyShape, shapes: _Shapes) -> Schema:
    schema = TEXT if shape is str else shapes.schema(shape, "validation")
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _parameter(parameter: Parameter, place: str, shapes: _Shapes) -> Schema:
    described: Schema = {"name": parameter.name, "in": place, "required": parameter.required}
    if parameter.about:
        described["description"] = parameter.about
    return {**described, "schema": shapes.schema(parameter.shape, "validation")}


def _body(body: Body, shapes: _Shapes) -> Schema:
    content = {"schema": shapes.schema(body.shape, "validation")} if body.shape is not None else {}
    return {"required": body.required, "content": {body.media: content}}


def _responses(row: Route, shapes: _Shapes, dialect: Dialect, errors: Iterable[ErrorSpec]) -> Schema:
    replies = {str(status): _reply(reply, shapes, row.method) for status, reply in row.replies.items()}
    refusals: dict[int, list[ErrorSpec]] = {}
    for spec in errors:
        known = refusals.setdefault(spec.status, [])
        if spec not in known:
            known.append(spec)
    body = dialect(row)
    for status, specs in sorted(refusals.items()):
        about = "; ".join(f"`{spec.code}`: {spec.message}" for spec in specs)
        has_body = status != 304
        reply = ResponseSpec(about, body.shape if has_body else None, body.media if has_body else "")
        replies.setdefault(str(status), _reply(reply, shapes, row.method))
    return replies


def _reply(reply: ResponseSpec, shapes: _Shapes, method: str) -> Schema:
    described: Schema = {"description": reply.about}
    if reply.headers:
        described["headers"] = {name: {"description": about, "schema": TEXT} for name, about in reply.headers.items()}
    if method == "HEAD" or (reply.shape is None and not reply.media):
        return described
    content = {"schema": shapes.schema(reply.shape, "serialization")} if reply.shape is not None else {}
    return {**described, "content": {reply.media or JSON: content}}
