"""The application factory: gives every service the same middleware and health, readiness, metrics, settings pages."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import replace
from functools import partial

from aiohttp import web
from aiohttp.typedefs import Middleware

from services.chassis import access
from services.chassis.bodies import SIZE_MAX_BYTES
from services.chassis.endings import finish_all
from services.chassis.env import Env
from services.chassis.errors import (
    BODY_TOO_LARGE,
    INTERNAL,
    INVALID_HEADER,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    ErrorSpec,
    ServiceError,
)
from services.chassis.fault_edge import Suffering
from services.chassis.metrics import DURATION_BUCKETS_S
from services.chassis.openapi import Api
from services.chassis.pages import pages
from services.chassis.routes import Handler, install
from services.chassis.settings import Settings
from services.chassis.store import STORE_ERRORS
from services.chassis.stored import is_wrong_type
from services.chassis.tracing import Span

ENV = web.AppKey("env", Env)
API = web.AppKey("api", Api)
"""The complete route table of the application."""
RenderError = Callable[[web.Request, ServiceError], web.Response]
Job = Callable[[], Awaitable[None]]

OPERATOR_PATHS = ("/healthz", "/readyz", "/metrics", "/openapi.json")
SURROGATE = re.compile("[\ud800-\udfff]")
REQUEST_BUCKETS_S = (0.001, 0.002, 0.005, *DURATION_BUCKETS_S)
LEAVE_TIMEOUT_S = 2.0


def build_app(
    env: Env,
    *,
    settings_model: type[Settings],
    api: Api,
    render_error: RenderError,
    background: Iterable[Job] = (),
    on_start: Job | None = None,
    register: bool = True,
) -> web.Application:
    """An application with the common middleware around the routes of `api`, and their document at `/openapi.json`.

    `on_start` (load state, resume work) finishes before the instance registers. `background` jobs run as long as the
    application and are named after their functions. A service that registers itself passes `register=False`.
    """
    app = web.Application(middlewares=[_edge(env, render_error)], client_max_size=SIZE_MAX_BYTES)
    app[ENV] = env
    refusals = api.common
    api = replace(
        api,
        routes=(*pages(env, settings_model, lambda: api), *api.routes),
        common=lambda route: (*refusals(route), *access.refusals(route)),
    )
    app[API] = api
    install(app, api.routes)
    app.cleanup_ctx.append(_lifespan(env, on_start, background, register))
    return app


def _lifespan(
    env: Env, on_start: Job | None, background: Iterable[Job], register: bool
) -> Callable[[web.Application], AsyncIterator[None]]:
    async def lifespan(_app: web.Application) -> AsyncIterator[None]:
        env.lag.start()
        await _complete(env, env.live.reload, "first settings")
        if on_start is not None:
            await _complete(env, on_start, _name(on_start))
        if register:
            await _complete(env, lambda: env.registry.register(env.instance), "registration")
        env.background.keep(_with_key_repair(env, env.live.follow), "live settings")
        for job in background:
            env.background.keep(_with_key_repair(env, job), _name(job))
        if register:
            env.background.keep(_with_key_repair(env, lambda: env.registry.keep(env.instance)), "lease")
        env.events.emit("instance_started", region=env.region, service=env.instance.service)
        yield
        await finish_all(env.lag.stop, env.background.stop, lambda: _leave(env))

    return lifespan


async def _leave(env: Env) -> None:
    with contextlib.suppress(TimeoutError, *STORE_ERRORS):  # the store may be what failed
        async with asyncio.timeout(LEAVE_TIMEOUT_S):
            await env.registry.deregister(env.instance)


async def _complete(env: Env, job: Job, name: str) -> None:
    await env.background.complete(_with_key_repair(env, job), name, STORE_ERRORS)


def _with_key_repair(env: Env, job: Job) -> Job:
    """The job, restarted once after a key of the wrong Redis type was set aside."""
    return partial(env.stored.with_sound_keys, env.store, job)


def _name(job: Job) -> str:
    """The qualified name, e.g. `Journal.run`, which can be found in the source."""
    return str(getattr(job, "__qualname__", job))


def _edge(env: Env, render_error: RenderError) -> Middleware:
    suffering = Suffering(env)
    traffic = _Traffic(env)

    @web.middleware
    async def edge(request: web.Request, handler: Handler) -> web.StreamResponse:
        if _is_operators(request):
            return await answer(request, handler)
        start = traffic.begin()
        with env.tracing.serve(request) as span:
            try:
                response = await answer(request, handler)
                span.answered(response.status)
                return response
            finally:
                traffic.end(start, span)

    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            access.check(request, env.secret)
            if env.live.rules and not _is_operators(request):
                await suffering.meet(request)
            return await handler(request)
        except ServiceError as error:
            return render_error(request, error)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            return render_error(request, routing_error(request, error))
        except ConnectionResetError:
            return web.Response(status=502)  # the connection is closed; aiohttp discards this response
        except Exception as error:
            if (name := undecodable_header(request, error)) is not None:
                return render_error(request, ServiceError(INVALID_HEADER, name=name))
            if is_wrong_type(error):
                with contextlib.suppress(*STORE_ERRORS):
                    await env.stored.set_aside_wrong_types(env.store)
            env.events.emit("handler_failed", path=request.path, error=repr(error))
            return render_error(request, ServiceError(INTERNAL, detail=type(error).__name__))

    return edge


def _is_operators(request: web.Request) -> bool:
    """Whether the request was routed to an operator page, which faults never affect.

    The path alone does not tell: a storage account may be named `admin` or `metrics`.
    """
    resource = request.match_info.route.resource
    path = resource.canonical if resource is not None else ""
    return path in OPERATOR_PATHS or path.startswith(access.ADMIN)


class _Traffic:
    """Request duration and requests in flight, without operator pages: the same two metrics in every service."""

    def __init__(self, env: Env) -> None:
        self._now = env.clock.now
        self._open = 0
        self._observe = env.metrics.histogram(
            "http_request_duration_seconds",
            "From the request to its answer, as the service sees it.",
            buckets=REQUEST_BUCKETS_S,
        ).observe
        env.metrics.computed_gauge(
            "http_requests_in_flight", "Requests that have no answer yet.", lambda: [((), float(self._open))]
        )

    def begin(self) -> float:
        self._open += 1
        return self._now()

    def end(self, start: float, span: Span) -> None:
        self._open -= 1
        self._observe(self._now() - start, span.exemplar())


def undecodable_header(request: web.Request, error: Exception) -> str | None:
    """The header that is to blame for an error: aiohttp passes bytes that are not UTF-8 on as lone surrogates."""
    if not isinstance(error, UnicodeEncodeError):
        return None
    return next((name for name, value in request.headers.items() if SURROGATE.search(value)), None)


def routing_error(request: web.Request, error: web.HTTPException) -> ServiceError:
    """Maps an HTTP error that aiohttp raised to an error of ours."""
    if error.status == 404:
        return ServiceError(NOT_FOUND, method=request.method, path=request.path)
    if error.status == 405:
        headers = {"Allow": error.headers.get("Allow", "")}
        return ServiceError(METHOD_NOT_ALLOWED, headers=headers, method=request.method, path=request.path)
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return ServiceError(BODY_TOO_LARGE, limit_bytes=request._client_max_size)
    return ServiceError(ErrorSpec(error.reason.replace(" ", ""), error.status, error.text or error.reason))
