"""Builds an identity node. The node decides itself when it is in rotation, so it manages its own lease.

Under guarded scale-out a cold node is up but joins the rotation only after it has warmed up.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress

from aiohttp import web
from redis.exceptions import OutOfMemoryError

from services.chassis.app import build_app
from services.chassis.env import Env
from services.chassis.identity_api import error_response
from services.identity.handlers import IdentityHandlers
from services.identity.metrics import IdentityMetrics
from services.identity.node import Node
from services.identity.routes import api
from services.identity.settings import IdentitySettings

STARTED_KEY = "identity-nodes-started"
NODE = web.AppKey("node", Node)


def create_app(env: Env) -> web.Application:
    metrics = IdentityMetrics(env.metrics, env.region)
    node = Node(env, metrics)
    rotation = RotationLease(env, node)
    handlers = IdentityHandlers(env, node, metrics)
    app = build_app(
        env,
        settings_model=IdentitySettings,
        api=api(handlers.handler_of, handlers.crash),
        render_error=error_response,
        background=[rotation.keep],
        on_start=rotation.start,
        register=False,
    )
    app[NODE] = node
    app.on_shutdown.append(_stop)
    _export_state(env, node)
    return app


class RotationLease:
    """Holds the lease while the node is up and releases it when the node crashes.

    A reconciliation loop: each pass compares the actual state with the desired one, so a pass that failed because the
    store was unavailable is made up for by the next one.
    """

    def __init__(self, env: Env, node: Node) -> None:
        self._env = env
        self._node = node
        self._joined = False
        self._changed = asyncio.Event()
        env.stored.expect("hash", STARTED_KEY)
        node.on_rotation = self._changed.set
        env.live.on_change(lambda _topic: node.reconfigure())

    async def start(self) -> None:
        self._node.reconfigure()
        initial = await self._first_start() and self._node.settings.warm_at_start
        if initial:
            self._node.physics.warmth = 1.0
        self._node.begin(has_configuration=initial)
        if self._node.fit:
            await self._look()

    async def _first_start(self) -> bool:
        """Whether no node of this name has started before. A full store does not note a new one, but takes it."""
        store, name = self._env.store, self._env.instance.name
        try:
            return bool(await store.hsetnx(STARTED_KEY, name, "1"))
        except OutOfMemoryError:
            return not await store.hexists(STARTED_KEY, name)

    async def keep(self) -> None:
        """Reconciles three times per lease, and at every crash and restart, until cancelled."""
        while True:
            self._changed.clear()
            if self._node.up and not self._joined:
                await self._node.warm_up()
            await self._look()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._env.registry.lease_s / 3):
                    await self._changed.wait()

    async def _look(self) -> None:
        self._joined = self._node.up
        if self._joined:
            await self._env.registry.register(self._env.instance)
        else:
            await self._env.registry.deregister(self._env.instance)


async def _stop(app: web.Application) -> None:
    app[NODE].stop()


def _export_state(env: Env, node: Node) -> None:
    readings: dict[str, tuple[str, Callable[[], float]]] = {
        "identity_workers": ("Workers of the node.", lambda: node.settings.workers),
        "identity_workers_busy": ("Workers at work now.", lambda: len(node.serving)),
        "identity_queue_length": ("Requests waiting now.", lambda: len(node.queue)),
        "identity_queue_capacity": ("Requests that may wait.", lambda: node.settings.queue_length),
        "identity_node_up": ("1 while the node serves, 0 from crash to restart.", lambda: float(node.up)),
        "identity_cache_warm_ratio": ("0 cold to 1 warm.", lambda: node.physics.warmth),
    }
    for name, (documentation, read) in readings.items():
        env.metrics.computed_gauge(name, documentation, _single(read))


def _single(read: Callable[[], float]) -> Callable[[], list[tuple[tuple[str, ...], float]]]:
    return lambda: [((), float(read()))]
