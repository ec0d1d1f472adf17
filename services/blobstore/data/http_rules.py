"""Byte ranges and conditional headers as Azure applies them. Pure.

Azure supports no suffix ranges and no lists of ranges and, before version 2011-08-18 (or without `x-ms-version`, which
means 2009), no open-ended ranges (docs "Specifying the range header for Blob service operations"). An unsupported
`Range` is ignored (RFC 9110 §14.2); a malformed `x-ms-range`, Azure's own header, is refused.
"""

import re
from collections.abc import Mapping

from services.blobstore import errors
from services.blobstore.errors import BlobError, bad_header
from services.chassis.clock import parse_http_date

RANGE = "Range"
X_MS_RANGE = "x-ms-range"
RANGE_MD5 = "x-ms-range-get-content-md5"
OPEN_RANGE_SINCE = "2011-08-18"
RANGE_MD5_MAX_BYTES = 4 * 2**20
IF_MATCH = "If-Match"
IF_NONE_MATCH = "If-None-Match"
IF_MODIFIED_SINCE = "If-Modified-Since"
IF_UNMODIFIED_SINCE = "If-Unmodified-Since"
CONDITIONS = (IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE)
_RANGE = re.compile(r"bytes=([0-9]{1,18})-([0-9]{0,18})", re.ASCII)


def byte_range(headers: Mapping[str, str], size: int) -> tuple[int, int] | None:
    """The requested range as (first byte, byte after the last); None for the whole blob.

    Raises:
        BlobError: `InvalidRange` (416) past the end, `InvalidHeaderValue` (400) for a malformed `x-ms-range`.
    """
    own = headers.get(X_MS_RANGE)
    value = own or headers.get(RANGE)
    if not value:
        return None
    match = _RANGE.fullmatch(value.strip())
    if match and not match[2] and headers.get("x-ms-version", "") < OPEN_RANGE_SINCE:
        match = None
    first = int(match[1]) if match else 0
    last = int(match[2]) if match and match[2] else max(first, size - 1)
    if match is None or last < first:
        if own:
            raise bad_header(X_MS_RANGE, own)
        return None
    if first >= size:
        raise BlobError(errors.INVALID_RANGE, headers={"Content-Range": f"bytes */{size}"})
    return first, min(last + 1, size)


def wants_range_md5(headers: Mapping[str, str], span: tuple[int, int] | None) -> bool:
    """Whether the MD5 of the range is requested, which Azure supports up to 4 MiB.

    Raises:
        BlobError: requested without a range, or for a longer one.
    """
    value = headers.get(RANGE_MD5, "").lower()
    if value in ("", "false"):
        return False
    if value != "true" or span is None or span[1] - span[0] > RANGE_MD5_MAX_BYTES:
        raise bad_header(RANGE_MD5, value)
    return True


def has_conditions(headers: Mapping[str, str]) -> bool:
    return IF_NONE_MATCH in headers or IF_MATCH in headers or any(name in headers for name in CONDITIONS[2:])


def check_read(headers: Mapping[str, str], etag: str | None, modified_at: float) -> None:
    """Checks the conditions of a read; `etag` is None if the blob does not exist.

    All given conditions must hold, except that `If-None-Match` and `If-Modified-Since` are joined by *or*, as in Azure
    since version 2013-08-15.

    Raises:
        BlobError: `ConditionNotMet` (304 or 412), `UnsatisfiableCondition` or `InvalidHeaderValue` (400).
    """
    if_match, if_none_match = headers.get(IF_MATCH), headers.get(IF_NONE_MATCH)
    unmodified, modified = _date(headers, IF_UNMODIFIED_SINCE), _date(headers, IF_MODIFIED_SINCE)
    if etag is None and if_match is not None:
        raise BlobError(errors.CONDITION_NOT_MET)
    if if_none_match is not None and if_none_match.strip() == "*":
        raise BlobError(errors.UNSATISFIABLE_CONDITION)
    if etag is None:
        return
    if if_match is not None and not _matches(if_match, etag):
        raise BlobError(errors.CONDITION_NOT_MET)
    if unmodified is not None and int(modified_at) > unmodified:
        raise BlobError(errors.CONDITION_NOT_MET)
    fresh = []
    if if_none_match is not None:
        fresh.append(not _matches(if_none_match, etag))
    if modified is not None:
        fresh.append(int(modified_at) > modified)
    if fresh and not any(fresh):
        raise BlobError(errors.NOT_MODIFIED)


def check_write(headers: Mapping[str, str], etag: str | None, modified_at: float) -> None:
    """Checks the conditions of a write to a blob with `etag` (None: it does not exist).

    Raises:
        BlobError: `BlobAlreadyExists` (409) for `If-None-Match: *`, else `ConditionNotMet` (412).
    """
    if_match, if_none_match = headers.get(IF_MATCH), headers.get(IF_NONE_MATCH)
    unmodified, modified = _date(headers, IF_UNMODIFIED_SINCE), _date(headers, IF_MODIFIED_SINCE)
    if etag is None:
        if if_match is not None:
            raise BlobError(errors.CONDITION_NOT_MET)
        return
    if if_none_match is not None and if_none_match.strip() == "*":
        raise BlobError(errors.BLOB_EXISTS)
    if (
        (if_match is not None and not _matches(if_match, etag))
        or (if_none_match is not None and _matches(if_none_match, etag))
        or (unmodified is not None and int(modified_at) > unmodified)
        or (modified is not None and int(modified_at) <= modified)
    ):
        raise BlobError(errors.CONDITION_NOT_MET)


def _matches(value: str, etag: str) -> bool:
    """Whether `value` is `*` or a list that contains this ETag. Like Azure, accepts ETags without quotes."""
    bare = etag.strip('"')
    return value.strip() == "*" or any(item.strip().strip('"') == bare for item in value.split(","))


def _date(headers: Mapping[str, str], name: str) -> float | None:
    value = headers.get(name)
    if value is None:
        return None
    moment_s = parse_http_date(value)
    if moment_s is None:
        raise bad_header(name, value)
    return moment_s
