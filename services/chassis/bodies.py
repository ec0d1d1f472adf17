"""Request bodies: the one place that parses bytes from outside.

JSON follows RFC 8259 with the interoperability limits of RFC 7493: UTF-8 only, no duplicate names in an object, no
integer beyond 64 bits, no number beyond a double, no unpaired surrogate. Size and depth are bounded.
"""

import json
from typing import Any, NoReturn

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from pydantic import ValidationError

from services.chassis.errors import (
    BODY_TOO_LARGE,
    INVALID_BODY,
    UNSUPPORTED_MEDIA_TYPE,
    ErrorSpec,
    ServiceError,
)
from services.chassis.settings import M, SettingsError, explain

SIZE_MAX_BYTES = 4 * 2**20  # Azure Resource Manager's own limit
DEPTH_MAX = 64
INTEGER_BITS_MAX = 64
BODY_ERRORS: tuple[ErrorSpec, ...] = (INVALID_BODY, UNSUPPORTED_MEDIA_TYPE, BODY_TOO_LARGE)
"""Errors that any JSON body can have, whatever its schema."""


async def read_bytes(request: web.Request) -> bytes:
    """The whole body, with any transfer or content encoding.

    Raises:
        ServiceError: 413 above the application's size limit, 400 when the encoding is damaged.
    """
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise ServiceError(BODY_TOO_LARGE, limit_bytes=request._client_max_size) from error
    except (web.RequestPayloadError, HttpProcessingError) as error:
        raise ServiceError(INVALID_BODY, detail="the transfer or content encoding is damaged") from error


async def read_json(request: web.Request) -> object:
    """The body as JSON.

    Raises:
        ServiceError: 415 for another media type, 413 for a body that is too large, 400 with the reason.
    """
    raw = await read_bytes(request)
    if raw and not _says_json(request):
        raise ServiceError(UNSUPPORTED_MEDIA_TYPE, given=request.headers["Content-Type"])
    try:
        return json_value(raw.decode("utf-8-sig"))
    except ValueError as error:
        raise ServiceError(INVALID_BODY, detail=str(error)) from error


def json_value(text: str) -> object:
    """The value of a JSON text from outside.

    Raises:
        ValueError: with the reason.
    """
    try:
        value = json.loads(
            text, object_pairs_hook=_object, parse_constant=_refuse, parse_float=_finite, parse_int=_integer
        )
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()  # fails on half a surrogate pair
    except UnicodeEncodeError as error:
        raise ValueError("a string holds half a surrogate pair") from error
    except RecursionError as error:
        raise _too_deep() from error
    _check_depth(value)
    return value


def parse(model: type[M], value: object, name: str = "body") -> M:
    """Validates a parsed JSON value as `model`, strictly: "yes" is not a boolean and "1" is not a number.

    Raises:
        SettingsError: names each invalid field.
    """
    if not isinstance(value, dict):
        raise SettingsError(f"{name or 'body'}: must be a JSON object")
    try:
        return model.model_validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        raise SettingsError(explain(error, name)) from error


def _says_json(request: web.Request) -> bool:
    """Whether the media type allows JSON. `octet-stream` does: aiohttp reports it for a missing type too."""
    subtype = request.content_type.partition("/")[2].rpartition("+")[2]
    charset = (request.charset or "utf-8").lower()
    return subtype in ("json", "octet-stream") and charset in ("utf-8", "utf8", "us-ascii")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the name {next(name for name in names if names.count(name) > 1)!r} appears twice")
    return found


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a JSON number")


def _finite(word: str) -> float:
    number = float(word)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"the number {word[:40]} is too large")
    return number


def _integer(word: str) -> int:
    if len(word) > 20 or (number := int(word)).bit_length() > INTEGER_BITS_MAX:
        raise ValueError(f"the number {word[:40]} is too large")
    return number


def _check_depth(value: object) -> None:
    level = [value]
    for _ in range(DEPTH_MAX):
        level = [
            item
            for holder in level
            if isinstance(holder, dict | list)
            for item in (holder.values() if isinstance(holder, dict) else holder)
        ]
        if not level:
            return
    raise _too_deep()


def _too_deep() -> ValueError:
    return ValueError(f"nested deeper than {DEPTH_MAX} levels")
