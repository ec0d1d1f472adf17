"""Builds a provisioner and passes changed settings to its parts."""

import contextlib

from aiohttp import web

from services.chassis.app import build_app
from services.chassis.env import Env
from services.chassis.settings import SettingsError
from services.clients.identity.client import ManagedIdentityClient
from services.provisioner.arm.compute import Compute
from services.provisioner.arm.throttle import SubscriptionThrottle
from services.provisioner.handlers import ProvisionerHandlers
from services.provisioner.jobs.control import JobControl
from services.provisioner.jobs.packages import PackageSource
from services.provisioner.jobs.recovery import Recovery
from services.provisioner.jobs.scheduler import Scheduler
from services.provisioner.jobs.worker import Worker
from services.provisioner.metrics import ProvisionerMetrics
from services.provisioner.settings import ProvisionerSettings
from services.provisioner.store.journal import Journal

STOP_TIMEOUT_S = 2.0


class Provisioner:
    """The parts of one instance."""

    def __init__(self, env: Env) -> None:
        settings = env.settings(ProvisionerSettings)
        self._env = env
        self._settings = settings
        self.compute = Compute()
        metrics = ProvisionerMetrics(
            env.metrics,
            env.region,
            oldest_age_s=lambda: self.compute.oldest_age_s(env.clock.epoch()),
            slots=lambda: self._settings.slots,
        )
        identity = ManagedIdentityClient(env)
        self.packages = PackageSource(env, identity, settings)
        self.worker = Worker(env, self.compute, identity, self.packages, metrics, settings)
        self.journal = Journal(env.store, env.region, env.instance.name, self.compute, reconnect_s=settings.reconnect_s)
        self.journal.version_of = self.packages.version
        recovery = Recovery(self.journal, self.compute, env.stored)
        self.journal.reconcile = recovery.reconcile
        self.scheduler = Scheduler(env, self.compute, self.journal, recovery, self.worker, metrics, settings)
        self.control = JobControl(env, self.compute, self.journal, self.scheduler, settings)
        self.throttle = SubscriptionThrottle(settings)
        self.handlers = ProvisionerHandlers(env, self.compute, self.control, self.throttle, settings)

    async def start(self) -> None:
        self.reconfigure()
        self._env.live.on_change(self._on_change)
        resumed = await self.scheduler.resume()
        if resumed:
            self._env.events.emit("jobs_resumed", region=self._env.region, jobs=resumed)

    def _on_change(self, _topic: str) -> None:
        self.reconfigure()

    def reconfigure(self) -> None:
        """Applies the current settings. Invalid settings are reported and ignored."""
        try:
            settings = self._env.settings(ProvisionerSettings)
        except SettingsError as error:
            self._env.events.emit("setting_rejected", region=self._env.region, error=str(error))
            return
        if settings == self._settings:
            return
        self._settings = settings
        self.worker.settings = self.control.settings = self.handlers.settings = settings
        self.journal.reconnect_s = settings.reconnect_s
        self.packages.reconfigure(settings)
        self.throttle.reconfigure(settings)
        self.scheduler.reconfigure(settings)

    async def stop(self) -> None:
        """Writes decided outcomes and stops; jobs in progress resume at the next start."""
        await self.scheduler.stop()
        with contextlib.suppress(TimeoutError):
            await self.journal.quiet(STOP_TIMEOUT_S)


PROVISIONER = web.AppKey("provisioner", Provisioner)


def create_app(env: Env) -> web.Application:
    provisioner = Provisioner(env)
    handlers = provisioner.handlers
    app = build_app(
        env,
        settings_model=ProvisionerSettings,
        api=handlers.api(),
        render_error=handlers.render_error,
        background=[provisioner.journal.run, provisioner.scheduler.read, provisioner.scheduler.expire],
        on_start=provisioner.start,
    )
    app[PROVISIONER] = provisioner

    async def stop(_app: web.Application) -> None:
        await provisioner.stop()

    app.on_shutdown.append(stop)
    return app
