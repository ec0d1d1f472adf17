"""Builds a router application."""

from aiohttp import web

from services.chassis.app import build_app
from services.chassis.env import Env
from services.chassis.identity_api import error_response
from services.router.handlers import Router
from services.router.metrics import RouterMetrics
from services.router.routes import api
from services.router.settings import RouterSettings

ROUTER = web.AppKey("router", Router)


def create_app(env: Env) -> web.Application:
    pair = env.settings(RouterSettings).pair
    router = Router(env, RouterMetrics(env.metrics, env.region, pair))

    app = build_app(
        env,
        settings_model=RouterSettings,
        api=api(router.forward, router.show_traffic, router.change_traffic, env.region),
        render_error=error_response,
        background=[router.rotation.follow],
        on_start=router.start,
    )
    app[ROUTER] = router
    _export_state(env, router)
    return app


def _export_state(env: Env, router: Router) -> None:
    def health() -> list[tuple[tuple[str, ...], float]]:
        now = env.clock.epoch()
        failover = router.failover
        rows: list[tuple[tuple[str, ...], float]] = [((router.home,), failover.health_home.ratio(now))]
        if router.settings.pair:
            rows.append(((router.settings.pair,), failover.health_alternate.ratio(now)))
        return rows

    def shares() -> list[tuple[tuple[str, ...], float]]:
        share = router.failover.share_home(env.clock.epoch())
        rows: list[tuple[tuple[str, ...], float]] = [((router.home, router.home), share)]
        if router.settings.pair:
            rows.append(((router.home, router.settings.pair), 1.0 - share))
        return rows

    def limit() -> list[tuple[tuple[str, ...], float]]:
        return [((router.home,), router.admissions[router.home].limit_per_s(env.clock.epoch()))]

    metrics = env.metrics
    metrics.computed_gauge("router_region_health_ratio", "Success ratio over the health window.", health, ("region",))
    metrics.computed_gauge(
        "router_region_share_ratio", "Share of home traffic sent to a region.", shares, ("home", "target")
    )
    metrics.computed_gauge(
        "router_admission_limit", "Admitted requests per second; +Inf: no limit.", limit, ("region",)
    )
