"""Fetches extension packages from the region's storage: anonymously, every time, without cache or mirror.

This is the dependency that failed in the incident. The two fallbacks (X6) are real requests: a copy in another account,
or a second read of the same blob with a token, which moves load to the identity service.
"""

import asyncio
from base64 import b64encode
from hashlib import md5

from yarl import URL

from services.chassis.env import Env
from services.chassis.http import HttpReply
from services.clients.identity.client import ManagedIdentityClient
from services.provisioner.settings import ProvisionerSettings
from services.provisioner.state import Stop

CONTAINER = "packages"
STORAGE_RESOURCE = "https://storage.azure.com/"
STORAGE_VERSION = "2021-12-02"
TOKEN_MARGIN_S = 300.0


class PackageSource:
    """Reads packages for one region."""

    def __init__(self, env: Env, identity: ManagedIdentityClient, settings: ProvisionerSettings) -> None:
        self._env = env
        self._call = env.http.call
        self._identity = identity
        self._bearer = ""
        self._bearer_expires = 0.0
        self._bearer_lock = asyncio.Lock()
        self._urls: dict[str, URL] = {}
        self.settings = settings

    def reconfigure(self, settings: ProvisionerSettings) -> None:
        self.settings = settings
        self._urls.clear()

    async def fetch(self, package: str, tenant: str) -> Stop | None:
        """Fetches a package; returns None on success, else the reason."""
        with self._env.tracing.span("package.fetch", package=package) as span:
            stop = await self._fetch(package, tenant)
            if stop is not None:
                span.fail(stop.cause)
            return stop

    async def _fetch(self, package: str, tenant: str) -> Stop | None:
        settings = self.settings
        url = self._urls.get(package)
        if url is None:
            if package not in settings.packages:
                return Stop("repository", detail=f"package {package} is not published")
            url = self._urls[package] = self._url(package, settings.packages[package].account)
        reply = await self._read(url)
        if reply.status == 409 and settings.artifact_fallback != "none":
            reply = await self._fall_back(package, url, tenant, reply)
        return judge(reply)

    def version(self, package: str) -> str:
        found = self.settings.packages.get(package)
        return found.version if found else ""

    def _url(self, package: str, account: str) -> URL:
        region = self._env.region
        name, version = package.replace("/", "."), self.settings.packages[package].version
        path = f"/{account}{region}/{CONTAINER}/{name}/{version}/package.zip"
        return URL(self._env.peers.url("blobstore", region) + path)

    async def _fall_back(self, package: str, url: URL, tenant: str, denied: HttpReply) -> HttpReply:
        settings = self.settings
        if settings.artifact_fallback == "mirror":
            mirror = settings.artifact_mirrors.get(settings.packages[package].account)
            if mirror is None:
                return denied
            return await self._read(self._url(package, mirror))
        token = await self._token(tenant)
        if not token:
            return denied
        headers = {"Authorization": f"Bearer {token}", "x-ms-version": STORAGE_VERSION}
        return await self._read(url, headers)

    async def _read(self, url: URL, headers: dict[str, str] | None = None) -> HttpReply:
        with self._env.tracing.request("package.read"):
            return await self._call("GET", url, timeout_s=self.settings.fetch_timeout_s, headers=headers)

    async def _token(self, tenant: str) -> str:
        """The platform's storage token; one caller fetches it, the others wait."""
        async with self._bearer_lock:
            if self._env.clock.epoch() < self._bearer_expires - TOKEN_MARGIN_S:
                return self._bearer
            result = await self._identity.token(
                tenant, self._env.region, self.settings.artifact_client_id, STORAGE_RESOURCE
            )
            if not result.ok:
                return ""
            body = result.json()
            self._bearer, self._bearer_expires = str(body["access_token"]), float(body["expires_on"])
            return self._bearer


def judge(reply: HttpReply) -> Stop | None:
    """None if the reply is the complete package. A 4xx other than 429 is `denied`, all else a `repository` error."""
    if reply.status == 200:
        expected = reply.headers.get("Content-MD5")
        if not expected or expected == b64encode(md5(reply.body, usedforsecurity=False).digest()).decode():
            return None
        return Stop("repository", 200, detail="the package's Content-MD5 does not match its bytes")
    if 400 <= reply.status < 500 and reply.status != 429:
        return Stop("denied", reply.status, reply.body)
    return Stop("repository", reply.status, reply.body, reply.failure)
