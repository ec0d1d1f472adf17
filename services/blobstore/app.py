"""Builds the blob service. The data plane serves all paths that are not operator or ARM paths."""

from collections.abc import Iterable

from aiohttp import web

from services.blobstore.admin import Admin
from services.blobstore.arm.handlers import Arm
from services.blobstore.data.answers import Answers
from services.blobstore.data.authorisation import ReadAuthorisation
from services.blobstore.data.writes import Writers
from services.blobstore.handlers import Readers
from services.blobstore.limits import ArmLimits
from services.blobstore.metrics import BlobstoreMetrics, export_accounts
from services.blobstore.routes import api
from services.blobstore.settings import BlobstoreSettings
from services.blobstore.store.storage import Storage
from services.blobstore.tokens import JwksVerifier, Verifier
from services.chassis.app import build_app
from services.chassis.env import Env
from services.chassis.http import HttpReply
from services.chassis.settings import SettingsError

JWKS_PATH = "/.well-known/jwks.json"


def create_app(env: Env, verifier: Verifier | None = None) -> web.Application:
    """The application. `verifier` replaces the default, which fetches keys from the region's identity service."""
    storage = Storage(env)
    metrics = BlobstoreMetrics(env.metrics, env.region)
    limits = ArmLimits(storage.settings, env.clock)
    answers = Answers(env, metrics, limits)
    verifier = verifier or _identity_verifier(env, storage)
    authorisation = ReadAuthorisation(env, storage, verifier)
    readers = Readers(env, storage, authorisation, answers, metrics)
    table = api(
        readers,
        Writers(storage, authorisation, answers, metrics),
        Arm(env, storage, verifier, answers, limits),
        Admin(storage, env.clock),
        subscription=storage.settings.subscription_id,
        region=env.region,
    )
    export_accounts(env.metrics, env.region, lambda: _census(env, storage))

    def reconfigure(_topic: str) -> None:
        try:
            storage.settings = env.settings(BlobstoreSettings)
        except SettingsError as error:
            env.events.emit("settings_refused", error=str(error))
            return
        limits.reconfigure(storage.settings)
        readers.reconfigure()

    async def start() -> None:
        reconfigure("settings")
        env.live.on_change(reconfigure)
        await storage.start()

    return build_app(
        env,
        settings_model=BlobstoreSettings,
        api=table,
        render_error=answers.render_error,
        on_start=start,
    )


def _census(env: Env, storage: Storage) -> Iterable[tuple[bool, bool]]:
    now = env.clock.epoch()
    return [(account.switch.effective(now), account.exempt) for account in storage.accounts.values()]


def _identity_verifier(env: Env, storage: Storage) -> JwksVerifier:
    async def fetch() -> HttpReply:
        url = env.peers.url("router", env.region) + JWKS_PATH
        return await env.http.call("GET", url, timeout_s=storage.settings.jwks_timeout_s)

    settings = storage.settings
    return JwksVerifier(fetch, env.clock, lifetime_s=settings.jwks_lifetime_s, pause_s=settings.jwks_pause_s)
