"""Verifies bearer tokens against the identity service's published keys.

Keys are fetched when first needed and kept: a reader with a token goes on reading while the identity service is down,
which is how the real thing behaves. A verified token is remembered, because a signature costs more than a read.
"""

import asyncio
import warnings
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError, SecurityWarning
from joserfc.jwk import KeySet

from services.chassis.client import Reply
from services.chassis.clock import Clock

ALGORITHMS = ("EdDSA", "Ed25519", "RS256")
STORAGE_AUDIENCE = "https://storage.azure.com"
MANAGEMENT_AUDIENCES = ("https://management.azure.com", "https://management.core.windows.net")
CLOCK_SKEW_S = 300.0
_REMEMBERED = 1024

Claims = dict[str, Any]
Fetch = Callable[[], Awaitable[Reply]]


class TokenRefused(Exception):
    """The token does not let its bearer in; the text says why."""


class KeysUnavailable(Exception):
    """The keys could not be read, so nothing can be said about the token."""


class Verifier(Protocol):
    """Anything that can tell a good token from a bad one."""

    async def verify(self, token: str, audiences: tuple[str, ...]) -> Claims:
        """The claims of a valid token.

        Raises:
            TokenRefused: it is malformed, forged, expired, or meant for someone else.
            KeysUnavailable: the keys cannot be read now.
        """
        ...


class JwksVerifier:
    """A `Verifier` over a JSON Web Key Set that `fetch()` gets."""

    def __init__(self, fetch: Fetch, clock: Clock, *, lifetime_s: float, pause_s: float) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lifetime_s = lifetime_s
        self._pause_s = pause_s
        self._keys: KeySet | None = None
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._lock = asyncio.Lock()
        self._verified: dict[str, Claims] = {}

    async def verify(self, token: str, audiences: tuple[str, ...]) -> Claims:
        claims = self._verified.get(token)
        if claims is None:
            claims = await self._decode(token)
            if len(self._verified) >= _REMEMBERED:
                self._verified.clear()
            self._verified[token] = claims
        self._check(claims, audiences)
        return claims

    async def _decode(self, token: str) -> Claims:
        await self._refresh(unknown_key=False)
        try:
            return self._open(token)
        except InvalidKeyIdError:  # the identity service may have a new key
            await self._refresh(unknown_key=True)
        try:
            return self._open(token)
        except InvalidKeyIdError as error:
            raise TokenRefused("Signature validation failed. The token's key is unknown.") from error

    def _open(self, token: str) -> Claims:
        assert self._keys is not None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SecurityWarning)  # RFC 9864 renames EdDSA; both names are in use
                claims = jwt.decode(token, self._keys, algorithms=list(ALGORITHMS)).claims
        except InvalidKeyIdError:
            raise
        except (JoseError, ValueError) as error:
            raise TokenRefused("Signature validation failed.") from error
        if not isinstance(claims, dict):
            raise TokenRefused("The token carries no claims.")
        return claims

    async def _refresh(self, *, unknown_key: bool) -> None:
        """Fetches the keys when they are missing, old or not enough; old keys outlive a failed fetch."""
        async with self._lock:
            now = self._clock.now()
            wanted = self._keys is None or unknown_key or now >= self._fetched_at + self._lifetime_s
            if wanted and now >= self._tried_at + self._pause_s:
                self._tried_at = now
                keys = _parse(await self._fetch())
                if keys is not None:
                    self._keys, self._fetched_at = keys, self._clock.now()
        if self._keys is None:
            raise KeysUnavailable("the key set could not be read")

    def _check(self, claims: Claims, audiences: tuple[str, ...]) -> None:
        now = self._clock.epoch()
        expires, not_before = claims.get("exp"), claims.get("nbf", 0)
        if not isinstance(expires, int | float) or not isinstance(not_before, int | float):
            raise TokenRefused("Lifetime validation failed. The token has no expiration time.")
        if now >= expires:
            raise TokenRefused("Lifetime validation failed. The token is expired.")
        if now < not_before - CLOCK_SKEW_S:
            raise TokenRefused("Lifetime validation failed. The token is not yet valid.")
        given = claims.get("aud")
        held = given if isinstance(given, list) else [given]
        if not any(isinstance(audience, str) and audience.rstrip("/") in audiences for audience in held):
            raise TokenRefused("Audience validation failed. Audience did not match.")


def _parse(reply: Reply) -> KeySet | None:
    if not reply.ok:
        return None
    try:
        return KeySet.import_key_set(reply.json())
    except (JoseError, ValueError, KeyError, TypeError):
        return None
