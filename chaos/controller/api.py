"""The API as a table: each route states method, path, role, body and summary once; server and OpenAPI both read it."""

import json
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from aiohttp import web
from aiohttp.typedefs import Middleware
from pydantic import BeforeValidator

from chaos.controller import errors
from chaos.controller.auth import Role, Tokens
from chaos.controller.calm import Busy
from chaos.faults.leases import UnknownFault, UnknownTarget
from chaos.operations import OperationFailed
from compose.runtime import RuntimeUnavailable, UnknownInstance
from services.chassis.errors import ServiceError
from services.chassis.settings import Settings, SettingsError, validate

Answer = tuple[int, Any]
FLAGS = {"1": True, "true": True, "0": False, "false": False}


def _flag(given: Any) -> Any:
    if isinstance(given, str):
        if given.lower() not in FLAGS:
            raise ValueError("must be 1, true, 0 or false")
        return FLAGS[given.lower()]
    return given


Flag = Annotated[bool, BeforeValidator(_flag)]
"""A query parameter that is on or off. Without a value it is refused: a guess could act where a look was meant."""


class NoQuery(Settings):
    """The call takes no query parameters."""


@dataclass(frozen=True)
class Call:
    """One request as a handler sees it: path parameters, and the validated query and body."""

    request: web.Request
    query: Any
    body: Any

    def path(self, name: str) -> str:
        return self.request.match_info[name]


Handler = Callable[[Call], Awaitable[Answer | web.StreamResponse]]


@dataclass(frozen=True)
class Route:
    """One call of the API. A query parameter that is no field of `query` (by alias) is refused, as in the body."""

    method: str
    path: str
    role: Role
    summary: str
    handler: Handler
    body: type[Settings] | None = None
    success: int = 200
    tag: str = ""
    query: type[Settings] = NoQuery


def install(app: web.Application, routes: Iterable[Route], tokens: Callable[[], Tokens]) -> None:
    for route in routes:
        app.router.add_route(route.method, route.path, _endpoint(route, tokens))


def _endpoint(route: Route, tokens: Callable[[], Tokens]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def endpoint(request: web.Request) -> web.StreamResponse:
        tokens().check(request.headers.get("Authorization"), route.role, request.method, request.path)
        query = _query(route, request)
        answer = await route.handler(Call(request, query, await _body(route, request)))
        if isinstance(answer, web.StreamResponse):
            return answer
        status, document = answer
        return web.json_response(document, status=status)

    return endpoint


def _query(route: Route, request: web.Request) -> Settings:
    known = sorted(field.alias or name for name, field in route.query.model_fields.items())
    for name in request.query:
        if name not in known:
            detail = f"query.{name}: unknown query parameter; known: {', '.join(known) or 'none'}"
            raise ServiceError(errors.INVALID_QUERY, target=f"query.{name}", detail=detail)
        if len(request.query.getall(name)) > 1:
            detail = f"query.{name}: given more than once"
            raise ServiceError(errors.INVALID_QUERY, target=f"query.{name}", detail=detail)
    try:
        return validate(route.query, dict(request.query), "query")
    except SettingsError as error:
        raise ServiceError(errors.INVALID_QUERY, target="query", detail=str(error)) from error


async def _body(route: Route, request: web.Request) -> Settings | None:
    if route.body is None:
        return None
    raw = await request.read()
    try:
        given = json.loads(raw) if raw else {}
    except ValueError as error:
        raise ServiceError(errors.INVALID, target="body", detail=f"body: not JSON: {error}") from error
    if not isinstance(given, dict):
        raise ServiceError(errors.INVALID, target="body", detail="body: must be a JSON object")
    return validate(route.body, given, "body")


@web.middleware
async def translate(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """What the testbed says, in HTTP's words. Mapped once, here."""
    try:
        return await handler(request)
    except ServiceError as error:
        return errors.render(request, error)
    except SettingsError as error:
        return errors.render(request, ServiceError(errors.INVALID, detail=str(error)))
    except (UnknownTarget, UnknownFault, UnknownInstance) as error:
        return errors.render(request, ServiceError(errors.NOT_FOUND, detail=str(error.args[0])))
    except Busy as error:
        return errors.render(request, ServiceError(errors.CONFLICT, detail=str(error)))
    except OperationFailed as error:
        return errors.render(request, ServiceError(errors.REFUSED, detail=str(error)))
    except RuntimeUnavailable as error:
        return errors.render(request, ServiceError(errors.UNSUPPORTED, detail=str(error)))
    except web.HTTPException as error:
        if error.status < 400:
            raise
        spec = errors.NOT_FOUND if error.status == 404 else errors.CONFLICT
        if error.status in (404, 405):
            detail = f"no route for {request.method} {request.path}"
            return web.json_response({"error": {"code": spec.code, "message": detail}}, status=error.status)
        raise


TRANSLATE: Middleware = translate


def openapi(routes: Iterable[Route], title: str, version: str) -> dict[str, Any]:
    """OpenAPI 3.1 of the table."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    scheme = {"type": "http", "scheme": "bearer"}
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version},
        "paths": paths,
        "components": {"securitySchemes": {"bearer": scheme}, "schemas": {"Error": ERROR_SCHEMA}},
    }


ERROR_SCHEMA = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {name: {"type": "string"} for name in ("code", "message", "target")},
        }
    },
}


def _operation(route: Route) -> dict[str, Any]:
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    responses: dict[str, Any] = {str(route.success): {"description": "done"}}
    codes = {"404": "unknown", "409": "in conflict with what is under way"}
    if route.role != "open":
        codes |= {"401": "no valid token"} | ({"403": "read token on a mutation"} if route.role == "operate" else {})
    if route.body is not None:
        codes["422"] = "a bad body; the message names the field"
    responses |= {code: {"description": text, "content": error} for code, text in codes.items()}
    operation: dict[str, Any] = {"summary": route.summary, "tags": [route.tag or "testbed"], "responses": responses}
    names = [part[1:-1] for part in route.path.split("/") if part.startswith("{")]
    if names:
        operation["parameters"] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names
        ]
    if route.body is not None:
        schema = route.body.model_json_schema(ref_template="#/$defs/{model}")
        operation["requestBody"] = {"content": {"application/json": {"schema": _inline(schema)}}}
    if route.role != "open":
        operation["security"] = [{"bearer": []}]
    return operation


def _inline(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema with its own definitions written out: OpenAPI resolves references from the document's root."""
    definitions = schema.pop("$defs", {})

    def walk(node: Any) -> Any:
        if isinstance(node, dict):
            reference = node.get("$ref", "")
            if reference.startswith("#/$defs/"):
                return walk(definitions[reference.rsplit("/", 1)[1]])
            return {key: walk(value) for key, value in node.items()}
        return [walk(item) for item in node] if isinstance(node, list) else node

    inlined: dict[str, Any] = walk(schema)
    return inlined
