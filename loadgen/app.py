"""The load generator as an instance: health, metrics, settings, and control of the load."""

from itertools import islice

from aiohttp import web

from loadgen.load import Load, LoadError
from loadgen.routes import CONFLICT, INVALID, ArrivalsRequest, LoadRequest, StartRequest, api
from loadgen.settings import LoadgenSettings
from services.chassis.app import build_app
from services.chassis.bodies import parse, read_json
from services.chassis.env import Env
from services.chassis.errors import ServiceError
from services.chassis.settings import M, SettingsError, validate

LOAD = web.AppKey("load", Load)
PAGE_MAX = 10_000


class LoadHandlers:
    """The handlers of the load's calls under `/admin`."""

    def __init__(self, load: Load) -> None:
        self._load = load

    async def start(self, request: web.Request) -> web.Response:
        wanted = _valid(StartRequest, await read_json(request) if request.can_read_body else {})
        try:
            await self._load.start(at_epoch=wanted.at_epoch, zero_epoch=wanted.zero_epoch)
        except LoadError as error:
            raise ServiceError(CONFLICT, detail=str(error)) from error
        return self._state()

    async def stop(self, _request: web.Request) -> web.Response:
        await self._load.stop()
        return self._state()

    async def change(self, request: web.Request) -> web.Response:
        wanted = _valid(LoadRequest, await read_json(request))
        try:
            self._load.set_load(wanted.region, wanted.factor)
        except LoadError as error:
            raise ServiceError(INVALID, detail=str(error)) from error
        return self._state()

    async def show(self, _request: web.Request) -> web.Response:
        return self._state()

    async def arrivals(self, request: web.Request) -> web.Response:
        try:
            first = validate(ArrivalsRequest, dict(request.query), "").from_
        except SettingsError as error:
            raise ServiceError(INVALID, detail=str(error)) from error
        kept, count = self._load.arrivals, self._load.arrivals_count
        oldest = count - len(kept)
        start = max(first, oldest)
        rows = list(islice(kept, start - oldest, start - oldest + PAGE_MAX))
        missed = start - first if first < oldest else 0
        return web.json_response({"arrivals": rows, "next": start + len(rows), "missed": missed})

    def _state(self) -> web.Response:
        return web.json_response(
            {
                "running": self._load.running,
                "regions": {name: self._load.factor(name) for name in self._load.settings.regions},
                "arrivals": self._load.arrivals_count,
            }
        )


def _valid(model: type[M], body: object) -> M:
    try:
        return parse(model, body, "")
    except SettingsError as error:
        raise ServiceError(INVALID, detail=str(error)) from error


def render_error(_request: web.Request, error: ServiceError) -> web.Response:
    body = {"error": {"code": error.spec.code, "message": error.message}}
    return web.json_response(body, status=error.spec.status, headers=error.headers)


def create_app(env: Env) -> web.Application:
    """The application; no load is sent until `POST /admin/start`."""
    load = Load(env)
    app = build_app(env, settings_model=LoadgenSettings, api=api(LoadHandlers(load)), render_error=render_error)
    app[LOAD] = load

    async def stop(_app: web.Application) -> None:
        await load.stop()

    app.on_shutdown.append(stop)
    return app
