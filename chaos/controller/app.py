"""The application of the controller: API routes, OpenAPI document, console."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import cache
from importlib.metadata import version
from typing import Any

from aiohttp import web

from chaos.controller.api import PAGE, TRANSLATE, Call, Calls, ControllerAnswer, describe, install, served
from chaos.controller.auth import Tokens
from chaos.controller.documents import ControllerAlive, TestbedStatus
from chaos.controller.routes.accounts import AccountCalls
from chaos.controller.routes.alerts import AlertCalls
from chaos.controller.routes.console import ConsoleCalls
from chaos.controller.routes.faults import FaultCalls
from chaos.controller.routes.mitigations import MitigationCalls
from chaos.controller.routes.operations import OperatorCalls
from chaos.controller.routes.policy_insights import PolicyInsights
from chaos.controller.routes.remediation import RemediationCalls
from chaos.controller.routes.runs import RunCalls
from chaos.controller.routes.scenarios import ScenarioCalls
from chaos.controller.status import status
from chaos.controller.testbed import SOURCE, Testbed
from services.chassis.addresses import guard_address, listen
from services.chassis.app import API
from services.chassis.bodies import SIZE_MAX_BYTES
from services.chassis.metrics import CONTENT_TYPE
from services.chassis.openapi import document

TITLE = "Aftershock chaos controller"
TESTBED = web.AppKey("testbed", Testbed)
SUBJECTS: tuple[type[Calls], ...] = (
    AccountCalls,
    RemediationCalls,
    PolicyInsights,
    FaultCalls,
    OperatorCalls,
    MitigationCalls,
    ScenarioCalls,
    RunCalls,
)


def create_controller(testbed: Testbed, tokens: Tokens, *, webhook_url: str = "") -> web.Application:
    """Creates the application for a running testbed."""
    app = web.Application(middlewares=[TRANSLATE], client_max_size=SIZE_MAX_BYTES)
    app[TESTBED] = testbed
    subjects = (
        *(subject(testbed) for subject in SUBJECTS),
        AlertCalls(testbed, webhook_url),
        ConsoleCalls(testbed, tokens),
        AboutCalls(testbed, lambda: document(app[API])),
    )
    routes = [route for subject in subjects for route in subject.routes()]
    app[API] = describe(routes, TITLE, version("aftershock"))
    install(app, routes, lambda: tokens)
    app.cleanup_ctx.append(_lifespan(testbed))
    return app


class AboutCalls(Calls):
    """The controller itself. `described` writes the document of all calls."""

    tag = "about"

    def __init__(self, testbed: Testbed, described: Callable[[], dict[str, Any]]) -> None:
        super().__init__(testbed)
        self._described = cache(described)

    @served("GET /healthz", "Whether the controller is alive", ControllerAlive, "alive", access="open")
    async def get_health(self, _call: Call) -> ControllerAnswer:
        return 200, {"status": "alive"}

    @served("GET /metrics", "The controller's own metrics", PAGE, "a page", access="open", media="text/plain")
    async def get_metrics(self, _call: Call) -> web.Response:
        own = self._testbed.env.metrics.page()
        run = self._testbed.run.page() if self._testbed.run else b""
        return web.Response(body=_joined(own, run) if run else own, headers={"Content-Type": CONTENT_TYPE})

    @served("GET /v1/status", "The state of the testbed", TestbedStatus, "now")
    async def get_status(self, _call: Call) -> ControllerAnswer:
        return 200, await status(self._testbed)

    @served("GET /openapi.json", "This document", {"type": "object"}, "OpenAPI 3.1", access="open")
    async def get_openapi(self, _call: Call) -> ControllerAnswer:
        return 200, self._described()


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
        await listen(runner, host, port)
        await ready()
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()
