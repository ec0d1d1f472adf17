"""The HTTP client of every service and tenant: one call, one reply, failures as values.

Transport failures are return values, not exceptions: under overload most calls fail, and an exception through every
layer costs more than the call. aiohttp's default timeout of 300 s and its rounding of timeouts to whole seconds are
switched off: every call states its timeout, which fires at exactly that time.
"""

import json
import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import aiohttp
from yarl import URL

from services.chassis.clock import parse_http_date

TIMEOUT = "timeout"
RESET = "reset"
REFUSED = "refused"
RETRY_AFTER = "Retry-After"
FLOAT_ERROR_S = 1e-6
"""A wait that is computed may exceed a whole second by its rounding; that is no reason for one more."""


@lru_cache(maxsize=256)
def client_timeout(timeout_s: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=timeout_s, ceil_threshold=float("inf"))


class HttpReply:
    """The result of a call. Without a response, `status` is 0 and `failure` gives the reason."""

    __slots__ = ("body", "failure", "headers", "status")

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes, failure: str = "") -> None:
        self.status = status
        self.headers = headers
        self.body = body
        self.failure = failure

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    def json(self) -> Any:
        return json.loads(self.body) if self.body else None

    def retry_after_s(self, now_epoch_s: float) -> float | None:
        """Seconds to wait by `Retry-After`, a number or a date (RFC 9110 §10.2.3); None if missing or malformed."""
        value = self.headers.get(RETRY_AFTER)
        return _seconds_from(value, now_epoch_s) if value else None

    def __repr__(self) -> str:
        return f"<HttpReply {self.failure or self.status}, {len(self.body)} bytes>"


def retry_after(wait_s: float | None) -> dict[str, str]:
    """The header `Retry-After` of an answer: whole seconds, rounded up, at least 1 (RFC 9110 §10.2.3: no fractions).

    Without a wait, or with an endless one, there is none.
    """
    if wait_s is None or wait_s == math.inf:
        return {}
    return {RETRY_AFTER: str(max(1, math.ceil(wait_s - FLOAT_ERROR_S)))}


def _seconds_from(value: str, now_epoch_s: float) -> float | None:
    try:
        seconds = float(value)
        return seconds if 0 <= seconds < math.inf else None
    except ValueError:
        moment_s = parse_http_date(value)
        return None if moment_s is None else max(0.0, moment_s - now_epoch_s)


NO_HEADERS: Mapping[str, str] = {}
_TIMED_OUT = HttpReply(0, NO_HEADERS, b"", TIMEOUT)
_RESET = HttpReply(0, NO_HEADERS, b"", RESET)
_REFUSED = HttpReply(0, NO_HEADERS, b"", REFUSED)


class HttpClient:
    """Calls over one `ClientSession`, or over the virtual runtime's replacement for it."""

    __slots__ = ("session",)

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def call(
        self,
        method: str,
        url: str | URL,
        *,
        timeout_s: float,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        json: Any = None,
        data: bytes | None = None,
    ) -> HttpReply:
        """Sends one request. Network and server failures are returned in the reply, never raised."""
        try:
            async with self.session.request(
                method,
                url,
                headers=headers,
                params=params,
                json=json,
                data=data,
                timeout=client_timeout(timeout_s),
                allow_redirects=False,
            ) as response:
                return HttpReply(response.status, response.headers, await response.read())
        except TimeoutError:  # aiohttp's timeouts derive from it
            return _TIMED_OUT
        except aiohttp.ClientConnectorError:
            return _REFUSED
        except (aiohttp.ClientError, ConnectionError):
            return _RESET

    async def close(self) -> None:
        await self.session.close()
