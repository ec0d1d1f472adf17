"""The routes of a router: the public identity API, forwarded to a node, and the operator's traffic control."""

from pydantic import BaseModel, Field

from services.chassis import identity_api
from services.chassis.bodies import BODY_ERRORS
from services.chassis.errors import ErrorSpec
from services.chassis.openapi import Api
from services.chassis.routes import Body, Handler, ResponseSpec, Route
from services.chassis.settings import Settings
from services.router import errors
from services.router.state import TrafficMode

TITLE = "Aftershock regional router"
TAG = "traffic"
OWN = (errors.SHED, errors.NOT_ADMITTED, errors.NO_NODE, errors.NODE_LOST, errors.NODE_TIMEOUT)
PASSED_ON = tuple(ErrorSpec("passed on", status, "The node's answer.") for status in (400, 401, 404, 413, 415, 429))

LONGEST_S = 86_400.0


class TrafficChange(Settings):
    """Body of `PUT /admin/traffic/{region}`."""

    mode: TrafficMode
    from_fraction: float = Field(default=0.10, ge=0, le=2)
    to_fraction: float = Field(default=0.85, gt=0, le=2)
    over_s: float = Field(default=80.0, gt=0, le=LONGEST_S)
    hold_s: float = Field(default=20.0, ge=0, le=LONGEST_S)


class RegionTraffic(BaseModel):
    mode: TrafficMode
    open: bool
    nodes: int


class TrafficView(BaseModel):
    home: str
    regions: dict[str, RegionTraffic]


class TrafficChanged(BaseModel):
    region: str
    mode: TrafficMode
    capacity_per_s: float


def api(forward: Handler, show: Handler, change: Handler, home: str) -> Api:
    """The route table of the router of `home`."""
    public = identity_api.identity_routes(lambda _operation_id: forward, lambda _operation_id: (*OWN, *PASSED_ON))
    operator = (
        Route(
            "GET",
            "/admin/traffic",
            "get_traffic",
            "Modes and nodes",
            show,
            "project",
            {200: ResponseSpec("by region", TrafficView)},
            tag=TAG,
        ),
        Route(
            "PUT",
            "/admin/traffic/{region}",
            "set_traffic",
            "Open, drain or ramp the region's traffic",
            change,
            "project",
            {200: ResponseSpec("changed", TrafficChanged)},
            (errors.UNKNOWN_REGION, errors.INVALID_TRAFFIC),
            Body(TrafficChange, by_handler=True),
            path_shapes={"region": {"const": home}},
            tag=TAG,
        ),
    )
    return Api(TITLE, (*public, *operator), identity_api.dialect, _common)


def _common(route: Route) -> tuple[ErrorSpec, ...]:
    return BODY_ERRORS if route.body else ()
