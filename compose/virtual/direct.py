"""`DirectSession`: looks like `aiohttp.ClientSession`, hands requests to the destination without HTTP bytes.

For long replays and sweeps of many runs: the same services, the same handlers, the same event log on one
seed, several times faster. It has no connections, so nothing about pools, connecting (`sock_connect`),
back-pressure, compression, redirects or WebSockets can be studied with it; use `transport="http"` for those.
"""

from __future__ import annotations

import asyncio
import errno
import json as json_module
import socket
from collections.abc import Coroutine, Generator
from contextvars import copy_context
from http.cookies import SimpleCookie
from types import TracebackType
from typing import Any, cast

import aiohttp
from aiohttp import hdrs, payload, web
from aiohttp.client_reqrep import ClientRequest, ConnectionKey, RequestInfo
from aiohttp.helpers import BaseTimerContext
from aiohttp.http import SERVER_SOFTWARE, HttpVersion11, RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from compose.virtual.exchange import UNLIMITED, Exchange
from compose.virtual.links import Link, LinkFault
from compose.virtual.loop import OWNER, Handle, VirtualLoop
from compose.virtual.network import Listener, Network
from compose.virtual.process import Process

DEFAULT_HEADERS = (
    (hdrs.ACCEPT, "*/*"),
    (hdrs.ACCEPT_ENCODING, ClientRequest.DEFAULT_HEADERS[hdrs.ACCEPT_ENCODING]),
    (hdrs.USER_AGENT, SERVER_SOFTWARE),
)
JSON_TYPES = frozenset({"application/json", "application/json; charset=utf-8"})
ROUTES_MAX = 4096
BODYLESS_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
DEFAULT_TIMEOUT = aiohttp.ClientTimeout(total=300, sock_connect=30)


class DirectServer:
    """An application that takes exchanges."""

    def __init__(self, app: web.Application, listener: Listener, connections: dict[Any, None]) -> None:
        self.app = app
        self.address = (listener.host, listener.port)
        self.context = listener.context
        self.open: dict[Any, None] = listener.owner.open if listener.owner is not None else {}
        self.connections = connections

    async def drain(self, timeout_s: float) -> None:
        """Let the running handlers end; after twice the timeout they are cancelled, as aiohttp does."""
        running = [end.task for end in self.open if isinstance(end, Exchange) and end.task is not None]
        if running:
            _, late = await asyncio.wait(running, timeout=2 * timeout_s)
            for task in sorted(late, key=hash):
                task.cancel()


class DirectResponse(aiohttp.ClientResponse):
    """A client response whose body is in memory, or arrives in a stream."""

    version = HttpVersion11
    _closed = False
    _call: DirectCall | None

    def __init__(self, call: DirectCall, status: int, reason: str, headers: CIMultiDict[str]) -> None:
        self._call = call
        self.method, self._url, self._real_url = call.method, call.url, call.url
        self.status, self.reason = status, reason
        self._headers = CIMultiDictProxy(headers)
        self._cache = {}
        self._loop = call.loop

    def __del__(self, _warnings: Any = None) -> None:
        if not self._closed:
            self.release()

    @property
    def request_info(self) -> RequestInfo:  # type: ignore[override]
        """What was asked for; made only when an error needs it."""
        return RequestInfo(self._url, self.method, CIMultiDictProxy(CIMultiDict()), self._real_url)

    @property
    def content(self) -> StreamReader:  # type: ignore[override]
        """The body as a stream."""
        call = self._call
        if call is None:
            return EMPTY_PAYLOAD
        if call.stream is None:
            call.stream = _stream_of(call.loop, call.body)
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

    async def json(self, **options: Any) -> Any:
        """The body as JSON; the usual case without aiohttp's general machinery."""
        if options or self._headers.get(hdrs.CONTENT_TYPE) not in JSON_TYPES:
            return await super().json(**options)
        body = self._body or await self.read()
        return json_module.loads(body) if body.strip() else None

    def release(self) -> Any:
        """Done with it; a body that was not read to its end closes the connection."""
        call = self._call
        if call is not None:
            self._closed = self._released = True
            self._call = None
            call.finish()

    close = release  # type: ignore[assignment]

    async def wait_for_close(self) -> None:
        """Nothing to wait for."""
        self.release()

    @property
    def cookies(self) -> SimpleCookie:  # type: ignore[override]
        """The cookies of the response."""
        return SimpleCookie("; ".join(self._headers.getall(hdrs.SET_COOKIE, ())))


class DirectCall:
    """The client's side of one exchange: what it waits for, and how long."""

    body = b""
    complete = False
    timed_out = False
    stream: StreamReader | None = None
    total_timer: Handle | None = None
    sock_timer: Handle | None = None
    sock_read_s: float | None = None
    owner: Process | None = None
    exchange: Exchange

    def __init__(self, loop: VirtualLoop, method: str, url: URL) -> None:
        self.loop, self.method, self.url = loop, method, url
        self.context = copy_context()
        self.answer: asyncio.Future[DirectResponse] = loop.create_future()
        self.task: asyncio.Task[Any] | None = None

    def limit(self, timeout: aiohttp.ClientTimeout) -> None:
        """Start the total timeout; `sock_read` starts with the request."""
        total, loop = timeout.total, self.loop
        if total is not None and total > 0:
            self.total_timer = loop.call_at(loop._now_s + total, self._time_out, context=self.context)
        self.sock_read_s = timeout.sock_read

    async def connect(self, reach: Coroutine[Any, Any, None], limits: aiohttp.ClientTimeout) -> None:
        """Wait for a way to the host; timeouts as aiohttp raises them."""
        with _Timer(self):
            try:
                async with asyncio.timeout(limits.connect), asyncio.timeout(limits.sock_connect):
                    await reach
            except TimeoutError as error:
                self.stop_clocks()
                raise aiohttp.ConnectionTimeoutError(f"Connection timeout to host {self.url}") from error

    async def run(self, exchange: Exchange, message: Any, body: bytes | None) -> DirectResponse:
        """Send the request and wait for the head of the response."""
        self.exchange = exchange
        self.owner = OWNER.get()
        exchange.send(message, body)
        if self.sock_read_s:
            self._rearm()
        self.task = task = cast("asyncio.Task[Any]", asyncio.current_task(self.loop))
        cancelling = task.cancelling()
        try:
            return await self.answer
        except asyncio.CancelledError as error:
            self.finish()
            # Cancelled by somebody else as well: then the cancellation wins.
            if not self.timed_out or task.uncancel() > cancelling:
                raise
            raise asyncio.TimeoutError from error
        except BaseException:
            self.finish()
            raise
        finally:
            self.task = None

    def abort(self) -> None:
        """The client's process died."""
        self.exchange.abort_client()

    def suffer(self, fault: LinkFault) -> None:
        """A link fault starts."""
        self.exchange.suffer(fault)

    def finish(self) -> None:
        """No more is wanted: stop the clocks, and hang up unless the response is complete."""
        if not self.complete:
            self.stop_clocks()
            self.leave()
            self.exchange.hang_up()

    def leave(self) -> None:
        """A dying process or a starting fault finds this connection no more."""
        self.exchange._server.connections.pop(self, None)
        if self.owner is not None:
            self.owner.open.pop(self, None)

    # --- what the exchange tells -------------------------------------------------------------------------

    def head(self, status: int, reason: str, headers: Any, chunk: bytes, last: bool) -> None:
        """The response begins, and mostly is complete already."""
        answer = self.answer
        if answer.done():
            return
        if last or self.method == "HEAD" or status in (204, 304):
            self.body, self.complete = b"" if self.method == "HEAD" else chunk, True
            self.stop_clocks()
            self.leave()
        else:
            self.stream = _stream_of(self.loop, chunk, _Timer(self), complete=False)
            self._rearm()
        answer.set_result(DirectResponse(self, status, reason, headers))

    def piece(self, chunk: bytes, last: bool) -> None:
        """The body goes on."""
        if self.complete or self.stream is None:
            return
        self._rearm()
        if chunk:
            self.stream.feed_data(chunk)
        if last:
            self.complete = True
            self.stop_clocks()
            self.leave()
            self.stream.feed_eof()

    def disconnected(self) -> None:
        """The server closed; as over HTTP, the transport closes first and tells its protocol a turn later."""
        self.loop.call_soon(self.fail, aiohttp.ServerDisconnectedError(), context=self.context)

    def fail(self, error: Exception) -> None:
        """The connection is gone: the call fails, or the body stays incomplete."""
        if not self.answer.done():
            self.answer.set_exception(error)
        elif self.stream is not None and not self.complete:
            self.complete = True
            self.stream.set_exception(aiohttp.ClientPayloadError("Response payload is not completed"))
        self.stop_clocks()
        self.leave()

    # --- clocks ----------------------------------------------------------------------------------------

    def _time_out(self) -> None:
        self.timed_out = True
        if self.task is not None:
            self.task.cancel()

    def _rearm(self) -> None:
        if self.sock_read_s:
            if self.sock_timer is not None:
                self.sock_timer.cancel()
            self.sock_timer = self.loop.call_later(self.sock_read_s, self._silent, context=self.context)

    def _silent(self) -> None:
        error = aiohttp.SocketTimeoutError("Timeout on reading data from socket")
        if not self.answer.done():
            self.answer.set_exception(error)
        elif self.stream is not None:
            self.stream.set_exception(error)

    def stop_clocks(self) -> None:
        """No timeout applies any more."""
        if self.total_timer is not None:
            self.total_timer.cancel()
        if self.sock_timer is not None:
            self.sock_timer.cancel()


class _Timer(BaseTimerContext):
    """The call's total timeout, for the time in which a task connects or reads the body."""

    __slots__ = ("_call", "_cancelling")

    def __init__(self, call: DirectCall) -> None:
        self._call = call

    def assert_timeout(self) -> None:
        """Raise when the time is up."""
        if self._call.timed_out:
            raise asyncio.TimeoutError from None

    def __enter__(self) -> _Timer:
        self.assert_timeout()
        self._call.task = task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._cancelling = task.cancelling()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        task, self._call.task = self._call.task, None
        if kind is asyncio.CancelledError and self._call.timed_out and task is not None:
            if task.uncancel() <= self._cancelling:
                raise asyncio.TimeoutError from error


class _Reading:
    """The protocol that aiohttp's stream readers expect; memory needs no flow control."""

    _reading_paused = False

    def pause_reading(self) -> None:
        """Ignored."""

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Ignored."""


def _stream_of(
    loop: VirtualLoop, data: bytes, timer: BaseTimerContext | None = None, *, complete: bool = True
) -> StreamReader:
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
        self._routes: dict[str | URL, _Route] = {}
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
        route = None if params else self._routes.get(url)
        if route is None:
            route = self._route(url, params)
        sent = self._headers_of(route, headers)
        body = None
        if data is not None:
            body = await _encode_data(sent, json, data)
        elif json is not None or method not in BODYLESS_METHODS:
            body = _encode_json(method, sent, json)
        call = DirectCall(self._loop, method, route.url)
        limits = self._timeout if timeout is ... else timeout
        if not isinstance(limits, aiohttp.ClientTimeout):
            limits = aiohttp.ClientTimeout(total=limits)
        call.limit(limits)
        listener = self._network._listeners.get(route.address)
        if listener is None or listener.direct is None or not (route.there.clean and route.back.clean):
            listener = await self._find(call, route, limits)
        message = RawRequestMessage(
            method, route.path, HttpVersion11, CIMultiDictProxy(sent), (), False, None, False, False, route.target
        )
        exchange = Exchange(self._loop, call, cast(DirectServer, listener.direct), route.there, route.back)
        response = await call.run(exchange, message, body)
        if response.status >= 300 and allow_redirects and response.status in REDIRECTS:
            raise NotImplementedError("the direct transport follows no redirects: pass allow_redirects=False")
        if self._raise_for_status if raise_for_status is None else raise_for_status:
            response.raise_for_status()
        return response

    def _route(self, url: str | URL, params: Any) -> _Route:
        target = url if type(url) is URL else URL(url)
        if self._base_url is not None and not target.absolute:
            target = self._base_url.join(target)
        if params:
            target = target.extend_query(params)
        host = target.raw_host
        if target.scheme != "http" or not host:
            raise aiohttp.NonHttpUrlClientError(target)
        between = self._network.links.between
        route = _Route(target, between(self._source, host), between(host, self._source))
        if not params:
            if len(self._routes) >= ROUTES_MAX:
                self._routes.clear()
            self._routes[url] = route
        return route

    async def _find(self, call: DirectCall, route: _Route, limits: aiohttp.ClientTimeout) -> Listener:
        """The long way to the listener: waits in a black hole, raises what a failed connect raises."""
        host, port = route.address
        try:
            if self._network.knows(host) and self._network.hangs(self._source, host):
                await call.connect(self._network.reach(self._source, host), limits)
            listener = self._network.check_route(self._source, host, port)
            if listener.direct is None:
                raise ConnectionRefusedError(errno.ECONNREFUSED, f"{host}:{port} takes no direct requests")
            return listener
        except TimeoutError:
            raise
        except OSError as error:
            call.stop_clocks()
            key = ConnectionKey(host, port, False, True, None, None, None)
            if isinstance(error, socket.gaierror):
                raise aiohttp.ClientConnectorDNSError(key, error) from error
            raise aiohttp.ClientConnectorError(key, error) from error

    def _headers_of(self, route: _Route, headers: Any) -> CIMultiDict[str]:
        """The headers aiohttp would send, in its order."""
        if not headers and not self._headers:
            return route.headers.copy()
        sent = CIMultiDict({hdrs.HOST: route.headers[hdrs.HOST]})
        sent.update(self._headers)
        if headers:
            sent.update(headers)
        for name, value in DEFAULT_HEADERS:
            if name not in sent:
                sent[name] = value
        return sent


class _Route:
    """What follows from a URL: kept, because clients ask the same ones again and again."""

    __slots__ = ("address", "back", "headers", "path", "target", "there", "url")

    def __init__(self, url: URL, there: Link, back: Link) -> None:
        self.url = url
        self.there, self.back = there, back
        self.address = (url.raw_host or "", url.port or 80)
        self.path, self.target = url.raw_path_qs, url.relative()
        self.headers = CIMultiDict([(hdrs.HOST, url.host_port_subcomponent or ""), *DEFAULT_HEADERS])


def _encode_json(method: str, headers: CIMultiDict[str], json: Any) -> bytes | None:
    """The JSON body as bytes; without one, the headers of a request that could have had a body."""
    if json is None:
        headers.setdefault(hdrs.CONTENT_LENGTH, "0")
        if method != "DELETE":
            headers.setdefault(hdrs.CONTENT_TYPE, "application/octet-stream")
        return None
    body = json_module.dumps(json).encode("utf-8")
    headers.setdefault(hdrs.CONTENT_LENGTH, str(len(body)))
    headers.setdefault(hdrs.CONTENT_TYPE, "application/json")
    return body


async def _encode_data(headers: CIMultiDict[str], json: Any, data: Any) -> bytes:
    """Any other body as bytes, with the headers that describe it."""
    if json is not None:
        raise ValueError("data and json parameters can not be used at the same time")
    form = data() if isinstance(data, aiohttp.FormData) else data
    try:
        content = payload.PAYLOAD_REGISTRY.get(form, disposition=None)
    except payload.LookupError:
        content = aiohttp.FormData(form)()
    body = await content.as_bytes()
    headers.setdefault(hdrs.CONTENT_LENGTH, str(len(body)))
    headers.setdefault(hdrs.CONTENT_TYPE, content.content_type)
    return body
