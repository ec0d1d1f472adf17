"""`Exchange`: one request and its response, passed as objects instead of bytes.

It combines three roles that aiohttp keeps apart: the protocol and the transport that `web.Request` refers to, and the
writer of the response. The destination's router, middlewares and handlers are the real ones; only bytes and parsers are
missing.

It reproduces the number of loop turns. Over HTTP a request reaches its handler three turns after it was sent, and the
response wakes the client two turns after it was written. `Exchange` takes as many turns, at the same positions in the
queue. Otherwise events at one instant would come in a different order than over HTTP, and the event logs would differ.
The counts are aiohttp's on Python 3.11; the boundary keeps them on newer versions. The parity tests compare both
transports.
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
from compose.virtual.net.network import CLIENT_PORT

UNLIMITED = 2**40
"""Read-buffer limit of streams whose bytes are in memory anyway."""

Chunk = bytes | bytearray | memoryview


class Exchange:
    """One request in flight to the handler, and its response in flight to the client."""

    # Defaults that most exchanges never change are class attributes: the constructor is on the hot path.
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
        self.peername = (there.source, CLIENT_PORT)
        self.sockname = server.address

    def __repr__(self) -> str:
        state = "closing" if self._closing else "running" if self._task else "sent"
        return f"<Exchange {self.there.source} → {self.there.destination} {state}>"

    # --- the request in flight -------------------------------------------------------------------------

    def send(self, message: Any, body: bytes | None) -> None:
        """Send the request. Its handler starts the same number of turns later as over HTTP."""
        self._message, self._body = message, body
        self._context = context = self.server.context()
        self._handle = handle = Handle((self._travel, (), context))
        client = self._client
        if client.owner is not None:
            client.owner.open[client] = None
        self.server.connections[client] = self.server.open[self] = None
        if body is not None:  # aiohttp sends a body from a separate task, which starts one turn later
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
        """The registries in which kills and faults find connections, ordered by last use."""
        client, server = self._client, self.server
        places: list[tuple[dict[Any, None], Any]] = [(server.connections, client), (server.open, self)]
        return [(client.owner.open, client), *places] if client.owner is not None else places

    def _leave(self) -> None:
        self.server.open.pop(self, None)

    @property
    def task(self) -> asyncio.Task[None] | None:
        """The handler's task, once it has started."""
        return self._task

    def _travel(self) -> None:
        """Spend the turns that parsing and waking the connection's task take."""
        if self._turns:
            if not self._closing:
                self._turns = 0
                self.loop._ready.append(cast(Handle, self._handle))
        else:  # even if the client has disconnected meanwhile: aiohttp handles a request it has read
            self._handle = None
            self._task = self.loop.create_task(self._serve(), context=self._context)

    # --- the handler -----------------------------------------------------------------------------------

    async def _serve(self) -> None:
        """As aiohttp's `RequestHandler`: run the handler, turn exceptions into responses, reply."""
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
            # Over HTTP the connection's task notices this in the next turn and closes the connection.
            self.loop.call_soon(self.abort)
            raise
        except ConnectionError:
            pass  # the client has disconnected; the handler has completed its work
        finally:
            self._request = None
            self._leave()

    def _payload(self, body: bytes) -> StreamReader:
        payload = StreamReader(cast(Any, self), UNLIMITED, loop=self.loop)
        payload.feed_data(body)
        payload.feed_eof()
        return payload

    def _reply(self, request: web.Request, response: web.Response) -> None:
        """Send a complete response at once; equivalent to `prepare` and `write_eof` for a plain response."""
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
        """Streams, cookies, signals, wrong return values: handled by aiohttp, with this object as the writer."""
        request._finish()
        if not isinstance(response, web.StreamResponse):
            server_logger.error("Web-handler should return a response instance, got %r", response)
            response = web.HTTPInternalServerError()
        await response.prepare(request)
        await response.write_eof()

    def pause_reading(self) -> None:
        """Called by stream readers; no flow control is needed in memory."""

    def resume_reading(self, resume_parser: bool = True) -> None:
        """See `pause_reading`."""

    def log_exception(self, message: str, *arguments: Any, **options: Any) -> None:
        """Log a failed handler, as aiohttp's server does."""
        server_logger.exception(message, *arguments, **options)

    log_debug = log_exception

    # --- the response: aiohttp's stream writer -----------------------------------------------------------

    async def write_headers(self, status_line: str, headers: Any) -> None:
        """Buffer the head until the first bytes of the body, as aiohttp does."""
        self._message = (int(status_line[9:12]), status_line[13:], headers)

    def send_headers(self) -> None:
        """Send the head now; the body follows in chunks."""
        if not self._head_sent:
            self._send(b"", last=False)

    async def write(self, chunk: Chunk, *, drain: bool = True, LIMIT: int = 0) -> None:
        if chunk or not self._head_sent:
            self._send(bytes(chunk), last=False)

    async def write_eof(self, chunk: Chunk = b"") -> None:
        self._send(bytes(chunk), last=True)

    def set_eof(self) -> None:
        """End the response without a further chunk."""
        self._send(b"", last=True)

    async def drain(self) -> None:
        """Return at once: nothing is buffered."""

    def enable_chunking(self) -> None:
        """Mark the response as chunked; there are no bytes to frame."""
        self.chunked = True

    def enable_compression(self, *_how: Any, **_more: Any) -> None:
        """Not supported."""
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
        """The client closes (timeout, cancellation, response not read): the server notices two turns later.

        The handler keeps running and is not notified; it can check `request.transport`.
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
        """Close the connection on both sides at once: the client gets `error`, the server sees it closed."""
        self._closing = True
        self.loop.call_soon(self._client.fail, error, context=self._client_context)
        self.loop.call_soon(self._lose, context=self._context)

    def abort_client(self) -> None:
        """Close the client's end now: its process died, or a link fault cut the connection."""
        if not self._client_gone:
            error = aiohttp.ServerDisconnectedError()
            self.loop.call_soon(self._client.fail, error, context=self._client_context)
            self.hang_up()

    def apply_fault(self, fault: LinkFault) -> None:
        """Close or reset the connection if a newly started fault matches, as for in-memory transports."""
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
        """Reset the connection if the request or response was lost and the links have recovered."""
        if self._lost and not (self.there.blackhole or self.back.blackhole):
            self.cut(aiohttp.ClientOSError(errno.ECONNRESET, "Connection reset by peer"))

    def abort(self) -> None:
        """Close the server's end now; the client gets `ServerDisconnectedError`."""
        if self._closing:
            return
        self._closing = True
        self._leave()
        self._to_client(self._client.disconnected)
        self.loop.call_soon(self._lose, context=self._context)

    # --- the protocol and transport that handlers see ------------------------------------------------------

    @property
    def transport(self) -> Exchange | None:
        """The value of `request.transport`; None once the connection is lost."""
        return None if self._server_gone else self

    def is_closing(self) -> bool:
        """Whether the connection is closed or about to be."""
        return self._closing

    def close(self) -> None:
        """Same as `abort` here: nothing is buffered."""
        self.abort()

    force_close = close

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """`peername` and `sockname`; `default` for anything else."""
        return getattr(self, name) if name in ("peername", "sockname") else default


def _is_plain(response: web.Response, request: web.Request) -> bool:
    """Whether the response is only bytes and headers, with nothing that aiohttp would change while sending."""
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
