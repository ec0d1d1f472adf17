"""The configuration that a node reads from a storage account when it starts; it serves nothing before it has it.

Nodes that start together read together. With the defaults, a fixed wait without jitter, those that failed do so again
at the same time: a herd that keeps a store of limited rate (`blobstore.reads_at_once`) busy with reads whose readers
have given up. A node whose retries are used up starts anew after `identity.restart_s`.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from yarl import URL

from services.chassis.env import Env
from services.chassis.http import TIMEOUT
from services.identity.metrics import IdentityMetrics
from services.identity.settings import ConfigurationSettings, IdentitySettings
from services.policies import retry


class ReadResult(NamedTuple):
    """The result of one read, for the retry policy."""

    failure: str
    status: int

    @property
    def retryable(self) -> bool:
        return bool(self.failure)

    @property
    def retry_after_s(self) -> float | None:
        return None


class ConfigurationReader:
    """Reads the configuration of one node, with the settings that are in force at each attempt."""

    def __init__(self, env: Env, metrics: IdentityMetrics, current: Callable[[], IdentitySettings]) -> None:
        self._env = env
        self._metrics = metrics
        self._current = current
        self._rng = env.streams["identity.configuration"]

    async def read(self) -> None:
        """Returns when the configuration was read, or none is needed any more."""
        began, attempts = self._env.clock.now(), 0
        while self._settings.blob:
            policy = self._settings.retry.build()
            result = await retry.call(
                policy,
                self._attempt,
                clock_now=self._env.clock.now,
                sleep=asyncio.sleep,
                rng=self._rng,
            )
            attempts += 1
            if not result.failure:
                break
            await asyncio.sleep(self._current().restart_s)
        took_s = self._env.clock.now() - began
        self._env.events.emit("node_configured", region=self._env.region, took_s=took_s, starts=attempts)

    @property
    def _settings(self) -> ConfigurationSettings:
        return self._current().configuration

    async def _attempt(self) -> ReadResult:
        settings = self._settings
        region = settings.region or self._env.region
        path = settings.blob.format(region=region)
        url = URL(f"{self._env.peers.url('blobstore', region)}/{path}")
        reply = await self._env.http.call("GET", url, timeout_s=settings.timeout_s)
        failure = "" if reply.ok else TIMEOUT if reply.failure == TIMEOUT else "refused"
        self._metrics.configuration_read(failure or "ok")
        return ReadResult(failure, reply.status)
