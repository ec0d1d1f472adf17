"""`Exchange`: one request and its response, handed over as objects instead of bytes.

It plays three parts that aiohttp keeps apart: the protocol and the transport that `web.Request` knows its
client by, and the writer that a response is sent with. The destination's router, middlewares and handlers
are the real ones; only bytes and parsers are missing.

What would surprise you: it counts turns. Over HTTP a request reaches its handler three turns of the loop after
it was sent, and the response wakes the client two turns after it was written; `Exchange` takes exactly as
many, at the same places in the queue. Without that, things that happen at one instant would happen in
another order than over HTTP, and event logs would differ. The counts are aiohttp's on Python 3.11, and
the boundary sees to it that it keeps them on newer ones; `test_virtual_replay` would say so.
"""

from __future__ import annotations

import asyncio
import errno
from contextvars import Context
from typing import Any, cast

import aiohttp
from aiohttp import hdrs, helpers, web
from aiohttp.client_exceptions import ClientConnectionResetError
from aiohttp.http import SERVER_SOFTWARE
from aiohttp.log import server_logger
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestHandler

from compose.virtual.direct.ports import Caller, Taker
from compose.virtual.kernel.loop import Handle, VirtualLoop
from compose.virtual.net.links import Link, LinkFault

UNLIMITED = 2**40
"""Read-buffer limit of streams whose bytes are in memory anyway."""

Chunk = bytes | bytearray | memoryview


class Exchange:
    """One request on its way to the handler, and the response on its way back."""

    # What most exchanges never change lives in the class: making one is on the hot path.
    ssl_context = None
    debug = False
    length: int | None = None
    chunked = False
    output_size = buffer_size = 0
    connected = True
    _reading_paused = False
    _request_count = 0
    _closing = False
    _client_gone = False
    _lost = False
    _server_gone = False
    _head_sent = False
    _last_back_s = 0.0
    _turns = 1
    _request: web.Request | None = None
    _task: asyncio.Task[None] | None = None
    _handle: Handle | None = None

    def __init__(self, loop: VirtualLoop, client: Caller, server: Taker, there: Link, back: Link) -> None:
        self.loop = loop
        self.there = there
        self.back = back
        self._client = client
        self._client_context: Context = client.context
        self.server = server
        self.peername = (there.source, 49152)
        self.sockname = server.address

    def __repr__(self) -> str:
        state = "closing" if self._closing else "running" if self._task else "sent"
        return f"<Exchange {self.there.source} → {self.there.destination} {state}>"

    # --- the request on its way ------------------------------------------------------------------------

    def send(self, message: Any, body: bytes | None) -> None:
        """Send the request; its handler starts as many turns later as it would over HTTP."""
        self._message, self._body = message, body
        self._context = context = self.server.context()
        self._handle = handle = Handle((self._travel, (), context))
        client = self._client
        if client.owner is not None:
            client.owner.open[client] = None
        self.server.connections[client] = self.server.open[self] = None
        if body is not None:  # aiohttp sends a body from a task of its own, which starts a turn later
            self.loop.call_soon(self._depart, context=self._client_context)
        elif self.there.clean:
            self.loop._ready.append(handle)
        else:
            self._depart()

    def _depart(self) -> None:
        link = self.there
        if self._client_gone or self._closing:
            return
        for place, end in self._places():
            place.pop(end, None)
            place[end] = None
        if link.blackhole:
            self._lost = True
            return
        if link.reset:
            self.cut(aiohttp.ClientOSError(errno.ECONNRESET, "Connection reset by peer"))
        elif link.latency_s:
            self.loop.call_at(self.loop.time() + link.latency_s, self._travel, context=self._context)
        else:
            self.loop._ready.append(cast(Handle, self._handle))

    def _places(self) -> list[tuple[dict[Any, None], Any]]:
        """Where a dying process or a starting fault looks for connections, in the order of their last use."""
        client, server = self._client, self.server
        places: list[tuple[dict[Any, None], Any]] = [(server.connections, client), (server.open, self)]
        return [(client.owner.open, client), *places] if client.owner is not None else places

    def _leave(self) -> None:
        self.server.open.pop(self, None)

    @property
    def task(self) -> asyncio.Task[None] | None:
        """The handler's task, once it has begun."""
        return self._task

    def _travel(self) -> None:
        """The turns that parsing, and waking the connection's task, take."""
        if self._turns:
            if not self._closing:
                self._turns = 0
                self.loop._ready.append(cast(Handle, self._handle))
        else:  # even if the client has hung up meanwhile: aiohttp handles what it has read
            self._handle = None
            self._task = self.loop.create_task(self._serve(), context=self._context)

    # --- the handler -----------------------------------------------------------------------------------

    async def _serve(self) -> None:
        """What aiohttp's `RequestHandler` does: run the handler, turn exceptions into responses, reply."""
        app = self.server.app
        payload = self._payload(self._body) if self._body else EMPTY_PAYLOAD
        protocol: Any = self
        request = app._make_request(self._message, payload, protocol, protocol, protocol._task)
        self._request = request
        try:
            try:
                response: Any = await app._handle(request)
            except web.HTTPException as error:
                response = error
            except TimeoutError:
                response = RequestHandler.handle_error(protocol, request, 504)
            except Exception as error:
                response = RequestHandler.handle_error(protocol, request, 500, error)
            if type(response) is web.Response and _is_plain(response, request):
                self._reply(request, response)
            else:
                await self._reply_slowly(request, response)
        except asyncio.CancelledError:
            # Over HTTP the connection's task notices in the next turn, and hangs up.
            self.loop.call_soon(self.abort)
            raise
        except ConnectionError:
            pass  # the client has left; the work is done all the same
        finally:
            self._request = None
            self._leave()

    def _payload(self, body: bytes) -> StreamReader:
        payload = StreamReader(cast(Any, self), UNLIMITED, loop=self.loop)
        payload.feed_data(body)
        payload.feed_eof()
        return payload

    def _reply(self, request: web.Request, response: web.Response) -> None:
        """Send a whole response at once: what `prepare` and `write_eof` come to for a plain one."""
        body = cast(bytes | None, response._body) or b""
        headers, status = response._headers, response._status
        if status not in (204, 304):
            headers.setdefault(hdrs.CONTENT_LENGTH, str(len(body)))
            if body:
                headers.setdefault(hdrs.CONTENT_TYPE, "application/octet-stream")
        headers.setdefault(hdrs.DATE, helpers.rfc822_formatted_time())
        headers.setdefault(hdrs.SERVER, SERVER_SOFTWARE)
        response._eof_sent = True
        if not self._closing:
            self._to_client(self._client.head, status, response._reason, headers, body, True)

    async def _reply_slowly(self, request: web.Request, response: Any) -> None:
        """Streams, cookies, signals, wrong return values: leave it to aiohttp, with this object as writer."""
        request._finish()
        if not isinstance(response, web.StreamResponse):
            server_logger.error("Web-handler should return a response instance, got %r", response)
            response = web.HTTPInternalServerError()
        await response.prepare(request)
        await response.write_eof()

    def pause_reading(self) -> None:
        """Stream readers ask for it; memory needs no flow control."""

    def resume_reading(self, resume_parser: bool = True) -> None:
        """See `pause_reading`."""

    def log_exception(self, message: str, *arguments: Any, **options: Any) -> None:
        """Where aiohttp's server reports handlers that failed."""
        server_logger.exception(message, *arguments, **options)

    log_debug = log_exception

    # --- the response: aiohttp's stream writer -----------------------------------------------------------

    async def write_headers(self, status_line: str, headers: Any) -> None:
        """Keep the head until the first bytes follow, as aiohttp does."""
        self._message = (int(status_line[9:12]), status_line[13:], headers)

    def send_headers(self) -> None:
        """Send the head now; the body will come in pieces."""
        if not self._head_sent:
            self._send(b"", last=False)

    async def write(self, chunk: Chunk, *, drain: bool = True, LIMIT: int = 0) -> None:
        """Send a piece of the body."""
        if chunk or not self._head_sent:
            self._send(bytes(chunk), last=False)

    async def write_eof(self, chunk: Chunk = b"") -> None:
        """Send the last piece."""
        self._send(bytes(chunk), last=True)

    def set_eof(self) -> None:
        """The response ends without another piece."""
        self._send(b"", last=True)

    async def drain(self) -> None:
        """Nothing to wait for."""

    def enable_chunking(self) -> None:
        """The length is not known; there are no bytes to frame."""
        self.chunked = True

    def enable_compression(self, *_how: Any, **_more: Any) -> None:
        """Not offered: nothing would be gained between objects."""
        raise NotImplementedError("the direct transport does not compress; use transport='http'")

    def _send(self, chunk: bytes, *, last: bool) -> None:
        if self._closing:
            raise ClientConnectionResetError("Cannot write to closing transport")
        self.output_size += len(chunk) + 1
        client = self._client
        if self._head_sent:
            self._to_client(client.piece, chunk, last)
        else:
            self._head_sent = True
            status, reason, headers = self._message
            self._to_client(client.head, status, reason, headers, chunk, last)

    def _to_client(self, callback: Any, *arguments: Any) -> None:
        link = self.back
        if link.clean and not self._last_back_s:
            self.loop.call_soon(callback, *arguments, context=self._client_context)
        elif link.blackhole:
            self._client_gone = self._lost = True
        elif link.reset:
            self.cut(aiohttp.ClientOSError(errno.ECONNRESET, "Connection reset by peer"))
        else:
            when = self._last_back_s = max(self._last_back_s, self.loop.time() + link.latency_s)
            self.loop.call_at(when, callback, *arguments, context=self._client_context)

    # --- ends ------------------------------------------------------------------------------------------

    def hang_up(self) -> None:
        """The client closes (timeout, cancellation, response not read): the server learns it two turns later.

        The handler keeps running: nobody tells it, it has to look at `request.transport`.
        """
        if not self._client_gone and not self.there.blackhole:
            when = self.loop.time() + self.there.latency_s
            self.loop.call_at(when, self._notice, context=self._context)
        self._client_gone = True

    def _notice(self) -> None:
        if not self._closing:
            self._closing = True
            self.loop.call_soon(self._lose, context=self._context)

    def _lose(self) -> None:
        self._server_gone = True
        if self._request is not None:
            self._request._cancel(ConnectionResetError("Connection lost"))

    def cancel_reading(self) -> None:
        """The server is shutting down: a handler that still reads its request fails."""
        if self._request is not None:
            self._request._cancel(asyncio.CancelledError())

    def cut(self, error: Exception) -> None:
        """End the connection for both sides at once: the client gets `error`, the server sees it closed."""
        self._closing = True
        self.loop.call_soon(self._client.fail, error, context=self._client_context)
        self.loop.call_soon(self._lose, context=self._context)

    def abort_client(self) -> None:
        """The client's end of the connection ends now: its process died, or a link fault cut it."""
        if not self._client_gone:
            error = aiohttp.ServerDisconnectedError()
            self.loop.call_soon(self._client.fail, error, context=self._client_context)
            self.hang_up()

    def suffer(self, fault: LinkFault) -> None:
        """End if a fault that has just started says so; as for in-memory transports."""
        there, back = self.there, self.back
        onward = fault.matches(there.source, there.destination)
        if onward or fault.matches(back.source, back.destination):
            if fault.reset:
                self.cut(aiohttp.ClientOSError(errno.ECONNRESET, "Connection reset by peer"))
            elif onward:
                self.abort_client()
            else:
                self.abort()

    def recover(self) -> None:
        """Reset if the request or its response was lost and would not be now; as for in-memory transports."""
        if self._lost and not (self.there.blackhole or self.back.blackhole):
            self.cut(aiohttp.ClientOSError(errno.ECONNRESET, "Connection reset by peer"))

    def abort(self) -> None:
        """The server's end of the connection ends now; to the client that is `ServerDisconnectedError`."""
        if self._closing:
            return
        self._closing = True
        self._leave()
        self._to_client(self._client.disconnected)
        self.loop.call_soon(self._lose, context=self._context)

    # --- the protocol and transport that handlers see ------------------------------------------------------

    @property
    def transport(self) -> Exchange | None:
        """The transport of `request.transport`: gone once the connection is lost."""
        return None if self._server_gone else self

    def is_closing(self) -> bool:
        """Whether the connection is closed or about to be."""
        return self._closing

    def close(self) -> None:
        """Same as `abort` here: nothing is buffered."""
        self.abort()

    force_close = close

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Names of both ends."""
        return getattr(self, name) if name in ("peername", "sockname") else default


def _is_plain(response: web.Response, request: web.Request) -> bool:
    """Whether the response is a body of bytes and headers, with nothing that would change it on the way."""
    body = response._body
    return (
        (body is None or type(body) is bytes)
        and response._payload_writer is None
        and not response._eof_sent
        and not response._compression
        and not response._chunked
        and not response._cookies
        and response._keep_alive is None
        and request._method != "HEAD"
        and request._post is None
        and request._match_info is not None
        and not any(app._on_response_prepare for app in request._match_info._apps)
    )
