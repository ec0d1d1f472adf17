"""Spans: what a service says about one request while it passes. Off unless a runtime passes another `Tracing`.

One trace per user operation. The load generator opens it (`operation`), `HttpClient` carries it to the next hop as a
W3C `traceparent` header, the application's middleware continues it there (`serve`). Code between those two names its
own parts with `span`. Outside a trace all of this does nothing.

`NO_TRACING` imports nothing and costs a call per span; `services.chassis.telemetry` is the implementation on
OpenTelemetry.
"""

from types import TracebackType
from typing import Protocol

import aiohttp
from aiohttp import web

from services.chassis.http import HttpClient

Fact = str | int | float | bool
Exemplar = dict[str, str]


class Span:
    """One part of an operation, from its start to its end. This one is of no trace: all calls are ignored."""

    __slots__ = ()

    def note(self, **facts: Fact) -> None:
        """Adds attributes; a name becomes `aftershock.<name>`."""

    def fail(self, reason: str) -> None:
        """Marks it as failed, with a short reason, e.g. `timeout`."""

    def answered(self, status: int) -> None:
        """The HTTP status of a request; 500 and above is a failure of the server."""

    def rename(self, name: str) -> None:
        """Changes the name, where it is known only at the end."""

    def end(self) -> None:
        """Ends it now. Only the first call counts."""

    def discard(self) -> None:
        """The operation turned out to be none: nothing of its trace is kept. Only for the first span of a trace."""

    def exemplar(self) -> Exemplar | None:
        """Labels for a histogram's exemplar, if the trace is certainly kept; else None."""
        return None


class SpanScope(Protocol):
    """A block of code during which a span is the current one."""

    def __enter__(self) -> Span: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class _NoScope:
    __slots__ = ()

    def __enter__(self) -> Span:
        return NO_SPAN

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass


NO_SPAN = Span()
NO_SCOPE = _NoScope()


class Tracing:
    """The tracing of one instance; this one is off."""

    __slots__ = ()
    on = False

    def client(self, session: aiohttp.ClientSession) -> HttpClient:
        """The instance's HTTP client."""
        return HttpClient(session)

    def operation(self, name: str, start: float, **facts: Fact) -> SpanScope:
        """Opens a trace at `start` (clock seconds). Its span is current in the block; its owner calls `end`."""
        return NO_SCOPE

    def serve(self, request: web.Request) -> SpanScope:
        """Continues the trace that the request belongs to, if any; its span ends with the block."""
        return NO_SCOPE

    def span(self, name: str, **facts: Fact) -> SpanScope:
        """A part of the current span; it ends with the block, as failed if that raises."""
        return NO_SCOPE

    def request(self, name: str, **facts: Fact) -> SpanScope:
        """As `span`, around one call of the HTTP client, which passes it on to the callee and notes how it ended."""
        return NO_SCOPE

    def begin(self, name: str, **facts: Fact) -> Span:
        """A part of the current span that outlives the block: its owner calls `end`."""
        return NO_SPAN

    def within(self, span: Span) -> SpanScope:
        """Makes `span`, begun elsewhere, the current one. With `NO_SPAN` the block belongs to no trace."""
        return NO_SCOPE

    @property
    def current(self) -> Span:
        """The span of the code that runs now."""
        return NO_SPAN

    def past(self, name: str, parent: Span, start: float, end: float, **facts: Fact) -> None:
        """A part of `parent` that lies in the past; `start` and `end` are clock seconds."""


NO_TRACING = Tracing()
