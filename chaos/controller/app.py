"""The application of the controller: API routes, OpenAPI document, console."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import cache
from importlib.metadata import version
from typing import Any

from aiohttp import web

from chaos.controller.api import TRANSLATE, Call, CallHandler, ControllerAnswer, describe, install
from chaos.controller.auth import Tokens
from chaos.controller.documents import ControllerAlive, TestbedStatus
from chaos.controller.routes import (
    accounts,
    alerts,
    console,
    faults,
    mitigations,
    operations,
    policy_insights,
    remediation,
    runs,
    scenarios,
)
from chaos.controller.status import status
from chaos.controller.testbed import SOURCE, Testbed
from services.chassis.addresses import guard_address
from services.chassis.app import API
from services.chassis.bodies import SIZE_MAX_BYTES
from services.chassis.metrics import CONTENT_TYPE
from services.chassis.openapi import document
from services.chassis.routes import Access, ResponseSpec, Route

TITLE = "Aftershock chaos controller"
TESTBED = web.AppKey("testbed", Testbed)
SUBJECTS = (accounts, remediation, policy_insights, faults, operations, mitigations, scenarios, runs)


def create_controller(testbed: Testbed, tokens: Tokens, *, webhook_url: str = "") -> web.Application:
    """Creates the application for a running testbed."""
    app = web.Application(middlewares=[TRANSLATE], client_max_size=SIZE_MAX_BYTES)
    app[TESTBED] = testbed
    routes = [route for subject in SUBJECTS for route in subject.routes(testbed)]
    routes += [
        *alerts.routes(testbed, webhook_url),
        *console.routes(testbed, tokens),
        *_own_routes(testbed),
        _description(lambda: document(app[API])),
    ]
    app[API] = describe(routes, TITLE, version("aftershock"))
    install(app, routes, lambda: tokens)
    app.cleanup_ctx.append(_lifespan(testbed))
    return app


def _own_routes(testbed: Testbed) -> list[Route]:
    async def healthz(_call: Call) -> ControllerAnswer:
        return 200, {"status": "alive"}

    async def metrics(_call: Call) -> web.Response:
        own = testbed.env.metrics.page()
        run = testbed.run.page() if testbed.run else b""
        return web.Response(body=_joined(own, run) if run else own, headers={"Content-Type": CONTENT_TYPE})

    async def state(_call: Call) -> ControllerAnswer:
        return 200, await status(testbed)

    page = {"type": "string"}
    return [
        _about(
            "/healthz", "get_health", "Whether the controller is alive", healthz, ResponseSpec("alive", ControllerAlive)
        ),
        _about(
            "/metrics",
            "get_metrics",
            "The controller's own metrics",
            metrics,
            ResponseSpec("a page", page, "text/plain"),
        ),
        _about(
            "/v1/status", "get_status", "The state of the testbed", state, ResponseSpec("now", TestbedStatus), "read"
        ),
    ]


def _about(
    path: str, operation_id: str, summary: str, handler: CallHandler, reply: ResponseSpec, access: Access = "open"
) -> Route:
    return Route("GET", path, operation_id, summary, handler, access, {200: reply}, tag="about")


def _description(described: Callable[[], dict[str, Any]]) -> Route:
    described = cache(described)

    async def answer(_call: Call) -> ControllerAnswer:
        return 200, described()

    return _about(
        "/openapi.json", "get_openapi", "This document", answer, ResponseSpec("OpenAPI 3.1", {"type": "object"})
    )


def _joined(own: bytes, run: bytes) -> bytes:
    """Both metrics pages joined; families of the run replace those of the controller, as its policy job is active."""
    families = {line.split(b" ", 3)[2] for line in run.splitlines() if line.startswith(b"# TYPE ")}
    kept, keep = [], True
    for line in own.splitlines():
        if line.startswith(b"# HELP "):
            keep = line.split(b" ", 3)[2] not in families
        kept += [line] if keep else []
    return b"\n".join(kept) + b"\n" + run


def _lifespan(testbed: Testbed) -> Callable[[web.Application], AsyncIterator[None]]:
    async def lifespan(_app: web.Application) -> AsyncIterator[None]:
        await testbed.open()
        yield
        await testbed.close()

    return lifespan


async def run_until_cancelled(app: web.Application, host: str, port: int, ready: Callable[[], Awaitable[None]]) -> None:
    """Serves until cancelled; `ready` is called when the socket is listening."""
    guard_address(app, SOURCE)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=2.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        await ready()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
