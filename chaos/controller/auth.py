"""Bearer tokens with two roles: `read`, and `operate`, which includes `read`. Compared in constant time.

Alertmanager belongs to the project and is not an operator: it uses the project secret instead.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from chaos.controller import errors
from chaos.experiment.runs import replace
from services.chassis.access import matches
from services.chassis.errors import ServiceError
from services.chassis.routes import Access
from services.chassis.streams import secret_token

SCHEME = "Bearer "
SESSION_COOKIE = "aftershock_read"


def presented(request: web.Request) -> str | None:
    """The credential of a request: the header, or for a GET the session cookie, which holds the read token."""
    cookie = request.cookies.get(SESSION_COOKIE) if request.method == "GET" else None
    return request.headers.get("Authorization") or (SCHEME + cookie if cookie else None)


@dataclass(frozen=True, repr=False)
class Tokens:
    """The tokens; not part of the repr, so that they do not get into logs."""

    read: str
    operate: str
    project: str = ""

    def check(self, header: str | None, needed: Access, method: str, path: str) -> None:
        """Authorises a request.

        Raises:
            ServiceError: 401 without a valid token, 403 for the read token on an operate call.
        """
        given = header[len(SCHEME) :] if header and header.startswith(SCHEME) else ""
        if needed == "project" and not matches(given, self.project):
            raise ServiceError(errors.UNAUTHENTICATED)
        if needed not in ("read", "operate"):
            return
        may_operate = matches(given, self.operate)
        may_read = matches(given, self.read)
        if not (may_operate or may_read):
            raise ServiceError(errors.UNAUTHENTICATED)
        if needed == "operate" and not may_operate:
            raise ServiceError(errors.FORBIDDEN, method=method, path=path)


def load_tokens(file: Path, read: str, operate: str) -> tuple[Tokens, bool]:
    """The configured tokens, or those generated at the first start; the flag tells whether one was generated now.

    Generated tokens are stored in a file readable only by this user, not in Redis, which a reset empties. A damaged
    file is replaced.

    Raises:
        OSError: the file (named in the error) cannot be read or written.
    """
    kept = _kept(file)
    given = {"read": read, "operate": operate}
    tokens = {role: value or kept.get(role) or secret_token() for role, value in given.items()}
    made = any(not value and role not in kept for role, value in given.items())
    if made:
        file.parent.mkdir(parents=True, exist_ok=True)
        replace(file, json.dumps(tokens), mode=0o600)
    return Tokens(tokens["read"], tokens["operate"]), made


def _kept(file: Path) -> dict[str, str]:
    """The tokens of an earlier start."""
    try:
        return tokens_in(file.read_bytes())
    except FileNotFoundError:
        return {}


def tokens_in(content: bytes) -> dict[str, str]:
    """The tokens by role in a file of generated tokens, without those that are not tokens."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):  # also text that is not UTF-8
        return {}
    rows = found.items() if isinstance(found, dict) else ()
    return {role: value for role, value in rows if isinstance(value, str) and value}
