"""The errors of a service: code, status and message.

Each service has its own module of errors and renders them in its own format (Azure's XML for blobs, ARM's JSON, the
token endpoint's JSON).
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ErrorSpec:
    """A kind of error. `message` is what the caller reads, a `str.format` template."""

    code: str
    status: int
    message: str


class ServiceError(Exception):
    """An error response of a service. `headers` are added to the response, e.g. `Retry-After`."""

    def __init__(
        self,
        spec: ErrorSpec,
        *,
        target: str | None = None,
        headers: Mapping[str, str] | None = None,
        **fields: object,
    ) -> None:
        self.spec = spec
        self.target = target
        self.headers = dict(headers or {})
        self.message = spec.message.format(**fields) if fields else spec.message
        super().__init__(f"{spec.code}: {self.message}")


INVALID_SETTING = ErrorSpec("InvalidSetting", 422, "{detail}")
INVALID_BODY = ErrorSpec("InvalidRequestContent", 400, "The request content is not valid JSON: {detail}")
UNSUPPORTED_MEDIA_TYPE = ErrorSpec(
    "UnsupportedMediaType", 415, "The content media type '{given}' is not supported. Only 'application/json' is."
)
INVALID_HEADER = ErrorSpec("InvalidHeaderValue", 400, "The value of the header '{name}' is not UTF-8 text.")
BODY_TOO_LARGE = ErrorSpec("RequestContentTooLarge", 413, "The request content is larger than {limit_bytes} bytes.")
NOT_FOUND = ErrorSpec("NotFound", 404, "No route matches {method} {path}.")
METHOD_NOT_ALLOWED = ErrorSpec("MethodNotAllowed", 405, "{method} is not allowed on {path}.")
INTERNAL = ErrorSpec("InternalError", 500, "The server met an internal error: {detail}")
