"""The client side of the direct transport: a call, its timeouts, its response."""

from __future__ import annotations

import asyncio
import json as json_module
from collections.abc import Coroutine
from contextvars import copy_context
from types import TracebackType
from typing import Any, cast

import aiohttp
from aiohttp import hdrs
from aiohttp.client_reqrep import RequestInfo
from aiohttp.helpers import BaseTimerContext
from aiohttp.http import HttpVersion11
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from compose.virtual.direct.exchange import UNLIMITED, Exchange
from compose.virtual.kernel.loop import OWNER, Handle, VirtualLoop
from compose.virtual.kernel.process import Process
from compose.virtual.net.links import LinkFault

JSON_TYPES = frozenset({"application/json", "application/json; charset=utf-8"})


class DirectResponse(aiohttp.ClientResponse):
    """A client response whose body is in memory or arrives as a stream."""

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
    def request_info(self) -> RequestInfo:
        """The request; created only when an error needs it."""
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
        """The body as JSON. The common content types take a fast path around aiohttp's implementation."""
        if options or self._headers.get(hdrs.CONTENT_TYPE) not in JSON_TYPES:
            return await super().json(**options)
        text = (self._body or await self.read()).decode("utf-8")
        return json_module.loads(text) if text and not text.isspace() else None

    def release(self) -> Any:
        """Release the connection; a body that was not read to its end closes it."""
        call = self._call
        if call is not None:
            self._closed = self._released = True
            self._call = None
            call.finish()

    close = release

    async def wait_for_close(self) -> None:
        self.release()

    @property
    def _raw_cookie_headers(self) -> tuple[str, ...]:  # type: ignore[override]
        """The source of `cookies`."""
        return tuple(self._headers.getall(hdrs.SET_COOKIE, ()))


class DirectCall:
    """The client side of one exchange: the awaited response and the timeouts."""

    body = b""
    complete = False
    timed_out = False
    stream: StreamReader | None = None
    total_timer: Handle | None = None
    sock_timer: Handle | None = None
    sock_read_s: float | None = None
    owner: Process | None = None
    exchange: Exchange | None = None

    def __init__(self, loop: VirtualLoop, method: str, url: URL) -> None:
        self.loop, self.method, self.url = loop, method, url
        self.context = copy_context()
        self.answer: asyncio.Future[DirectResponse] = loop.create_future()
        self.task: asyncio.Task[Any] | None = None

    def limit(self, timeout: aiohttp.ClientTimeout) -> None:
        """Start the total timeout; `sock_read` starts when the request is sent."""
        total, loop = timeout.total, self.loop
        if total is not None and total > 0:
            self.total_timer = loop.call_at(loop._now_s + total, self._time_out, context=self.context)
        self.sock_read_s = timeout.sock_read

    async def connect(self, reach: Coroutine[Any, Any, None], limits: aiohttp.ClientTimeout) -> None:
        """Wait until the host is reachable; raises aiohttp's ConnectionTimeoutError."""
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
            # If another party cancelled the task as well, the cancellation takes precedence over the timeout.
            if not self.timed_out or task.uncancel() > cancelling:
                raise
            raise TimeoutError from error
        except BaseException:
            self.finish()
            raise
        finally:
            self.task = None

    def abort(self) -> None:
        """The client process died."""
        if self.exchange is not None:
            self.exchange.abort_client()

    def apply_fault(self, fault: LinkFault) -> None:
        if self.exchange is not None:
            self.exchange.apply_fault(fault)

    def recover(self) -> None:
        if self.exchange is not None:
            self.exchange.recover()

    def finish(self) -> None:
        """The caller is done: stop the timers, and close the connection unless the response is complete."""
        exchange = self.exchange
        if exchange is not None:
            self.conclude()
            exchange.hang_up()

    def conclude(self) -> None:
        """Stop the timers and remove this connection from the registries that kills and faults walk through.

        Dropping the exchange also breaks a reference cycle that the garbage collector would have to find.
        """
        self.stop_clocks()
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.server.connections.pop(self, None)
            if self.owner is not None:
                self.owner.open.pop(self, None)

    # --- callbacks from the exchange -----------------------------------------------------------------------

    def head(self, status: int, reason: str, headers: Any, chunk: bytes, last: bool) -> None:
        """The head of the response, usually with the complete body."""
        answer = self.answer
        if answer.done():
            return
        if last or self.method == "HEAD" or status in (204, 304):
            self.body, self.complete = b"" if self.method == "HEAD" else chunk, True
            self.conclude()
        else:
            self.stream = _stream_of(self.loop, chunk, _Timer(self), complete=False)
            self._rearm()
        answer.set_result(DirectResponse(self, status, reason, headers))

    def piece(self, chunk: bytes, last: bool) -> None:
        """A further chunk of the body."""
        if self.complete or self.stream is None:
            return
        self._rearm()
        if chunk:
            self.stream.feed_data(chunk)
        if last:
            self.complete = True
            self.conclude()
            self.stream.feed_eof()

    def disconnected(self) -> None:
        """The server closed. As over HTTP, the protocol is notified one turn after the transport."""
        self.loop.call_soon(self.fail, aiohttp.ServerDisconnectedError(), context=self.context)

    def fail(self, error: Exception) -> None:
        """The connection is lost: the call fails, or reading the incomplete body does."""
        if not self.answer.done():
            self.answer.set_exception(error)
        elif self.stream is not None and not self.complete:
            self.complete = True
            self.stream.set_exception(aiohttp.ClientPayloadError("Response payload is not completed"))
        self.conclude()

    # --- timers ----------------------------------------------------------------------------------------

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
        if self.total_timer is not None:
            self.total_timer.cancel()
        if self.sock_timer is not None:
            self.sock_timer.cancel()


class _Timer(BaseTimerContext):
    """Applies the call's total timeout while a task connects or reads the body."""

    __slots__ = ("_call", "_cancelling")

    def __init__(self, call: DirectCall) -> None:
        self._call = call

    def assert_timeout(self) -> None:
        if self._call.timed_out:
            raise TimeoutError from None

    def __enter__(self) -> _Timer:
        self.assert_timeout()
        self._call.task = task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._cancelling = task.cancelling()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        task, self._call.task = self._call.task, None
        hit = kind is asyncio.CancelledError and self._call.timed_out and task is not None
        if hit and cast("asyncio.Task[Any]", task).uncancel() <= self._cancelling:
            raise TimeoutError from error


class _Reading:
    """The protocol that aiohttp's stream readers expect, without flow control: the bytes are in memory."""

    _reading_paused = False
    connected = True

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
