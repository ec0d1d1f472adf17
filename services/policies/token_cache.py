"""Token cache with single flight (X2): of many callers with a miss, one fetches.

    fresh    now < expires - margin               margin 5 min
    early    fresh, lifetime >= 2 h and now >= issued + lifetime/2: one caller refreshes, all keep using the old token
    failed   for `negative_s` after a failure no caller fetches

Source: MSAL for Python, application.py and token_cache.py
(https://github.com/AzureAD/microsoft-authentication-library-for-python): treated as expired 5 min early, `refresh_in`
at half life when the lifetime is at least 2 h. Retry of a failed early refresh: 30 s, azure-core. Default: off, in
real seconds. On the bench 1 s is 1 incident minute, so scale: margin 5, early from 120, retry 0.5.

Caveats:
* With 24 h tokens a cache reduces the steady load to almost nothing. A surge comes from new identities and cold
  caches, where the cache does not help; single flight does, per key.
* The leader holds a lease, not a lock: if it disappears, the next caller after `flight_s` becomes the leader.
* A negative entry protects the backend and delays the recovery of its callers by up to `negative_s`.
"""

from enum import Enum
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from pydantic import Field

from services.parts.kind import PartKind
from services.policies.part import Replaceable
from services.policies.recent import Recent
from services.policies.settings import PolicySettings

T = TypeVar("T")

KEYS_MAX = 40_000
"""Identity and resource pairs kept; beyond that the oldest is evicted."""


class Lookup(Enum):
    """What a caller must do. MISS and REFRESH_EARLY make it the leader, which must `store` or `fail`."""

    HIT = "hit"
    """Use the token."""
    MISS = "miss"
    """Fetch; other callers wait."""
    WAIT = "wait"
    """Another caller is fetching; look up again when it has stored or failed."""
    REFRESH_EARLY = "refresh_early"
    """Use the token, and fetch a new one in the background."""
    FAILED = "failed"
    """A fetch has just failed; fail too, without a fetch."""


class TokenStore(Protocol):
    """Decides whether a caller uses a cached token, fetches one, or waits for another caller's fetch.

    Keys name an identity and a resource; callers choose them, so the cache bounds how many it keeps (at most 50 000).
    """

    def lookup(self, key: str, now: float) -> Lookup:
        """What the caller must do. After MISS and REFRESH_EARLY it calls `store` or `fail`."""

    def token(self, key: str) -> Any:
        """The token stored last; asked for after HIT and REFRESH_EARLY."""

    def store(self, key: str, token: Any, now: float, lifetime_s: float) -> None:
        """A token was fetched that is valid for `lifetime_s`."""

    def fail(self, key: str, now: float, began: float | None = None) -> None:
        """The fetch that began at `began` failed."""


TOKEN_CACHE = PartKind("token_cache", TokenStore)


class TokenCacheSettings(PolicySettings, Replaceable):
    """The defaults are real seconds, as in MSAL."""

    KIND: ClassVar[PartKind] = TOKEN_CACHE

    enabled: bool = False
    """If False, every lookup is a miss and no caller waits for another."""
    margin_s: float = Field(default=300.0, ge=0)
    """A token counts as expired this long before its expiry."""
    early_lifetime_s: float = Field(default=7200.0, gt=0)
    """Tokens with at least this lifetime are refreshed at half of it."""
    early_retry_s: float = Field(default=30.0, ge=0)
    """After a failed early refresh, wait this long before the next one."""
    negative_s: float = Field(default=5.0, ge=0)
    """After a failure without a usable token, fail at once for this long."""
    flight_s: float = Field(default=30.0, gt=0)
    """A leader without a result after this time is replaced."""

    ORDER = (("margin_s", "<", "early_lifetime_s"),)

    @property
    def active(self) -> bool:
        return self.enabled or bool(self.part)

    def build(self) -> TokenStore:
        own: TokenStore | None = self.own()
        return TokenCache[Any](self) if own is None else own


class _Entry(Generic[T]):
    __slots__ = ("early_at", "expires", "failed_until", "flight_began", "flight_until", "token")

    def __init__(self) -> None:
        self.token: T | None = None
        self.expires = float("-inf")
        self.early_at = float("inf")
        self.failed_until = float("-inf")
        self.flight_began = self.flight_until = float("-inf")


class TokenCache(Generic[T]):
    """Tokens by key (identity and resource)."""

    __slots__ = ("_entries", "settings")

    def __init__(self, settings: TokenCacheSettings | None = None) -> None:
        self.settings = settings or TokenCacheSettings()
        self._entries: Recent[str, _Entry[T]] = Recent(KEYS_MAX)

    def lookup(self, key: str, now: float) -> Lookup:
        """Decides for one caller; records it as the leader if it becomes one."""
        settings = self.settings
        if not settings.enabled:
            return Lookup.MISS
        entry = self._entries.get(key)
        if entry is None:
            entry = self._entries[key] = _Entry()
        in_flight = now < entry.flight_until
        if now < entry.expires:
            if now < entry.early_at or in_flight:
                return Lookup.HIT
            entry.flight_began, entry.flight_until = now, now + settings.flight_s
            return Lookup.REFRESH_EARLY
        if in_flight:
            return Lookup.WAIT
        if now < entry.failed_until:
            return Lookup.FAILED
        entry.flight_began, entry.flight_until = now, now + settings.flight_s
        return Lookup.MISS

    def token(self, key: str) -> T | None:
        """The token stored last; valid only after HIT or REFRESH_EARLY."""
        entry = self._entries.get(key)
        return None if entry is None else entry.token

    def store(self, key: str, token: T, now: float, lifetime_s: float) -> None:
        """The leader fetched a token that was issued now."""
        settings = self.settings
        if not settings.enabled:
            return
        entry = self._entries[key] = _Entry()
        entry.token = token
        entry.expires = now + lifetime_s - settings.margin_s
        if lifetime_s >= settings.early_lifetime_s:
            entry.early_at = now + lifetime_s / 2.0

    def fail(self, key: str, now: float, began: float | None = None) -> None:
        """The fetch that began at `began` failed; ignored if its leader has been replaced."""
        entry = self._entries.get(key)
        if entry is None or (began is not None and began < entry.flight_began):
            return
        entry.flight_until = float("-inf")
        if now < entry.expires:
            entry.early_at = now + self.settings.early_retry_s
        else:
            entry.failed_until = now + self.settings.negative_s

    def clear(self) -> None:
        """Empties the cache, as a restart does."""
        self._entries.clear()

    def __repr__(self) -> str:
        return f"<TokenCache {len(self._entries)} keys>" if self.settings.enabled else "<TokenCache off>"
