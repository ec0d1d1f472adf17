"""Tokens shared between callers of one process (X2): who needs one that another has, or is fetching, sends nothing.

A system-assigned identity stands for many machines of a tenant, each with a cache of its own, so callers of one are
spread over `callers` caches. One cache for all of them would turn a tenant's whole traffic into one request a day,
which no real cache does.
"""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Generic, Literal, Protocol, TypeVar

from pydantic import Field

from services.chassis.background import Background
from services.policies.recent import Recent
from services.policies.token_cache import Lookup, TokenCache, TokenCacheSettings

Use = Literal["hit", "shared", "failed"]
USES: tuple[Use, ...] = ("hit", "shared", "failed")


class CacheSettings(TokenCacheSettings):
    """MSAL's numbers at the bench's pace, one bench second for one minute. Off by default."""

    margin_s: float = Field(default=5.0, ge=0)
    """A token counts as expired this long before it is."""
    early_lifetime_s: float = Field(default=120.0, gt=0)
    """Tokens that live at least this long are refreshed at half life."""
    early_retry_s: float = Field(default=0.5, ge=0)
    """After a failed early refresh, try no other for this long."""
    negative_s: float = Field(default=0.1, ge=0)
    """After a failure without a usable token, fail at once for this long."""
    flight_s: float = Field(default=30.0, gt=0)
    """A leader that has neither stored nor failed after this long is replaced; one operation may take 20 s."""
    callers: int = Field(default=200, ge=1)
    """Machines of a tenant in a region that share its system-assigned identity, each with its own cache."""


class Fetched(Protocol):
    """What a fetch returns."""

    @property
    def ok(self) -> bool: ...

    def lifetime_s(self, now_epoch_s: float) -> float:
        """How long the fetched token lives from now."""


FetchedT = TypeVar("FetchedT", bound=Fetched)
FAILURES_MAX = 4096


class SharedTokens(Generic[FetchedT]):
    """Cache and single flight over `fetch`. `now` is read where it is needed, so it is a function here."""

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
        """`cached` makes of a fetched result the one that later callers get."""
        self.settings = settings
        self._cache: TokenCache[FetchedT] = TokenCache(settings)
        self._now = now
        self._epoch = epoch
        self._rng = rng
        self._cached = cached
        self._flights: dict[str, asyncio.Future[FetchedT | None]] = {}
        self._failures: Recent[str, FetchedT] = Recent(FAILURES_MAX)
        self._background = background

    def machine(self) -> int:
        """Which of the callers of a system-assigned identity this one is."""
        return int(self._rng.random() * self.settings.callers)

    async def get(self, key: str, fetch: Callable[[], Awaitable[FetchedT]], used: Callable[[Use], None]) -> FetchedT:
        """A token from the cache, from a fetch under way, or from a fetch of one's own. `used` counts the first two."""
        while True:
            found = self._cache.lookup(key, self._now())
            token = self._cache.token(key)
            if found is Lookup.MISS:
                return await self._lead(key, fetch)
            if found is Lookup.WAIT:
                flight = self._flights.get(key)
                if flight is None:
                    return await self._lead(key, fetch)
                # Shielded: a caller that is cancelled must not cancel the others' wait.
                result = await asyncio.shield(flight)
                if result is not None:
                    used("shared")
                    return result
            elif found is Lookup.FAILED:
                failure = self._failures.get(key)
                if failure is None:  # forgotten among too many
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
            # Without a result the leader was cancelled; the first of those who wait finds no flight and leads.
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
