"""Tokens shared between callers of one process (X2): a token that is cached or being fetched is not requested again.

A system-assigned identity stands for many machines of a tenant, each with its own cache, so its callers are spread
over `callers` caches. A single cache would reduce a tenant's traffic to one request a day, which no real cache does.
"""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Generic, Literal, Protocol, TypeVar

from pydantic import Field

from services.chassis.background import Background
from services.policies.recent import Recent
from services.policies.token_cache import Lookup, TokenCacheSettings, TokenStore

Use = Literal["hit", "shared", "failed"]


class CacheSettings(TokenCacheSettings):
    """MSAL's values, scaled: one bench second is one minute. Off by default."""

    margin_s: float = Field(default=5.0, ge=0)
    """A token counts as expired this long before its expiry."""
    early_lifetime_s: float = Field(default=120.0, gt=0)
    """Tokens with at least this lifetime are refreshed at half of it."""
    early_retry_s: float = Field(default=0.5, ge=0)
    """After a failed early refresh, wait this long before the next one."""
    negative_s: float = Field(default=0.1, ge=0)
    """After a failure without a usable token, fail at once for this long."""
    flight_s: float = Field(default=30.0, gt=0)
    """A leader without a result after this time is replaced; one operation may take 20 s."""
    callers: int = Field(default=200, ge=1)
    """Machines of a tenant in a region that share its system-assigned identity, each with its own cache."""


class Fetched(Protocol):
    """What a fetch returns."""

    @property
    def ok(self) -> bool: ...

    def lifetime_s(self, now_epoch_s: float) -> float:
        """Remaining lifetime of the fetched token, in seconds."""


FetchedT = TypeVar("FetchedT", bound=Fetched)
FAILURES_MAX = 4096


class SharedTokens(Generic[FetchedT]):
    """Cache and single flight over `fetch`. `now` is a function because `get` reads it more than once."""

    def __init__(
        self,
        settings: CacheSettings,
        *,
        now: Callable[[], float],
        epoch: Callable[[], float],
        rng: Random,
        background: Background,
        cached: Callable[[FetchedT], FetchedT],
    ) -> None:
        """`cached` turns a fetched result into the one for later callers."""
        self.settings = settings
        self._cache: TokenStore = settings.build()
        self._now = now
        self._epoch = epoch
        self._rng = rng
        self._cached = cached
        self._flights: dict[str, asyncio.Future[FetchedT | None]] = {}
        self._failures: Recent[str, FetchedT] = Recent(FAILURES_MAX)
        self._background = background

    def machine(self) -> int:
        """Draws the machine, of the callers that share a system-assigned identity, that makes this call."""
        return int(self._rng.random() * self.settings.callers)

    async def get(self, key: str, fetch: Callable[[], Awaitable[FetchedT]], used: Callable[[Use], None]) -> FetchedT:
        """The result from the cache, from a fetch in progress, or from a new fetch. `used` counts all but the last."""
        while True:
            found = self._cache.lookup(key, self._now())
            token: FetchedT | None = self._cache.token(key)
            if found is Lookup.MISS:
                return await self._lead(key, fetch)
            if found is Lookup.WAIT:
                flight = self._flights.get(key)
                if flight is None:
                    return await self._lead(key, fetch)
                # Shielded: cancelling one caller must not cancel the others.
                result = await asyncio.shield(flight)
                if result is not None:
                    used("shared")
                    return result
            elif found is Lookup.FAILED:
                failure = self._failures.get(key)
                if failure is None:  # evicted
                    return await self._lead(key, fetch)
                used("failed")
                return failure
            elif token is not None:
                if found is Lookup.REFRESH_EARLY:
                    self._refresh(key, fetch)
                used("hit")
                return token

    def _refresh(self, key: str, fetch: Callable[[], Awaitable[FetchedT]]) -> None:
        self._background.once(self._lead(key, fetch), "token refresh")

    async def _lead(self, key: str, fetch: Callable[[], Awaitable[FetchedT]]) -> FetchedT:
        flight = self._flights[key] = asyncio.get_running_loop().create_future()
        result: FetchedT | None = None
        began = self._now()
        try:
            result = await fetch()
            self._settle(key, result, began)
            return result
        finally:
            # No result means that the leader was cancelled; the first waiting caller then finds no flight and leads.
            if self._flights.get(key) is flight:
                del self._flights[key]
            flight.set_result(result)

    def _settle(self, key: str, result: FetchedT, began: float) -> None:
        now = self._now()
        if result.ok:
            self._failures.pop(key, None)
            self._cache.store(key, self._cached(result), now, result.lifetime_s(self._epoch()))
        else:
            self._failures[key] = result
            self._cache.fail(key, now, began)

    def __repr__(self) -> str:
        return f"<SharedTokens {self._cache!r}, {len(self._flights)} in flight>"
