"""The API from its table of routes: authorisation, validation, error mapping, OpenAPI."""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, TypeVar

from aiohttp import web
from aiohttp.typedefs import Middleware
from pydantic import BaseModel, BeforeValidator

from chaos.controller import errors
from chaos.controller.auth import Tokens, presented
from chaos.controller.calm import Busy
from chaos.controller.documents import Error
from chaos.controller.testbed import Testbed
from chaos.experiment.operations import OperationFailed, OutOfBounds
from chaos.faults.outcomes import StoreSilent, UnknownFault
from chaos.faults.targets import UnknownTarget
from compose.runtime import RuntimeUnavailable, UnknownInstance
from services.chassis import openapi, routes
from services.chassis.app import routing_error, undecodable_header
from services.chassis.bodies import parse, read_json
from services.chassis.errors import INTERNAL, INVALID_HEADER, ErrorSpec, ServiceError
from services.chassis.routes import JSON, Access, Body, BodyShape, ResponseSpec, Route
from services.chassis.settings import Settings, SettingsError, validate

ControllerAnswer = tuple[int, Any]
LOG = logging.getLogger(__name__)
FLAGS = {"1": True, "true": True, "0": False, "false": False}


def _flag(given: Any) -> Any:
    if isinstance(given, str):
        if given.lower() not in FLAGS:
            raise ValueError("must be 1, true, 0 or false")
        return FLAGS[given.lower()]
    return given


Flag = Annotated[bool, BeforeValidator(_flag)]
"""A boolean query parameter. It needs an explicit value: a guess could act when a dry run was intended."""


class NoQuery(Settings):
    """A call without query parameters."""


@dataclass(frozen=True)
class Call:
    """A request for a handler: path parameters, and the validated query and body."""

    request: web.Request
    query: Any
    body: Any

    def path(self, name: str) -> str:
        return self.request.match_info[name]


H = TypeVar("H", bound=Callable[..., Awaitable[ControllerAnswer | web.StreamResponse]])
PAGE = {"type": "string"}
"""The shape of a body that is text."""


def served(
    call: str,
    summary: str,
    reply: BodyShape,
    about: str,
    *,
    status: int = 200,
    media: str = "",
    also: Mapping[int, ResponseSpec] | None = None,
    access: Access | None = None,
    errors: tuple[ErrorSpec, ...] = (),
    body: Body | type[BaseModel] | None = None,
    query: type[BaseModel] | tuple[()] = (),
    patterns: Mapping[str, str] | None = None,
) -> Callable[[H], H]:
    """Declares a method of `Calls` as the handler of a route. Its name is the operation id.

    `call` is method and path, `reply` and `about` are shape and meaning of the body, `also` has replies with another
    status. A GET takes the read token, any other method the operate token, unless `access` is given.
    """
    method, path = call.split(" ")
    allowed = access or ("read" if method == "GET" else "operate")
    replies = {**(also or {}), status: ResponseSpec(about, reply, media)}
    taken = Body(body) if isinstance(body, type) else body

    def declare(handler: H) -> H:
        route = Route(method, path, handler.__name__, summary, handler, allowed, replies, errors, taken, query)
        handler.route = replace(route, patterns=patterns or {})  # type: ignore[attr-defined]
        return handler

    return declare


class Calls:
    """The calls of one subject: handlers, each declared with its route."""

    tag: ClassVar[str]

    def __init__(self, testbed: Testbed) -> None:
        self._testbed = testbed

    def routes(self) -> list[Route]:
        """The routes in the order of the handlers in the class."""
        declared: list[Route] = [handler.route for handler in vars(type(self)).values() if hasattr(handler, "route")]
        return [replace(row, handler=getattr(self, row.operation_id), tag=self.tag) for row in declared]


ACTS = (errors.NOT_FOUND, errors.CONFLICT, errors.REFUSED, errors.UNSUPPORTED)
"""Possible errors of all calls that change the testbed."""


def install(app: web.Application, table: Iterable[Route], tokens: Callable[[], Tokens]) -> None:
    routes.install(app, table, lambda route: _endpoint(route, tokens), heads=False)


def _endpoint(route: Route, tokens: Callable[[], Tokens]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def endpoint(request: web.Request) -> web.StreamResponse:
        tokens().check(presented(request), route.access, request.method, request.path)
        query = _query(route, request)
        answer = await route.handler(Call(request, query, await _body(route, request)))
        if isinstance(answer, web.StreamResponse):
            return answer
        status, document = answer
        return web.json_response(document, status=status)

    return endpoint


def _query(route: Route, request: web.Request) -> BaseModel:
    """The validated query; undeclared parameters are refused, as in the body."""
    model = route.query if isinstance(route.query, type) else NoQuery
    known = [parameter.name for parameter in route.query_parameters()]
    for name in request.query:
        if name not in known:
            detail = f"query.{name}: unknown query parameter; known: {', '.join(known) or 'none'}"
            raise ServiceError(errors.INVALID_QUERY, target=f"query.{name}", detail=detail)
        if len(request.query.getall(name)) > 1:
            detail = f"query.{name}: given more than once"
            raise ServiceError(errors.INVALID_QUERY, target=f"query.{name}", detail=detail)
    try:
        return validate(model, dict(request.query), "query")
    except SettingsError as error:
        raise ServiceError(errors.INVALID_QUERY, target="query", detail=str(error)) from error


async def _body(route: Route, request: web.Request) -> Any:
    """The body, validated by the route's model; it may be omitted if the route does not require it."""
    if route.model is None:
        return None
    required = route.body is not None and route.body.required
    given = await read_json(request) if required or request.can_read_body else {}
    return parse(route.model, given)


@web.middleware
async def translate(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Maps exceptions of the testbed to HTTP errors, in one place."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return errors.render(request, routing_error(request, error))
    except ConnectionResetError:
        raise  # the client has disconnected
    except Exception as error:
        if (name := undecodable_header(request, error)) is not None:
            return errors.render(request, ServiceError(INVALID_HEADER, name=name))
        return errors.render(request, _as_service_error(error))


def _as_service_error(error: Exception) -> ServiceError:
    match error:
        case ServiceError():
            return error
        case SettingsError():
            return ServiceError(errors.INVALID, detail=str(error))
        case UnknownTarget() | UnknownFault() | UnknownInstance():
            return ServiceError(errors.NOT_FOUND, detail=str(error.args[0]))
        case StoreSilent():
            return ServiceError(errors.UNAVAILABLE, detail=str(error))
        case Busy():
            return ServiceError(errors.CONFLICT, detail=str(error))
        case OutOfBounds():
            return ServiceError(errors.INVALID, detail=f"body.{error}")
        case OperationFailed():
            return ServiceError(errors.REFUSED, detail=str(error))
        case RuntimeUnavailable():
            return ServiceError(errors.UNSUPPORTED, detail=str(error))
    LOG.error("a call failed", exc_info=error)
    return ServiceError(INTERNAL, detail=type(error).__name__)


TRANSLATE: Middleware = translate


def describe(table: Iterable[Route], title: str, version: str) -> openapi.Api:
    """The table as an API whose document can be written."""
    return openapi.Api(title, tuple(table), _dialect, _common_errors, version, "bearer")


def _dialect(_route: Route) -> ResponseSpec:
    return ResponseSpec("refused", Error, JSON)


def _common_errors(route: Route) -> Iterable[ErrorSpec]:
    """The errors that follow from a route's access level, query and body."""
    if route.access in ("read", "operate", "project"):
        yield errors.UNAUTHENTICATED
    if route.access == "operate":
        yield errors.FORBIDDEN
        yield from ACTS
    yield from openapi.body_errors(route)
    yield errors.INVALID_QUERY
    if route.model is not None:
        yield errors.INVALID
