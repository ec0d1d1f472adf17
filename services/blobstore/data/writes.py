"""The data plane's writes, for tests and seeding: block blobs, containers, deletion. They need a bearer token.

A token is valid for every account (roles are not modelled). The operator API (`admin.py`) also uses `store_blob`,
without a token.
"""

import binascii
import re
from base64 import b64decode
from collections.abc import AsyncIterator, Mapping

from aiohttp import web

from services.blobstore import errors
from services.blobstore.data import http_rules
from services.blobstore.data.answers import NOT_XML, Answers
from services.blobstore.data.authorisation import ReadAuthorisation
from services.blobstore.errors import BlobError, bad_header
from services.blobstore.metrics import BEARER, BlobstoreMetrics
from services.blobstore.settings import CONTAINER_NAME
from services.blobstore.state import AccessLevel, Blob, StorageAccount
from services.blobstore.store.storage import BlobCheck, Storage, Upload

READ_BYTES = 256 * 1024
BLOB_NAME_LENGTH_MAX = 1024
_LEVELS: dict[str, AccessLevel] = {"": "None", "blob": "Blob", "container": "Container"}
_METADATA = "x-ms-meta-"
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
_CONTENT_HEADERS = {
    "Content-Type": "x-ms-blob-content-type",
    "Content-Encoding": "x-ms-blob-content-encoding",
    "Content-Language": "x-ms-blob-content-language",
    "Content-Disposition": "x-ms-blob-content-disposition",
    "Cache-Control": "x-ms-blob-cache-control",
}
_STANDARD_COUNTS = ("Content-Type", "Content-Encoding", "Content-Language", "Cache-Control")
"""Put Blob falls back to these standard headers if Azure's own are missing."""


class Writers:
    """PUT and DELETE below `/{account}`."""

    def __init__(
        self, storage: Storage, authorisation: ReadAuthorisation, answers: Answers, metrics: BlobstoreMetrics
    ) -> None:
        self._storage = storage
        self._authorisation = authorisation
        self._answers = answers
        self._metrics = metrics

    async def put_blob(self, request: web.Request) -> web.Response:
        account = await self._open(request)
        _refuse_parts(request)
        if request.headers.get("x-ms-blob-type", "") != "BlockBlob":
            raise _missing_or_bad(request, "x-ms-blob-type")
        match = request.match_info
        blob = await store_blob(self._storage, request, account.name, match["container"], match["blob"])
        more = {
            "ETag": blob.etag,
            "Last-Modified": blob.last_modified,
            "Content-MD5": blob.md5,
            "x-ms-request-server-encrypted": "true",
        }
        return self._done(request, 201, more)

    async def delete_blob(self, request: web.Request) -> web.Response:
        account = await self._open(request)
        _refuse_parts(request)
        match = request.match_info
        check = write_check(request.headers)
        await self._storage.delete_blob(account.name, match["container"], match["blob"], check)
        return self._done(request, 202, {"x-ms-delete-type-permanent": "true"})

    async def put_container(self, request: web.Request) -> web.Response:
        account = await self._open(request)
        _require_container_request(request)
        name = request.match_info["container"]
        check_container_name(name)
        level = container_level(request.headers)
        if level != "None" and not account.switch.accepted:
            raise BlobError(errors.PUBLIC_ACCESS_NOT_PERMITTED)
        if name in account.containers:
            raise BlobError(errors.CONTAINER_EXISTS)
        container, _ = await self._storage.put_container(account.name, name, level, metadata(request.headers))
        return self._done(request, 201, {"ETag": container.etag, "Last-Modified": container.last_modified})

    async def delete_container(self, request: web.Request) -> web.Response:
        account = await self._open(request)
        _require_container_request(request)
        await self._storage.delete_container(account.name, request.match_info["container"])
        return self._done(request, 202, {})

    async def _open(self, request: web.Request) -> StorageAccount:
        account, _, _ = await self._authorisation.admit(request, request.match_info["account"])
        return account

    def _done(self, request: web.Request, status: int, more: Mapping[str, str]) -> web.Response:
        self._metrics.answered(BEARER, status)
        return web.Response(status=status, headers=self._answers.headers(request, more))


async def store_blob(storage: Storage, request: web.Request, account: str, container: str, name: str) -> Blob:
    """Stores the request's body as a block blob, checking length, MD5, metadata and conditions."""
    check_blob_name(name)
    headers = request.headers
    length = request.content_length
    if length is None and "chunked" not in headers.get("Transfer-Encoding", "").lower():
        raise BlobError(errors.MISSING_LENGTH)
    size_max_bytes = storage.settings.blob_size_max_bytes
    if length is not None and length > size_max_bytes:
        raise BlobError(errors.BODY_TOO_LARGE)
    upload = Upload(_content(headers), metadata(headers), _md5(headers), write_check(headers), size_max_bytes)
    return await storage.put_blob(account, container, name, _chunks(request), upload)


async def _chunks(request: web.Request) -> AsyncIterator[bytes]:
    async for data in request.content.iter_chunked(READ_BYTES):
        yield data


def write_check(headers: Mapping[str, str]) -> BlobCheck:
    """The write conditions in `headers`, as a check on the existing blob."""

    def check(blob: Blob | None) -> None:
        http_rules.check_write(headers, blob.etag if blob else None, blob.modified_at if blob else 0.0)

    return check


def check_blob_name(name: str) -> None:
    if len(name) > BLOB_NAME_LENGTH_MAX:
        raise BlobError(errors.NAME_LENGTH)
    if NOT_XML.search(name):  # a name that XML listings cannot represent
        raise BlobError(errors.INVALID_NAME)


def check_container_name(name: str) -> None:
    if not 3 <= len(name) <= 63:
        raise BlobError(errors.NAME_LENGTH)
    if not re.fullmatch(CONTAINER_NAME, name):
        raise BlobError(errors.INVALID_NAME)


def container_level(headers: Mapping[str, str]) -> AccessLevel:
    value = headers.get("x-ms-blob-public-access", "")
    if value not in _LEVELS:
        raise bad_header("x-ms-blob-public-access", value)
    return _LEVELS[value]


def metadata(headers: Mapping[str, str]) -> dict[str, str]:
    """The `x-ms-meta-*` headers. As in Azure, names must be identifiers; values must be ASCII."""
    found = {}
    for header, value in headers.items():
        if header.lower().startswith(_METADATA):
            name = header[len(_METADATA) :]
            if not _IDENTIFIER.fullmatch(name) or not value.isascii() or not value.isprintable():
                raise bad_header(header, value)
            found[name] = value
    return found


def _content(headers: Mapping[str, str]) -> dict[str, str]:
    content = {}
    for name, own in _CONTENT_HEADERS.items():
        value = headers.get(own) or (headers.get(name) if name in _STANDARD_COUNTS else None)
        if value:
            if not value.isascii() or not value.isprintable():
                raise bad_header(own, value)
            content[name] = value
    return content


def _md5(headers: Mapping[str, str]) -> str | None:
    value = headers.get("Content-MD5")
    if value is None:
        return None
    try:
        good = len(b64decode(value, validate=True)) == 16
    except binascii.Error:
        good = False
    if not good:
        raise bad_header("Content-MD5", value)
    return value


def _refuse_parts(request: web.Request) -> None:
    if "comp" in request.query:  # blocks, metadata, leases, tiers: not implemented
        raise BlobError(errors.UNSUPPORTED_QUERY, details={"QueryParameterName": "comp"})


def _require_container_request(request: web.Request) -> None:
    _refuse_parts(request)
    restype = request.query.get("restype", "")
    if restype != "container":
        raise errors.bad_query("restype", restype, "It must be 'container'.")


def _missing_or_bad(request: web.Request, name: str) -> BlobError:
    value = request.headers.get(name)
    return BlobError(errors.MISSING_HEADER, details={"HeaderName": name}) if value is None else bad_header(name, value)
