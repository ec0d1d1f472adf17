"""Verifies bearer tokens against the identity service's published keys.

Keys are fetched when first needed and cached: as in Azure, a reader with a token can read while the identity service
is down. Verified tokens are cached, because checking a signature costs more than a read.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import jwt
from jwt.exceptions import PyJWTError

from services.chassis.clock import Clock
from services.chassis.http import HttpReply
from services.policies.recent import Recent

ALGORITHMS = ("EdDSA", "RS256")
STORAGE_AUDIENCE = "https://storage.azure.com"
MANAGEMENT_AUDIENCES = ("https://management.azure.com", "https://management.core.windows.net")
CLOCK_SKEW_S = 300.0
_SIGNATURE_ONLY: Any = {f"verify_{claim}": False for claim in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")}
"""PyJWT would check lifetimes with the machine's clock; `_check` uses the service's clock."""

_REMEMBERED = 1024

Claims = dict[str, Any]
SigningKeys = dict[str | None, jwt.PyJWK]
Fetch = Callable[[], Awaitable[HttpReply]]


class TokenRefused(Exception):
    """The token is not accepted; the text gives the reason."""


class KeysUnavailable(Exception):
    """The keys could not be fetched, so the token cannot be verified."""


class Verifier(Protocol):
    """Verifies tokens."""

    async def verify(self, token: str, audiences: tuple[str, ...]) -> Claims:
        """The claims of a valid token.

        Raises:
            TokenRefused: it is malformed, forged, expired or for another audience.
            KeysUnavailable: the keys cannot be fetched now.
        """
        ...


class JwksVerifier:
    """A `Verifier` with a JSON Web Key Set from `fetch()`."""

    def __init__(self, fetch: Fetch, clock: Clock, *, lifetime_s: float, pause_s: float) -> None:
        self._fetch = fetch
        self._clock = clock
        self._lifetime_s = lifetime_s
        self._pause_s = pause_s
        self._keys: SigningKeys | None = None
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._lock = asyncio.Lock()
        self._verified: Recent[str, Claims] = Recent(_REMEMBERED)

    async def verify(self, token: str, audiences: tuple[str, ...]) -> Claims:
        claims = self._verified.get(token)
        if claims is None:
            claims = await self._decode(token)
            self._verified[token] = claims
        self._check(claims, audiences)
        return claims

    async def _decode(self, token: str) -> Claims:
        try:
            key_id = jwt.get_unverified_header(token).get("kid")
        except (PyJWTError, ValueError) as error:
            raise TokenRefused("The token is malformed.") from error
        key = await self._key(key_id)
        try:
            return jwt.decode(token, key, algorithms=[key.algorithm_name], options=_SIGNATURE_ONLY)
        except (PyJWTError, ValueError) as error:
            raise TokenRefused("Signature validation failed.") from error

    async def _key(self, key_id: str | None) -> jwt.PyJWK:
        keys = await self._refresh(unknown_key=False)
        if key_id not in keys:  # the key may be new
            keys = await self._refresh(unknown_key=True)
        if key_id not in keys:
            raise TokenRefused("Signature validation failed. The token's key is unknown.")
        return keys[key_id]

    async def _refresh(self, *, unknown_key: bool) -> SigningKeys:
        """The keys; fetched if missing, too old, or without the wanted key. If the fetch fails, the old keys stay."""
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
        return self._keys

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


def _parse(reply: HttpReply) -> SigningKeys | None:
    """The usable keys by id, or None if the reply holds no key set."""
    if not reply.ok:
        return None
    try:
        keys = jwt.PyJWKSet.from_dict(reply.json()).keys
    except (PyJWTError, ValueError, AttributeError, TypeError):
        return None
    return {key.key_id: key for key in keys if key.algorithm_name in ALGORITHMS}
