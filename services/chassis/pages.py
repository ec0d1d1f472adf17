"""The pages that every service has: health, readiness, metrics, settings and the OpenAPI document."""

import json
from collections.abc import Awaitable, Callable
from typing import Literal

from aiohttp import web
from pydantic import BaseModel

from services.chassis.env import Env
from services.chassis.metrics import CONTENT_TYPE, OPENMETRICS, OPENMETRICS_TYPE
from services.chassis.openapi import Api, document
from services.chassis.routes import Access, ResponseSpec, Route
from services.chassis.settings import Settings

TAG = "about"
PageHandler = Callable[[web.Request], Awaitable[web.Response]]


class Alive(BaseModel):
    status: Literal["alive"]
    instance: str


class Ready(BaseModel):
    status: Literal["ready"]
    instance: str


class NotReady(BaseModel):
    """The reason: the store's error, or the failing tasks with their errors."""

    status: str
    error: str = ""
    tasks: dict[str, str] = {}


def pages(env: Env, settings_model: type[Settings], api: Callable[[], Api]) -> list[Route]:
    """The routes of the pages; `api` returns the complete table, called per request."""

    async def healthz(_request: web.Request) -> web.Response:
        return web.json_response({"status": "alive", "instance": env.instance.name})

    async def readyz(_request: web.Request) -> web.Response:
        try:
            await env.store.ping()
        except Exception as error:
            return web.json_response({"status": "store unreachable", "error": repr(error)}, status=503)
        if failing := env.background.failing:
            return web.json_response({"status": "background task failing", "tasks": failing}, status=503)
        return web.json_response({"status": "ready", "instance": env.instance.name})

    async def metrics(request: web.Request) -> web.Response:
        if env.tracing.on and OPENMETRICS in request.headers.get("Accept", ""):
            return web.Response(body=env.metrics.openmetrics_page(), headers={"Content-Type": OPENMETRICS_TYPE})
        return web.Response(body=env.metrics.page(), headers={"Content-Type": CONTENT_TYPE})

    async def settings(_request: web.Request) -> web.Response:
        return web.json_response(env.settings(settings_model).model_dump(mode="json"))

    described: list[bytes] = []

    async def openapi(_request: web.Request) -> web.Response:
        if not described:
            described.append(json.dumps(document(api())).encode())
        return web.Response(body=described[0], content_type="application/json")

    readiness = {200: ResponseSpec("ready", Ready), 503: ResponseSpec("not ready", NotReady)}
    text = ResponseSpec("the text format", {"type": "string"}, "text/plain")
    return [
        _page("/healthz", "get_health", "Whether the process is alive", healthz, {200: ResponseSpec("alive", Alive)}),
        _page("/readyz", "get_readiness", "Whether it can serve", readyz, readiness),
        _page("/metrics", "get_metrics", "Prometheus metrics", metrics, {200: text}),
        _page(
            "/openapi.json", "get_openapi", "This document", openapi, {200: ResponseSpec("OpenAPI", {"type": "object"})}
        ),
        _page(
            "/admin/settings",
            "get_settings",
            "The settings in force",
            settings,
            {200: ResponseSpec("in force", settings_model)},
            "project",
        ),
    ]


def _page(
    path: str,
    operation_id: str,
    summary: str,
    handler: PageHandler,
    replies: dict[int, ResponseSpec],
    access: Access = "open",
) -> Route:
    return Route("GET", path, operation_id, summary, handler, access, replies, tag=TAG)
