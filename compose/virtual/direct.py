"""`DirectSession`: looks like `aiohttp.ClientSession`, hands requests to the destination without HTTP bytes.

For long replays and sweeps of many runs: the same services, the same handlers, the same event log on one
seed, several times faster. It has no connections, so nothing about pools, connecting (`sock_connect`),
back-pressure, compression, redirects or WebSockets can be studied with it; use `transport="http"` for those.
"""

from __future__ import annotations

import asyncio
import json as json_module
from collections.abc import Generator
from contextvars import Context, copy_context
from types import TracebackType
from typing import Any

import aiohttp
from aiohttp import hdrs, payload, web
from aiohttp.client_reqrep import ClientRequest, ConnectionKey, RequestInfo
from aiohttp.helpers import BaseTimerContext, TimerNoop
from aiohttp.http import SERVER_SOFTWARE, HttpVersion11, RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from compose.virtual.exchange import UNLIMITED, Exchange, Receiver
from compose.virtual.links import Link
from compose.virtual.loop import OWNER, Handle, VirtualLoop
from compose.virtual.network import Listener, Network
from compose.virtual.process import Process

ACCEPT_ENCODING = ClientRequest.DEFAULT_HEADERS[hdrs.ACCEPT_ENCODING]
BODYLESS_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
NO_TIMEOUT = aiohttp.ClientTimeout()
DEFAULT_TIMEOUT = aiohttp.ClientTimeout(total=300, sock_connect=30)


class DirectServer:
    """An application that takes exchanges."""

    def __init__(self, app: web.Application, listener: Listener) -> None:
        self.app = app
        self.address = (listener.host, listener.port)
        self.context = listener.context
        self.exchanges: dict[Any, None] = listener.owner.open if listener.owner is not None else {}


class Deadline(BaseTimerContext):
    """The total timeout of a call: cancels the task that waits, as aiohttp's `TimerContext` does."""

    __slots__ = ("_cancelling", "_fired", "_task", "handle")

    def __init__(self, loop: VirtualLoop, total_s: float, context: Context) -> None:
        self._fired = False
        self._task: asyncio.Task[Any] | None = None
        self.handle: Handle = loop.call_at(loop._now_s + total_s, self._fire, context=context)

    def _fire(self) -> None:
        self._fired = True
        if self._task is not None:
            self._task.cancel()

    def assert_timeout(self) -> None:
        """Raise when the time is up."""
        if self._fired:
            raise asyncio.TimeoutError from None

    def __enter__(self) -> Deadline:
        self.assert_timeout()
        self._task = task = asyncio.current_task()
        assert task is not None
        self._cancelling = task.cancelling()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        task, self._task = self._task, None
        if kind is asyncio.CancelledError and self._fired and task is not None:
            # Cancelled by somebody else as well: then the cancellation wins.
            if task.uncancel() > self._cancelling:
                return
            raise asyncio.TimeoutError from error


class DirectResponse(aiohttp.ClientResponse):
    """A client response whose body is in memory, or arrives in a stream."""

    def __init__(self, call: DirectCall) -> None:
        self._call: DirectCall | None = call
        self.method, self._url, self._real_url = call.method, call.url, call.url
        self.version = HttpVersion11
        self._cache = {}
        self._traces = []
        self._loop = call.loop
        self._closed = False

    def __del__(self, _warnings: Any = None) -> None:
        if not self._closed:
            self.release()

    @property
    def request_info(self) -> RequestInfo:  # type: ignore[override]
        """What was asked for; made only when an error needs it."""
        headers = CIMultiDictProxy(CIMultiDict[str]())
        return RequestInfo(self._url, self.method, headers, self._real_url)

    @property
    def content(self) -> StreamReader:  # type: ignore[override]
        """The body as a stream."""
        call = self._call
        if call is None:
            return EMPTY_PAYLOAD
        if call.stream is None:
            call.stream = _stream_of(call.loop, call.timer, call.body)
        return call.stream

    async def read(self) -> bytes:
        """The whole body."""
        if self._body is None:
            call = self._call
            if call is None:
                raise aiohttp.ClientConnectionError("Connection closed")
            if call.stream is None:
                self._body = call.body
            else:
                try:
                    self._body = await call.stream.read()
                except BaseException:
                    self.close()
                    raise
            self.release()
        return self._body

    def release(self) -> Any:
        """Done with it; a body that was not read to its end closes the connection."""
        self._closed = self._released = True
        call, self._call = self._call, None
        if call is not None:
            call.finish()
        return None

    close = release  # type: ignore[assignment]

    async def wait_for_close(self) -> None:
        """Nothing to wait for."""
        self.release()


class DirectCall(Receiver):
    """The client's side of one exchange."""

    __slots__ = ("_answer", "_context", "body", "complete", "exchange", "loop", "method", "owner", "response",
                 "sock_read_s", "sock_timer", "stream", "timer", "url")  # fmt: skip

    def __init__(self, loop: VirtualLoop, method: str, url: URL, timeout: aiohttp.ClientTimeout) -> None:
        self.loop, self.method, self.url = loop, method, url
        self._context = copy_context()
        self._answer: asyncio.Future[DirectResponse] = loop.create_future()
        self.body = b""
        self.complete = False
        self.stream: StreamReader | None = None
        self.timer: BaseTimerContext = (
            Deadline(loop, timeout.total, self._context) if timeout.total and timeout.total > 0 else TimerNoop()
        )
        self.sock_read_s = timeout.sock_read
        self.sock_timer: Handle | None = None
        self.exchange: Exchange | None = None
        self.owner = OWNER.get()

    async def run(self, server: DirectServer, links: tuple[Link, Link], message: Any, body: bytes | None) -> DirectResponse:
        """Send the request and wait for the head of the response."""
        self.exchange = exchange = Exchange(self.loop, self, self._context, server, links)
        if type(self.owner) is Process:
            self.owner.open[self] = None
        exchange.send(message, body)
        if self.sock_read_s:
            self._rearm()
        try:
            with self.timer:
                return await self._answer
        except BaseException:
            self.finish()
            raise

    def abort(self) -> None:
        """The client's process died."""
        if self.exchange is not None:
            self.exchange.abort_client()

    def finish(self) -> None:
        """No more is wanted: stop the clocks, and hang up unless the response is complete."""
        self._stop_clocks()
        if type(self.owner) is Process:
            self.owner.open.pop(self, None)
        if not self.complete and self.exchange is not None:
            self.exchange.hang_up()

    # --- what the exchange tells -------------------------------------------------------------------------

    def head(self, status: int, reason: str, headers: Any, chunk: bytes, last: bool) -> None:
        """The response begins, and mostly is complete already."""
        if self._answer.done():
            return
        response = DirectResponse(self)
        response.status, response.reason = status, reason
        response._headers = CIMultiDictProxy(headers)
        if self.method == "HEAD" or status in (204, 304):
            self.body, self.complete = b"", True
        elif last:
            self.body, self.complete = chunk, True
        else:
            self.stream = _stream_of(self.loop, self.timer, chunk, complete=False)
        if self.complete:
            self._stop_clocks()
        else:
            self._rearm()
        self._answer.set_result(response)

    def piece(self, chunk: bytes, last: bool) -> None:
        """The body goes on."""
        if self.complete or self.stream is None:
            return
        self._rearm()
        if chunk:
            self.stream.feed_data(chunk)
        if last:
            self.complete = True
            self._stop_clocks()
            self.stream.feed_eof()

    def disconnected(self) -> None:
        """The server closed; as over HTTP, the transport closes first and tells its protocol a turn later."""
        self.loop.call_soon(self.fail, aiohttp.ServerDisconnectedError(), context=self._context)

    def fail(self, error: Exception) -> None:
        """The connection is gone: the call fails, or the body stays incomplete."""
        if not self._answer.done():
            self._answer.set_exception(error)
        elif self.stream is not None and not self.complete:
            self.complete = True
            self.stream.set_exception(aiohttp.ClientPayloadError("Response payload is not completed"))
        self._stop_clocks()

    # --- clocks ----------------------------------------------------------------------------------------

    def _rearm(self) -> None:
        if self.sock_read_s:
            if self.sock_timer is not None:
                self.sock_timer.cancel()
            self.sock_timer = self.loop.call_later(self.sock_read_s, self._silent, context=self._context)

    def _silent(self) -> None:
        error = aiohttp.SocketTimeoutError("Timeout on reading data from socket")
        if not self._answer.done():
            self._answer.set_exception(error)
        elif self.stream is not None:
            self.stream.set_exception(error)

    def _stop_clocks(self) -> None:
        if type(self.timer) is Deadline:
            self.timer.handle.cancel()
        if self.sock_timer is not None:
            self.sock_timer.cancel()


class _Reading:
    """The protocol that aiohttp's stream readers expect; memory needs no flow control."""

    _reading_paused = False


def _stream_of(loop: VirtualLoop, timer: BaseTimerContext, data: bytes, *, complete: bool = True) -> StreamReader:
    stream = StreamReader(_Reading(), UNLIMITED, timer=timer, loop=loop)  # type: ignore[arg-type]
    if data:
        stream.feed_data(data)
    if complete:
        stream.feed_eof()
    return stream


class _Request:
    """`await session.get(...)` and `async with session.get(...)` both work on it."""

    __slots__ = ("_coro", "_response")

    def __init__(self, coro: Any) -> None:
        self._coro = coro

    def __await__(self) -> Generator[Any, None, DirectResponse]:
        result: Generator[Any, None, DirectResponse] = self._coro.__await__()
        return result

    async def __aenter__(self) -> DirectResponse:
        self._response: DirectResponse = await self._coro
        self._response._in_context = True
        return self._response

    async def __aexit__(self, *_error: object) -> None:
        self._response.release()


class DirectSession:
    """The part of `aiohttp.ClientSession` that services use."""

    def __init__(
        self,
        network: Network,
        source: str,
        *,
        timeout: aiohttp.ClientTimeout = DEFAULT_TIMEOUT,
        headers: Any = None,
        base_url: str | URL | None = None,
        raise_for_status: bool = False,
        **options: Any,
    ) -> None:
        options.pop("cookie_jar", None)
        if options:
            raise TypeError(f"the direct transport does not know {', '.join(options)}; use transport='http'")
        self._network, self._source, self._loop = network, source, network.loop
        self._timeout = timeout
        self._headers = CIMultiDict(headers or {})
        self._base_url = URL(base_url) if base_url is not None else None
        self._raise_for_status = raise_for_status
        self._links: dict[str, tuple[Link, Link]] = {}
        self.closed = False

    def __repr__(self) -> str:
        return f"<DirectSession of {self._source}{' closed' if self.closed else ''}>"

    async def __aenter__(self) -> DirectSession:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """No connections to close."""
        self.closed = True

    @property
    def headers(self) -> CIMultiDict[str]:
        """Sent with every request."""
        return self._headers

    @property
    def timeout(self) -> aiohttp.ClientTimeout:
        """Used when a request names none."""
        return self._timeout

    def request(self, method: str, url: str | URL, **options: Any) -> _Request:
        """Any method."""
        return _Request(self._request(method.upper(), url, **options))

    def get(self, url: str | URL, **options: Any) -> _Request:
        """GET."""
        return _Request(self._request("GET", url, **options))

    def head(self, url: str | URL, **options: Any) -> _Request:
        """HEAD."""
        options.setdefault("allow_redirects", False)
        return _Request(self._request("HEAD", url, **options))

    def options(self, url: str | URL, **options: Any) -> _Request:
        """OPTIONS."""
        return _Request(self._request("OPTIONS", url, **options))

    def post(self, url: str | URL, **options: Any) -> _Request:
        """POST."""
        return _Request(self._request("POST", url, **options))

    def put(self, url: str | URL, **options: Any) -> _Request:
        """PUT."""
        return _Request(self._request("PUT", url, **options))

    def patch(self, url: str | URL, **options: Any) -> _Request:
        """PATCH."""
        return _Request(self._request("PATCH", url, **options))

    def delete(self, url: str | URL, **options: Any) -> _Request:
        """DELETE."""
        return _Request(self._request("DELETE", url, **options))

    # --- one request -----------------------------------------------------------------------------------

    async def _request(
        self,
        method: str,
        url: str | URL,
        *,
        params: Any = None,
        headers: Any = None,
        json: Any = None,
        data: Any = None,
        timeout: Any = ...,
        allow_redirects: bool = True,
        raise_for_status: bool | None = None,
    ) -> DirectResponse:
        if self.closed:
            raise RuntimeError("Session is closed")
        target = self._target(url, params)
        limits = self._timeout if timeout is ... else timeout
        if not isinstance(limits, aiohttp.ClientTimeout):
            limits = aiohttp.ClientTimeout(total=limits)
        host, port = target.raw_host or "", target.port or 80
        sent = self._request_headers(target, headers)
        body = await _encode(method, sent, json, data)
        call = DirectCall(self._loop, method, target, limits)
        try:
            listener = self._network.check_route(self._source, host, port)
        except OSError as error:
            call.finish()
            key = ConnectionKey(host, port, False, True, None, None, None)
            kind = aiohttp.ClientConnectorError
            if isinstance(error, __import__("socket").gaierror):
                kind = aiohttp.ClientConnectorDNSError
            raise kind(key, error) from error
        links = self._links.get(host)
        if links is None:
            between = self._network.links.between
            links = self._links[host] = (between(self._source, host), between(host, self._source))
        message = RawRequestMessage(
            method, target.raw_path_qs, HttpVersion11, CIMultiDictProxy(sent), (), False, None, False, False,
            target.relative(),
        )  # fmt: skip
        response = await call.run(listener.direct, links, message, body)
        if allow_redirects and response.status in REDIRECTS and hdrs.LOCATION in response._headers:
            raise NotImplementedError("the direct transport follows no redirects: pass allow_redirects=False")
        if self._raise_for_status if raise_for_status is None else raise_for_status:
            response.raise_for_status()
        return response

    def _target(self, url: str | URL, params: Any) -> URL:
        target = url if type(url) is URL else URL(url)
        if self._base_url is not None and not target.absolute:
            target = self._base_url.join(target)
        if params:
            target = target.extend_query(params)
        if target.scheme != "http" or not target.raw_host:
            raise aiohttp.NonHttpUrlClientError(target)
        return target

    def _request_headers(self, target: URL, headers: Any) -> CIMultiDict[str]:
        """The headers aiohttp would send, in its order."""
        sent = CIMultiDict({hdrs.HOST: target.host_port_subcomponent or ""})
        sent.update(self._headers)
        if headers:
            sent.update(headers)
        for name, value in (
            (hdrs.ACCEPT, "*/*"),
            (hdrs.ACCEPT_ENCODING, ACCEPT_ENCODING),
            (hdrs.USER_AGENT, SERVER_SOFTWARE),
        ):
            if name not in sent:
                sent[name] = value
        return sent


async def _encode(method: str, headers: CIMultiDict[str], json: Any, data: Any) -> bytes | None:
    """The body as bytes, with the headers that describe it; None when there is none."""
    if json is not None:
        if data is not None:
            raise ValueError("data and json parameters can not be used at the same time")
        body, kind = json_module.dumps(json).encode("utf-8"), "application/json"
    elif data is None:
        if method not in BODYLESS_METHODS:
            headers.setdefault(hdrs.CONTENT_LENGTH, "0")
            if method != "DELETE":
                headers.setdefault(hdrs.CONTENT_TYPE, "application/octet-stream")
        return None
    else:
        form = data() if isinstance(data, aiohttp.FormData) else data
        try:
            content = payload.PAYLOAD_REGISTRY.get(form, disposition=None)
        except payload.LookupError:
            content = aiohttp.FormData(form)()
        body, kind = await content.as_bytes(), content.content_type
    headers.setdefault(hdrs.CONTENT_LENGTH, str(len(body)))
    headers.setdefault(hdrs.CONTENT_TYPE, kind)
    return body
