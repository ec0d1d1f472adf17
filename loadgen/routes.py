"""The load generator's own routes: control of the load, for our own processes."""

from typing import Any, Protocol

from aiohttp import web
from pydantic import BaseModel, Field

from services.chassis.errors import ErrorSpec
from services.chassis.openapi import Api
from services.chassis.routes import JSON, Body, ResponseSpec, Route
from services.chassis.settings import Settings

TITLE = "Aftershock load generator"
TAG = "load"
CONFLICT = ErrorSpec("LoadConflict", 409, "{detail}")
INVALID = ErrorSpec("InvalidRequest", 422, "{detail}")


class StartRequest(Settings):
    at_epoch: float | None = Field(default=None, ge=0, description="Unix time of the first possible arrival")
    zero_epoch: float | None = Field(default=None, ge=0, description="Unix time of τ = 0; default at_epoch")


class LoadRequest(Settings):
    region: str
    factor: float = Field(ge=0)


class ArrivalsRequest(Settings):
    from_: int = Field(default=0, ge=0, le=2**53, alias="from")


class LoadErrorDetail(BaseModel):
    code: str
    message: str


class LoadErrorBody(BaseModel):
    error: LoadErrorDetail


class LoadState(BaseModel):
    running: bool
    regions: dict[str, float] = Field(description="factor of the load, by region")
    arrivals: int


class ArrivalPage(BaseModel):
    arrivals: list[Any]
    next: int
    missed: int = Field(description="arrivals that were dropped from the buffer before this request")


class LoadAdmin(Protocol):
    """The handlers of the routes."""

    async def start(self, request: web.Request) -> web.Response: ...
    async def stop(self, request: web.Request) -> web.Response: ...
    async def change(self, request: web.Request) -> web.Response: ...
    async def show(self, request: web.Request) -> web.Response: ...
    async def arrivals(self, request: web.Request) -> web.Response: ...


def api(handlers: LoadAdmin) -> Api:
    """The route table."""
    state = {200: ResponseSpec("the load now", LoadState)}
    page = {200: ResponseSpec("a page of arrivals", ArrivalPage)}
    begin, change = Body(StartRequest, required=False, by_handler=True), Body(LoadRequest, by_handler=True)
    bad = (INVALID,)
    rows = (
        _row("POST", "/admin/start", "start_load", "Let users come", handlers.start, state, (CONFLICT, *bad), begin),
        _row("POST", "/admin/stop", "stop_load", "Stop the load", handlers.stop, state),
        _row("POST", "/admin/load", "set_load", "Set a region's load factor", handlers.change, state, bad, change),
        _row("GET", "/admin/load", "get_load", "The load now", handlers.show, state),
        _row("GET", "/admin/arrivals", "list_arrivals", "Who came when", handlers.arrivals, page, bad),
    )
    return Api(TITLE, rows, lambda _route: ResponseSpec("refused", LoadErrorBody, JSON))


def _row(
    method: str,
    path: str,
    operation_id: str,
    summary: str,
    handler: Any,
    replies: dict[int, ResponseSpec],
    errors: tuple[ErrorSpec, ...] = (),
    body: Body | None = None,
) -> Route:
    query: Any = ArrivalsRequest if path == "/admin/arrivals" else ()
    return Route(
        method, path, operation_id, summary, handler, "project", replies, errors, body=body, query=query, tag=TAG
    )
