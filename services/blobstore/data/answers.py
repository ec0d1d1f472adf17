"""Common response headers (request id, version, date) and error bodies in the format of the data plane or of ARM.

`Date` comes from the service's clock: aiohttp would put the machine's time into a virtual run.
"""

import json
import re
from collections.abc import Mapping
from xml.sax.saxutils import escape

from aiohttp import web
from multidict import CIMultiDict

from services.blobstore import errors
from services.blobstore.errors import BlobError
from services.blobstore.limits import READS, WRITES, ArmLimits
from services.blobstore.metrics import ANONYMOUS, BEARER, BlobstoreMetrics
from services.blobstore.settings import RESERVED
from services.blobstore.store.storage import SERVER
from services.chassis.clock import http_date, iso
from services.chassis.env import Env
from services.chassis.errors import METHOD_NOT_ALLOWED, NOT_FOUND, ServiceError

ANONYMOUS_VERSION = "2009-09-19"
"""Azure's default for requests without `x-ms-version`."""

_VERSION = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_CORRELATION = re.compile(r"[\x21-\x7e]{1,256}")
_CLIENT_ID_LENGTH_MAX = 1024
_VERSIONS_KEPT = 100


class Answers:
    """Builds common response headers and error responses."""

    def __init__(self, env: Env, metrics: BlobstoreMetrics, limits: ArmLimits) -> None:
        self._clock = env.clock
        self._ids = env.streams["request-ids"]
        self._region = env.region
        self._challenge = (
            f'Bearer authorization_uri="{env.peers.url("router", env.region)}" resource_id="https://storage.azure.com"'
        )
        self._metrics = metrics
        self._limits = limits
        self._versions = {ANONYMOUS_VERSION}
        self._date = (-1, "")

    # --- both planes ---------------------------------------------------------------------------------

    def new_id(self) -> str:
        bits = f"{self._ids.getrandbits(128):032x}"
        return f"{bits[:8]}-{bits[8:12]}-{bits[12:16]}-{bits[16:20]}-{bits[20:]}"

    def date(self) -> str:
        second = int(self._clock.epoch())
        if second != self._date[0]:
            self._date = (second, http_date(second))
        return self._date[1]

    # --- data plane ----------------------------------------------------------------------------------

    def stamp(self, headers: CIMultiDict[str], request: web.Request) -> CIMultiDict[str]:
        """Adds the common headers of the data plane.

        Raises:
            BlobError: `x-ms-version` is not a date.
        """
        asked = request.headers
        version = asked.get("x-ms-version", ANONYMOUS_VERSION)
        if version not in self._versions:
            if not _VERSION.fullmatch(version):
                raise errors.bad_header("x-ms-version", version)
            if len(self._versions) < _VERSIONS_KEPT:
                self._versions.add(version)
        headers["x-ms-request-id"] = self.new_id()
        headers["x-ms-version"] = version
        headers["Date"] = self.date()
        client_id = asked.get("x-ms-client-request-id")
        if client_id is not None and client_id.isascii() and len(client_id) <= _CLIENT_ID_LENGTH_MAX:
            headers["x-ms-client-request-id"] = client_id
        return headers

    def headers(self, request: web.Request, more: Mapping[str, str]) -> CIMultiDict[str]:
        """The common headers plus `more`."""
        return self.stamp(CIMultiDict(more, Server=SERVER), request)

    def xml_error(self, request: web.Request, error: ServiceError) -> web.Response:
        spec = _AS_BLOB_ERROR.get(error.spec, error.spec)
        message = error.message if spec is error.spec else spec.message
        headers = CIMultiDict(error.headers, Server=SERVER)
        try:
            self.stamp(headers, request)
        except BlobError:
            headers.update({"x-ms-request-id": self.new_id(), "x-ms-version": ANONYMOUS_VERSION, "Date": self.date()})
        headers["x-ms-error-code"] = spec.code
        if spec.status == 401:
            headers["WWW-Authenticate"] = self._challenge
        self._metrics.answered(authentication(request), spec.status)
        reason = _phrase(message)
        if request.method == "HEAD" or spec.status == 304:
            return web.Response(status=spec.status, reason=reason, headers=headers)
        details = error.details if isinstance(error, BlobError) else {}
        headers["Content-Type"] = "application/xml"
        body = self._xml_body(spec.code, message, headers["x-ms-request-id"], details)
        return web.Response(status=spec.status, reason=reason, headers=headers, body=body)

    def _xml_body(self, code: str, message: str, request_id: str, details: dict[str, str]) -> bytes:
        more = "".join(f"<{name}>{xml_text(value)}</{name}>" for name, value in details.items())
        return (
            '<?xml version="1.0" encoding="utf-8"?>'
            f"<Error><Code>{code}</Code><Message>{xml_text(message)}\nRequestId:{request_id}\n"
            f"Time:{iso(self._clock.epoch())}</Message>{more}</Error>"
        ).encode()

    # --- resource manager ----------------------------------------------------------------------------

    def arm_headers(self, request: web.Request) -> CIMultiDict[str]:
        request_id = self.new_id()
        moment = iso(self._clock.epoch())[:19].replace("-", "").replace(":", "")
        kind = arm_kind(request)
        headers = CIMultiDict(
            {
                "Cache-Control": "no-cache",
                "Date": self.date(),
                "x-ms-request-id": request_id,
                "x-ms-correlation-request-id": correlation(request) or request_id,
                "x-ms-routing-request-id": f"{self._region.upper()}:{moment}Z:{request_id}",
                f"x-ms-ratelimit-remaining-subscription-{kind}": str(self._limits.remaining(kind)),
            }
        )
        client_id = request.headers.get("x-ms-client-request-id", "")
        if client_id and client_id.isascii() and len(client_id) <= _CLIENT_ID_LENGTH_MAX:
            headers["x-ms-client-request-id"] = client_id
        return headers

    def arm(self, request: web.Request, body: object, status: int = 200) -> web.Response:
        headers = self.arm_headers(request)
        if body is None:
            return web.Response(status=status, headers=headers)
        headers["Content-Type"] = "application/json; charset=utf-8"
        return web.Response(status=status, headers=headers, body=json.dumps(body).encode())

    def arm_error(self, request: web.Request, error: ServiceError) -> web.Response:
        if error.spec is NOT_FOUND:
            error = ServiceError(errors.ARM_INVALID_TYPE, path=request.path)
        headers = self.arm_headers(request)
        headers.update(error.headers)
        headers["Content-Type"] = "application/json; charset=utf-8"
        message = error.message
        if error.spec is errors.ARM_LOCKED:
            message += f"\nRequestId:{headers['x-ms-request-id']}\nTime:{iso(self._clock.epoch())}"
        if error.spec.status == 401:
            headers["WWW-Authenticate"] = self._challenge.replace("storage.azure", "management.azure")
        body = json.dumps({"error": _arm_detail(error, message)}).encode()
        return web.Response(status=error.spec.status, headers=headers, body=body)

    # --- choosing ------------------------------------------------------------------------------------

    def render_error(self, request: web.Request, error: ServiceError) -> web.Response:
        first = request.path.removeprefix("/").partition("/")[0]  # of `OPTIONS *` and `CONNECT` there is no slash
        if first.lower() == "subscriptions":
            return self.arm_error(request, error)
        if first.split(".", 1)[0] in RESERVED:
            body = {"error": _arm_detail(error, error.message)}
            return web.json_response(body, status=error.spec.status, headers=error.headers)
        return self.xml_error(request, error)


_AS_BLOB_ERROR = {NOT_FOUND: errors.INVALID_URI, METHOD_NOT_ALLOWED: errors.UNSUPPORTED_VERB}
"""Maps aiohttp's routing errors to data-plane errors."""


def authentication(request: web.Request) -> str:
    return BEARER if "Authorization" in request.headers else ANONYMOUS


def correlation(request: web.Request) -> str:
    """The caller's `x-ms-correlation-request-id`; empty if missing or unreadable."""
    given = request.headers.get("x-ms-correlation-request-id", "")
    return given if _CORRELATION.fullmatch(given) else ""


def arm_kind(request: web.Request) -> str:
    return READS if request.method in ("GET", "HEAD", "POST") else WRITES


def _phrase(message: str) -> str:
    """The first line for the status line, without control characters: a refusal names the path that was asked for."""
    return "".join(sign if sign.isprintable() else " " for sign in message.split("\n", 1)[0])


def xml_text(value: str) -> str:
    """`value` escaped for XML; characters that XML cannot hold become U+FFFD."""
    return escape(NOT_XML.sub("\ufffd", value))


def _arm_detail(error: ServiceError, message: str) -> dict[str, str]:
    detail = {"code": error.spec.code, "message": message}
    if error.target:
        detail["target"] = error.target
    return detail
