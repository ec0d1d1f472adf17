"""The load generator as an instance: health, metrics, settings, and the switches of the load."""

from itertools import islice

from aiohttp import web
from pydantic import Field

from loadgen.load import Load, LoadError
from loadgen.settings import LoadgenSettings
from services.chassis.app import build_app
from services.chassis.bodies import read_json
from services.chassis.env import Env
from services.chassis.errors import ErrorSpec, ServiceError
from services.chassis.settings import M, Settings, SettingsError, validate

CONFLICT = ErrorSpec("LoadConflict", 409, "{detail}")
INVALID = ErrorSpec("InvalidRequest", 422, "{detail}")
LOAD = web.AppKey("load", Load)
PAGE_MAX = 10_000


class StartRequest(Settings):
    at_epoch: float | None = Field(default=None, ge=0, description="Unix time of the first possible arrival")
    zero_epoch: float | None = Field(default=None, ge=0, description="Unix time of τ = 0; default at_epoch")


class LoadRequest(Settings):
    region: str
    factor: float = Field(ge=0)


class ArrivalsRequest(Settings):
    from_: int = Field(default=0, ge=0, alias="from")


class Handlers:
    """The routes under `/admin` that are the load's own."""

    def __init__(self, load: Load) -> None:
        self._load = load

    def routes(self) -> list[web.AbstractRouteDef]:
        return [
            web.post("/admin/start", self.start),
            web.post("/admin/stop", self.stop),
            web.post("/admin/load", self.change),
            web.get("/admin/load", self.show),
            web.get("/admin/arrivals", self.arrivals),
        ]

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
        first = _valid(ArrivalsRequest, dict(request.query)).from_
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
    if not isinstance(body, dict):
        raise ServiceError(INVALID, detail="body: must be a JSON object")
    try:
        return validate(model, body, "")
    except SettingsError as error:
        raise ServiceError(INVALID, detail=str(error)) from error


def render_error(_request: web.Request, error: ServiceError) -> web.Response:
    body = {"error": {"code": error.spec.code, "message": error.message}}
    return web.json_response(body, status=error.spec.status, headers=error.headers)


def create_app(env: Env) -> web.Application:
    """A load generator that is silent until `POST /admin/start`."""
    load = Load(env)
    app = build_app(env, settings_model=LoadgenSettings, routes=Handlers(load).routes(), render_error=render_error)
    app[LOAD] = load

    async def stop(_app: web.Application) -> None:
        await load.stop()

    app.on_shutdown.append(stop)
    return app
