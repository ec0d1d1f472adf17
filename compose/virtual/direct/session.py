"""`DirectSession`: the interface of `aiohttp.ClientSession`, passing requests to the destination without HTTP bytes.

For long replays and sweeps of many runs: same services, same handlers, same event log for a given seed, several times
faster. It has no connections, so pools, connecting (`sock_connect`), back-pressure, compression, redirects and
WebSockets cannot be studied with it; use `transport="http"` for those. A handler that streams to a caller who left
during a partition learns it over HTTP when the partition ends, here when it writes the last piece.
"""

from __future__ import annotations

import errno
import json as json_module
import socket
from collections.abc import Coroutine, Generator
from typing import Any, cast

import aiohttp
from aiohttp import hdrs, payload
from aiohttp.client_reqrep import ClientRequest, ConnectionKey
from aiohttp.http import SERVER_SOFTWARE, HttpVersion11, RawRequestMessage
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from compose.virtual.direct.call import DirectCall, DirectResponse
from compose.virtual.direct.exchange import Exchange
from compose.virtual.direct.server import DirectServer
from compose.virtual.net.links import Link
from compose.virtual.net.network import Listener, Network

DEFAULT_HEADERS = (
    (hdrs.ACCEPT, "*/*"),
    (hdrs.ACCEPT_ENCODING, ClientRequest.DEFAULT_HEADERS[hdrs.ACCEPT_ENCODING]),
    (hdrs.USER_AGENT, SERVER_SOFTWARE),
)
ROUTES_MAX = 4096
BODYLESS_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
DEFAULT_TIMEOUT = aiohttp.ClientTimeout(total=300, sock_connect=30)


class _Request(Coroutine[Any, Any, DirectResponse]):
    """A request that supports `await session.get(...)`, `async with session.get(...)` and `create_task`."""

    __slots__ = ("_coro", "_response")

    _response: DirectResponse

    def __init__(self, coro: Coroutine[Any, Any, DirectResponse]) -> None:
        self._coro = coro

    def send(self, value: Any) -> Any:
        return self._coro.send(value)

    def throw(self, *error: Any) -> Any:
        return self._coro.throw(*error)

    def close(self) -> None:
        self._coro.close()

    def __await__(self) -> Generator[Any, None, DirectResponse]:
        return self._coro.__await__()

    async def __aenter__(self) -> DirectResponse:
        response = self._response = await self._coro
        response._in_context = True
        return response

    async def __aexit__(self, *_error: object) -> None:
        self._response.release()


class DirectSession:
    """The subset of `aiohttp.ClientSession` that the services use."""

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
            raise TypeError(f"the direct transport does not support {', '.join(options)}; use transport='http'")
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
        """Refuse further requests; there are no connections to close."""
        self.closed = True

    @property
    def headers(self) -> CIMultiDict[str]:
        return self._headers

    @property
    def timeout(self) -> aiohttp.ClientTimeout:
        return self._timeout

    def request(self, method: str, url: str | URL, **options: Any) -> _Request:
        return _Request(self._request(method.upper(), url, **options))

    def get(self, url: str | URL, **options: Any) -> _Request:
        return _Request(self._request("GET", url, **options))

    def head(self, url: str | URL, **options: Any) -> _Request:
        """HEAD."""
        options.setdefault("allow_redirects", False)
        return _Request(self._request("HEAD", url, **options))

    def options(self, url: str | URL, **options: Any) -> _Request:
        return _Request(self._request("OPTIONS", url, **options))

    def post(self, url: str | URL, **options: Any) -> _Request:
        return _Request(self._request("POST", url, **options))

    def put(self, url: str | URL, **options: Any) -> _Request:
        return _Request(self._request("PUT", url, **options))

    def patch(self, url: str | URL, **options: Any) -> _Request:
        return _Request(self._request("PATCH", url, **options))

    def delete(self, url: str | URL, **options: Any) -> _Request:
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
        if listener is None or listener.acceptor is None or not (route.there.clean and route.back.clean):
            listener = await self._find(call, route, limits)
        message = RawRequestMessage(
            method, route.path, HttpVersion11, CIMultiDictProxy(sent), (), False, None, False, False, route.target
        )
        exchange = Exchange(self._loop, call, cast(DirectServer, listener.acceptor), route.there, route.back)
        response = await call.run(exchange, message, body)
        if response.status >= 300 and allow_redirects and response.status in REDIRECTS:
            raise NotImplementedError("the direct transport does not follow redirects: pass allow_redirects=False")
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
        """Slow path to the listener: waits while the link is a black hole, raises the errors of a failed connect."""
        host, port = route.address
        try:
            if self._network.knows(host) and self._network.hangs(self._source, host):
                await call.connect(self._network.reach(self._source, host), limits)
            listener = self._network.check_route(self._source, host, port)
            if listener.acceptor is None:
                raise ConnectionRefusedError(errno.ECONNREFUSED, f"{host}:{port} does not accept direct requests")
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
        """The headers aiohttp would send, in aiohttp's order."""
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
    """Values derived from a URL, cached because clients request the same URLs repeatedly."""

    __slots__ = ("address", "back", "headers", "path", "target", "there", "url")

    def __init__(self, url: URL, there: Link, back: Link) -> None:
        self.url = url
        self.there, self.back = there, back
        self.address = (url.raw_host or "", url.port or 80)
        self.path, self.target = url.raw_path_qs, url.relative()
        self.headers = CIMultiDict([(hdrs.HOST, url.host_port_subcomponent or ""), *DEFAULT_HEADERS])


def _encode_json(method: str, headers: CIMultiDict[str], json: Any) -> bytes | None:
    """The JSON body as bytes. Without a body, set the headers of an empty one and return None."""
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
    """A non-JSON body as bytes; sets its Content-Length and Content-Type."""
    if json is not None:
        raise ValueError("data and json parameters can not be used at the same time")
    form = data() if isinstance(data, aiohttp.FormData) else data
    try:
        content = payload.PAYLOAD_REGISTRY.get(form, disposition=None)
    except payload.LookupError:
        content = aiohttp.FormData(cast(Any, form))()
    body = await content.as_bytes()
    headers.setdefault(hdrs.CONTENT_LENGTH, str(len(body)))
    headers.setdefault(hdrs.CONTENT_TYPE, content.content_type)
    return body
