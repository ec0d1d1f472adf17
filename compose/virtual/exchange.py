"""`Exchange`: one request and its response, handed over as objects instead of bytes.

It plays three parts that aiohttp keeps apart: the protocol and the transport that `web.Request` knows its
client by, and the writer that a response is sent with. The destination's router, middlewares and handlers
are the real ones; only bytes and parsers are missing.

What would surprise you: it counts turns. Over HTTP a request reaches its handler three turns of the loop after
it was sent, and the response wakes the client two turns after it was written; `Exchange` takes exactly as
many, at the same places in the queue. Without that, things that happen at one instant would happen in
another order than over HTTP, and event logs would differ.
"""

from __future__ import annotations

import asyncio
import errno
from contextvars import Context
from typing import TYPE_CHECKING, Any, cast

import aiohttp
from aiohttp import web
from aiohttp.client_exceptions import ClientConnectionResetError
from aiohttp.log import server_logger
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestHandler

from compose.virtual.links import Link
from compose.virtual.loop import Handle, VirtualLoop

if TYPE_CHECKING:
    from compose.virtual.direct import DirectServer

UNLIMITED = 2**40
"""Read-buffer limit of streams whose bytes are in memory anyway."""

Chunk = bytes | bytearray | memoryview


class Exchange:
    """One request on its way to the handler and the response on its way back."""

    __slots__ = (
        "__weakref__",
        "_body",
        "_client",
        "_client_context",
        "_client_gone",
        "_closing",
        "_handle",
        "_headers_sent",
        "_last_back_s",
        "_message",
        "_payload",
        "_request",
        "_server",
        "_server_gone",
        "_task",
        "_turns",
        "back",
        "buffer_size",
        "chunked",
        "length",
        "loop",
        "output_size",
        "peername",
        "sockname",
        "there",
    )

    ssl_context = None
    debug = False
    _reading_paused = False
    _request_count = 0

    def __init__(
        self, loop: VirtualLoop, client: Receiver, client_context: Context, server: DirectServer, link: tuple[Link, Link]
    ) -> None:
        self.loop = loop
        self.there, self.back = link
        self._client = client
        self._client_context = client_context
        self._server = server
        self._closing = self._server_gone = self._client_gone = self._headers_sent = False
        self._request: web.Request | None = None
        self._task: asyncio.Task[None] | None = None
        self._last_back_s = 0.0
        self.output_size = self.buffer_size = 0
        self.length: int | None = None
        self.chunked = False
        self.peername, self.sockname = (link[0].source, 49152), server.address

    def __repr__(self) -> str:
        state = "closing" if self._closing else "running" if self._task else "sent"
        return f"<Exchange {self.there.source} → {self.there.destination} {state}>"

    # --- the request on its way ------------------------------------------------------------------------

    def send(self, message: Any, body: bytes | None) -> None:
        """Send the request; its handler starts as many turns later as it would over HTTP."""
        self._message, self._body = message, body
        self._server.exchanges[self] = None
        self._turns = 1
        self._handle = handle = Handle((self._travel, (), self._server.context()))
        if body is not None:  # aiohttp sends a body from a task of its own, which starts a turn later
            self.loop.call_soon(self._depart, context=self._client_context)
        elif self.there.clean:
            self.loop._ready.append(handle)
        else:
            self._depart()

    def _depart(self) -> None:
        link = self.there
        if self._client_gone or link.blackhole:
            return
        if link.reset:
            self.cut(aiohttp.ClientOSError(errno.ECONNRESET, "Connection reset by peer"))
        elif link.latency_s:
            self.loop.call_at(self.loop.time() + link.latency_s, self._travel, context=self._handle[2])
        else:
            self.loop._ready.append(self._handle)

    def _travel(self) -> None:
        """The turns that parsing and waking the connection's task take."""
        if self._turns:
            self._turns -= 1
            self.loop._ready.append(self._handle)
        elif not self._closing:
            self._task = self.loop.create_task(self._serve(), context=self._handle[2])

    # --- the handler -----------------------------------------------------------------------------------

    async def _serve(self) -> None:
        """What `RequestHandler._handle_request` does: run the handler, turn exceptions into responses, reply."""
        server = self._server
        payload: Any = EMPTY_PAYLOAD
        if self._body is not None:
            payload = StreamReader(self, UNLIMITED, loop=self.loop)  # type: ignore[arg-type]
            if self._body:
                payload.feed_data(self._body)
            payload.feed_eof()
        self._request = request = server.app._make_request(
            self._message, payload, self, self, self._task  # type: ignore[arg-type]
        )
        response: Any
        try:
            try:
                response = await server.app._handle(request)
            except web.HTTPException as error:
                response = error
            except asyncio.TimeoutError:
                response = RequestHandler.handle_error(cast(Any, self), request, 504)
            except Exception as error:
                response = RequestHandler.handle_error(cast(Any, self), request, 500, error)
            request._finish()
            await self._finish(request, response)
        except asyncio.CancelledError:
            # Over HTTP the connection's task notices in the next turn, and hangs up.
            self.loop.call_soon(self.abort)
            raise
        finally:
            self._server.exchanges.pop(self, None)

    async def _finish(self, request: web.Request, response: Any) -> None:
        if not isinstance(response, web.StreamResponse):
            server_logger.error("Web-handler should return a response instance, got %r", response)
            response = web.HTTPInternalServerError()
        try:
            await response.prepare(request)
            await response.write_eof()
        except ConnectionError:
            return  # the client has left; the work is done all the same

    def log_exception(self, message: str, *arguments: Any, **options: Any) -> None:
        """Where aiohttp's server reports handlers that failed."""
        server_logger.exception(message, *arguments, **options)

    # --- the response: aiohttp's stream writer -----------------------------------------------------------

    async def write_headers(self, status_line: str, headers: Any) -> None:
        """Keep the head until the first bytes follow, as aiohttp does."""
        self._message = (int(status_line[9:12]), status_line[13:], headers)

    def send_headers(self) -> None:
        """Send the head now; the body will come in pieces."""
        if not self._headers_sent:
            self._send(b"", last=False)

    async def write(self, chunk: Chunk, *, drain: bool = True, LIMIT: int = 0) -> None:
        """Send a piece of the body."""
        if chunk or not self._headers_sent:
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
        if self._headers_sent:
            self._to_client(client.piece, chunk, last)
        else:
            self._headers_sent = True
            status, reason, headers = self._message
            self._to_client(client.head, status, reason, headers, chunk, last)

    def _to_client(self, callback: Any, *arguments: Any) -> None:
        link = self.back
        if link.clean and not self._last_back_s:
            self.loop.call_soon(callback, *arguments, context=self._client_context)
        elif link.blackhole:
            self._client_gone = True
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
        if self._client_gone:
            return
        self._client_gone = True
        link = self.there
        if link.blackhole:
            return
        when = self.loop.time() + link.latency_s
        self.loop.call_at(when, self._notice, context=self._handle[2])

    def _notice(self) -> None:
        if not self._closing:
            self._closing = True
            self.loop.call_soon(self._lose, context=self._handle[2])

    def _lose(self) -> None:
        self._server_gone = True
        if self._request is not None and self._task is not None and not self._task.done():
            self._request._cancel(ConnectionResetError("Connection lost"))

    def cut(self, error: Exception) -> None:
        """End the connection for both sides at once: the client gets `error`, the server sees it closed."""
        self._closing = True
        self.loop.call_soon(self._client.fail, error, context=self._client_context)
        self.loop.call_soon(self._lose, context=self._handle[2])

    def abort_client(self) -> None:
        """The client's end of the connection ends now: its process died, or a link fault cut it."""
        if not self._client_gone:
            self.loop.call_soon(
                self._client.fail, aiohttp.ServerDisconnectedError(), context=self._client_context
            )
            self.hang_up()

    def abort(self) -> None:
        """The server's end of the connection ends now; to the client that is `ServerDisconnectedError`."""
        if self._closing:
            return
        self._closing = True
        self._server.exchanges.pop(self, None)
        self._to_client(self._client.disconnected)
        self.loop.call_soon(self._lose, context=self._handle[2])

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
        return getattr(self, name, default) if name in ("peername", "sockname") else default


class Receiver:
    """What an exchange tells its client; `direct.DirectCall` implements it."""

    __slots__ = ()

    def head(self, status: int, reason: str, headers: Any, chunk: bytes, last: bool) -> None:
        """Status, headers and the first piece of the body."""

    def piece(self, chunk: bytes, last: bool) -> None:
        """Another piece of the body."""

    def disconnected(self) -> None:
        """The server closed the connection."""

    def fail(self, error: Exception) -> None:
        """The connection broke."""
