"""The data plane's reads: blobs, their properties, containers, listings.

A read first waits for its modelled service time; then lookup, authorisation and response follow without an await, so
the response is consistent. The package download is the hottest path of the testbed.
"""

import asyncio
import base64
import hashlib
from typing import NoReturn

from aiohttp import web
from multidict import CIMultiDict

from services.blobstore import errors
from services.blobstore.data import http_rules
from services.blobstore.data.answers import Answers
from services.blobstore.data.authorisation import ReadAuthorisation
from services.blobstore.data.listing import LISTING_HEADERS, list_container
from services.blobstore.errors import BlobError
from services.blobstore.metrics import BlobstoreMetrics
from services.blobstore.state import Blob, BlobContainer
from services.blobstore.store.storage import PreparedBlob, Storage
from services.blobstore.turns import ReadTurns
from services.chassis.env import Env

ROOT = "$root"


class Readers:
    """GET and HEAD below `/{account}`."""

    def __init__(
        self, env: Env, storage: Storage, authorisation: ReadAuthorisation, answers: Answers, metrics: BlobstoreMetrics
    ) -> None:
        self._storage = storage
        self._authorisation = authorisation
        self._answers = answers
        self._count = metrics.answered
        self._rng = env.streams["service-time"]
        self._half_service_s = 0.0
        self._turns: ReadTurns | None = None

    def reconfigure(self) -> None:
        settings = self._storage.settings
        self._half_service_s = settings.service_time_s / 2
        at_once, waiting_max = settings.reads_at_once, settings.reads_waiting_max
        if at_once is None:
            self._turns = None
        elif self._turns is None or self._turns.limits != (at_once, waiting_max):
            self._turns = ReadTurns(at_once, waiting_max)

    async def _serve(self) -> None:
        if self._turns is None:
            await self._take_time()
        else:
            async with self._turns.turn():
                await self._take_time()

    async def _take_time(self) -> None:
        half = self._half_service_s
        if half:
            await asyncio.sleep(half + self._rng.expovariate(1.0) * half)

    # --- blobs ---------------------------------------------------------------------------------------

    async def read_blob(self, request: web.Request) -> web.StreamResponse:
        match = request.match_info
        return await self._read_blob(request, match["account"], match["container"], match["blob"])

    async def _read_blob(
        self, request: web.Request, account_name: str, container_name: str, name: str
    ) -> web.StreamResponse:
        await self._serve()
        _, container, auth = await self._authorisation.admit(request, account_name, container_name, "blob")
        if request.query_string:
            _check_blob_query(request)
        if container is None:
            raise BlobError(errors.CONTAINER_NOT_FOUND)
        asked = request.headers
        blob = container.blobs.get(name)
        if http_rules.has_conditions(asked):
            http_rules.check_read(asked, blob.etag if blob else None, blob.modified_at if blob else 0.0)
        if blob is None:
            raise BlobError(errors.BLOB_NOT_FOUND)
        return await self._answer_blob(request, blob, auth)

    async def _answer_blob(self, request: web.Request, blob: Blob, auth: str) -> web.StreamResponse:
        ready = self._storage.ready[blob.body_id]
        headers = self._answers.stamp(ready.headers.copy(), request)
        if request.method == "HEAD":
            return self._answer_head(headers, blob, auth)
        asked = request.headers
        span = http_rules.byte_range(asked, blob.size)
        if span is None and http_rules.RANGE_MD5 not in asked:
            headers["Content-MD5"] = blob.md5
            if ready.body is not None:
                self._count(auth, 200)
                return web.Response(body=ready.body, headers=headers)
        return await self._answer_span(request, blob, ready, span, headers, auth)

    def _answer_head(self, headers: CIMultiDict[str], blob: Blob, auth: str) -> web.Response:
        headers["Content-Length"] = str(blob.size)
        headers["Content-MD5"] = blob.md5
        headers["x-ms-access-tier"] = "Hot"
        headers["x-ms-access-tier-inferred"] = "true"
        self._count(auth, 200)
        return web.Response(headers=headers)

    async def _answer_span(
        self,
        request: web.Request,
        blob: Blob,
        ready: PreparedBlob,
        span: tuple[int, int] | None,
        headers: CIMultiDict[str],
        auth: str,
    ) -> web.StreamResponse:
        wants_md5 = http_rules.wants_range_md5(request.headers, span)
        first, end = span or (0, blob.size)
        status = 206 if span else 200
        if span:
            headers["x-ms-blob-content-md5"] = blob.md5
            headers["Content-Range"] = f"bytes {first}-{end - 1}/{blob.size}"
        if ready.body is None and not wants_md5:
            return await self._stream(request, blob, (first, end), headers, auth)
        if ready.body is not None:
            body = ready.body[first:end]
        else:
            body = b"".join([chunk async for chunk in self._storage.read_large(blob, first, end)])
        if wants_md5:
            headers["Content-MD5"] = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        self._count(auth, status)
        return web.Response(status=status, body=body, headers=headers)

    async def _stream(
        self, request: web.Request, blob: Blob, span: tuple[int, int], headers: CIMultiDict[str], auth: str
    ) -> web.StreamResponse:
        """Sends a large blob in chunks. If it is replaced meanwhile, the connection closes before the full length."""
        first, end = span
        status = 206 if "Content-Range" in headers else 200
        response = web.StreamResponse(status=status, headers=headers)
        response.content_length = end - first
        self._count(auth, status)
        await response.prepare(request)
        try:
            async for chunk in self._storage.read_large(blob, first, end):
                await response.write(chunk)
        except ConnectionResetError:
            if request.transport is not None:
                request.transport.abort()
            raise
        await response.write_eof()
        return response

    # --- containers and accounts ---------------------------------------------------------------------

    async def read_container(self, request: web.Request) -> web.StreamResponse:
        """Container properties or a listing; without `restype`, a blob of the root container, as in Azure."""
        match, query = request.match_info, request.query
        account_name, name = match["account"], match["container"]
        if "restype" not in query and "comp" not in query:
            return await self._read_blob(request, account_name, ROOT, name)
        await self._serve()
        _, container, auth = await self._authorisation.admit(request, account_name, name, "container")
        if container is None:
            raise BlobError(errors.CONTAINER_NOT_FOUND)
        return self._answer_container(request, account_name, container, auth)

    def _answer_container(
        self, request: web.Request, account_name: str, container: BlobContainer, auth: str
    ) -> web.Response:
        query = request.query
        if query.get("restype") != "container":
            raise errors.bad_query("restype", query.get("restype", ""), "It must be 'container'.")
        comp = query.get("comp")
        if comp == "list" and request.method == "GET":
            endpoint = f"{request.scheme}://{request.host}/{account_name}"
            body = list_container(endpoint, container, query)
            headers = self._answers.headers(request, LISTING_HEADERS)
        elif comp in (None, "metadata"):
            body, headers = b"", self._answers.headers(request, _container_headers(container))
        else:
            raise BlobError(errors.UNSUPPORTED_QUERY, details={"QueryParameterName": "comp"})
        self._count(auth, 200)
        return web.Response(body=body, headers=headers)

    async def read_account(self, request: web.Request) -> NoReturn:
        """Always fails: account-level reads are not implemented. Authorisation errors come first."""
        await self._serve()
        await self._authorisation.admit(request, request.match_info["account"])
        raise BlobError(errors.UNSUPPORTED_QUERY)


def _check_blob_query(request: web.Request) -> None:
    """Refuses queries for what does not exist here: snapshots, versions, `comp`."""
    query = request.query
    if "comp" in query:
        raise BlobError(errors.UNSUPPORTED_QUERY, details={"QueryParameterName": "comp"})
    if query.get("snapshot") or query.get("versionid"):
        raise BlobError(errors.BLOB_NOT_FOUND)


def _container_headers(container: BlobContainer) -> dict[str, str]:
    headers = {
        "ETag": container.etag,
        "Last-Modified": container.last_modified,
        "x-ms-lease-status": "unlocked",
        "x-ms-lease-state": "available",
        "x-ms-has-immutability-policy": "false",
        "x-ms-has-legal-hold": "false",
    }
    if container.level != "None":
        headers["x-ms-blob-public-access"] = container.level.lower()
    headers.update({f"x-ms-meta-{key}": value for key, value in container.metadata.items()})
    return headers
