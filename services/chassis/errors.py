"""One table row per error: code, status, whether it is definite, whether a retry is safe.

*Definite* means the operation certainly had no effect; a timeout or a reset is indefinite. Each service has its own
table and renders it in its own format (Azure's XML for blobs, ARM's JSON, the token endpoint's JSON).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ErrorSpec:
    """A kind of error. `message` is what the caller reads, a `str.format` template."""

    code: str
    status: int
    message: str
    definite: bool = True
    retry_safe: bool = False


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


@dataclass(frozen=True)
class ErrorTable:
    """The errors of one service; no two rows may share code and status."""

    rows: tuple[ErrorSpec, ...]
    by_code: Mapping[str, ErrorSpec] = field(init=False)

    def __post_init__(self) -> None:
        codes = [(row.code, row.status) for row in self.rows]
        if len(set(codes)) != len(codes):
            raise ValueError(f"two errors share a code and status: {sorted(codes)}")
        object.__setattr__(self, "by_code", {row.code: row for row in self.rows})


INVALID_SETTING = ErrorSpec("InvalidSetting", 422, "{detail}")
INVALID_BODY = ErrorSpec("InvalidRequestContent", 400, "The request content is not valid JSON: {detail}")
UNSUPPORTED_MEDIA_TYPE = ErrorSpec(
    "UnsupportedMediaType", 415, "The content media type '{given}' is not supported. Only 'application/json' is."
)
BODY_TOO_LARGE = ErrorSpec("RequestContentTooLarge", 413, "The request content is larger than {limit_bytes} bytes.")
NOT_FOUND = ErrorSpec("NotFound", 404, "No route matches {method} {path}.")
METHOD_NOT_ALLOWED = ErrorSpec("MethodNotAllowed", 405, "{method} is not allowed on {path}.")
INTERNAL = ErrorSpec(
    "InternalError", 500, "The server met an internal error: {detail}", definite=False, retry_safe=True
)
CHASSIS_ERRORS = ErrorTable(
    (
        INVALID_SETTING,
        INVALID_BODY,
        UNSUPPORTED_MEDIA_TYPE,
        BODY_TOO_LARGE,
        NOT_FOUND,
        METHOD_NOT_ALLOWED,
        INTERNAL,
    )
)
