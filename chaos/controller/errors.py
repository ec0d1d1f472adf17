"""The controller's errors: one table, one shape, `{"error": {"code", "message", "target"?}}`."""

from aiohttp import web

from services.chassis import errors as chassis
from services.chassis.errors import ErrorSpec, ServiceError

UNAUTHENTICATED = ErrorSpec("unauthenticated", 401, "A valid bearer token is required.")
FORBIDDEN = ErrorSpec("forbidden", 403, "The read token is not sufficient; {method} {path} requires the operate token.")
NOT_FOUND = ErrorSpec("not_found", 404, "{detail}")
CONFLICT = ErrorSpec("conflict", 409, "{detail}")
INVALID = ErrorSpec("invalid_body", 422, "{detail}")
INVALID_QUERY = ErrorSpec("invalid_query", 422, "{detail}")
UNAVAILABLE = ErrorSpec("unavailable", 503, "{detail}")
REFUSED = ErrorSpec("refused", 502, "{detail}")
UNSUPPORTED = ErrorSpec("unsupported", 501, "{detail}")

_CODES = {
    chassis.INVALID_BODY: "invalid_json",
    chassis.INVALID_HEADER: "invalid_header",
    chassis.UNSUPPORTED_MEDIA_TYPE: "unsupported_media_type",
    chassis.BODY_TOO_LARGE: "body_too_large",
    chassis.NOT_FOUND: "not_found",
    chassis.METHOD_NOT_ALLOWED: "method_not_allowed",
    chassis.INTERNAL: "internal",
}
"""Names of the chassis errors in this API."""


def render(_request: web.Request, error: ServiceError) -> web.Response:
    detail: dict[str, object] = {"code": _CODES.get(error.spec, error.spec.code), "message": error.message}
    if error.target:
        detail["target"] = error.target
    headers = dict(error.headers)
    if error.spec is UNAUTHENTICATED:
        headers["WWW-Authenticate"] = 'Bearer realm="aftershock"'
    return web.json_response({"error": detail}, status=error.spec.status, headers=headers)
