"""Tracing on the OpenTelemetry SDK: ids from the instance's seeded stream, times from its clock.

Every span of a trace is recorded; which traces are kept is decided at the end (`SpanSink`), when it is known how the
operation went. The W3C flag `sampled` says that a trace is certainly kept, decided at its start.

The current span is in a context variable of ours, not in OpenTelemetry's context: a virtual run passes it millions of
times.
"""

from asyncio import CancelledError
from collections.abc import Sequence
from contextlib import suppress
from contextvars import ContextVar
from random import Random
from types import TracebackType
from typing import Any, Protocol

import aiohttp
from aiohttp import web
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceState,
    get_current_span,
)
from opentelemetry.trace import Span as ApiSpan
from opentelemetry.trace.propagation import set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import Attributes
from yarl import URL

from services.chassis.clock import Clock
from services.chassis.http import HttpClient, HttpReply
from services.chassis.registry import Instance
from services.chassis.routes import PATHS
from services.chassis.streams import Streams
from services.chassis.tracing import NO_SCOPE, NO_SPAN, Exemplar, Fact, Span, SpanScope, Tracing

PREFIX = "aftershock."
TRACEPARENT = "traceparent"
ATTEMPT, KEPT = PREFIX + "attempt", PREFIX + "kept"
"""`kept` marks every span of a trace that is certainly kept, for a collector that samples by tail."""
SCOPE_NAME = "aftershock"
PROPAGATOR = TraceContextTextMapPropagator()
LIMITS = SpanLimits(
    max_span_attributes=32,
    max_events=8,
    max_links=8,
    max_event_attributes=8,
    max_link_attributes=8,
    max_attribute_length=256,
    max_span_attribute_length=256,
)
"""Stated here, or the SDK would take them from the environment."""


class SpanSink(Protocol):
    """Takes the spans of one or more instances and decides what is kept."""

    def samples(self, trace_id: int) -> bool:
        """Whether a trace that begins now is certainly kept."""

    def wants(self, trace_id: int) -> bool:
        """Whether one more span of this trace is recorded."""

    def started(self, span: SdkSpan) -> None:
        """A span has started."""

    def ended(self, span: ReadableSpan) -> None:
        """A span has ended."""

    def keeps(self, trace_id: int) -> bool:
        """Whether the trace is certainly kept, as far as this process knows."""

    def discard(self, trace_id: int) -> None:
        """The trace is none."""


def nanoseconds(epoch_s: float) -> int:
    """Unix time in nanoseconds, rounded to microseconds: a float resolves no more."""
    return round(epoch_s * 1e6) * 1000


class LiveSpan(Span):
    """A span that is recorded, or one beyond the bounds that only passes its trace on."""

    __slots__ = ("_clock", "_sink", "context", "inner")

    def __init__(self, inner: ApiSpan, clock: Clock, sink: SpanSink) -> None:
        self.inner = inner
        self.context: Context = set_span_in_context(inner, _NO_CONTEXT)
        self._clock = clock
        self._sink = sink

    def note(self, **facts: Fact) -> None:
        if self.inner.is_recording():  # else the SDK warns: the run ends with code of killed processes unwinding
            self.inner.set_attributes({PREFIX + name: value for name, value in facts.items()})

    def fail(self, reason: str) -> None:
        if self.inner.is_recording():
            self.inner.set_status(Status(StatusCode.ERROR, reason))
            self.inner.set_attribute("error.type", reason)

    def answered(self, status: int) -> None:
        if self.inner.is_recording():
            self.inner.set_attribute("http.response.status_code", status)
        if status >= 500:
            self.fail(str(status))

    def rename(self, name: str) -> None:
        if self.inner.is_recording():
            self.inner.update_name(name)

    def end(self) -> None:
        if self.inner.is_recording():
            self.inner.end(nanoseconds(self._clock.epoch()))

    def discard(self) -> None:
        self._sink.discard(self.inner.get_span_context().trace_id)

    def exemplar(self) -> Exemplar | None:
        ids = self.inner.get_span_context()
        if not (ids.trace_flags.sampled or self._sink.keeps(ids.trace_id)):
            return None
        return {"trace_id": f"{ids.trace_id:032x}", "span_id": f"{ids.span_id:016x}"}

    def __repr__(self) -> str:
        ids = self.inner.get_span_context()
        return f"<LiveSpan {getattr(self.inner, 'name', 'passing')} of {ids.trace_id:032x}>"


_NO_CONTEXT = Context()
_CURRENT: ContextVar[LiveSpan | None] = ContextVar("aftershock_span", default=None)


class _Current:
    """Makes a span the current one, and ends it afterwards if it `ends` with the block."""

    __slots__ = ("_ends", "_span", "_token")

    def __init__(self, span: LiveSpan | None, *, ends: bool) -> None:
        self._span = span
        self._ends = ends

    def __enter__(self) -> Span:
        self._token = _CURRENT.set(self._span)
        return self._span or NO_SPAN

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(ValueError):  # the coroutine is closed from outside its context, by the garbage collector
            _CURRENT.reset(self._token)
        if self._ends and self._span is not None:
            if kind is not None:
                self._span.fail("cancelled" if issubclass(kind, CancelledError) else kind.__name__)
            self._span.end()


class Telemetry(Tracing):
    """The tracing of one instance, on a tracer provider of its own: each instance is a resource."""

    __slots__ = ("_clock", "_sink", "_tracer")
    on = True

    def __init__(self, instance: Instance, clock: Clock, ids: Random, sink: SpanSink) -> None:
        provider = TracerProvider(
            sampler=_CertainlyKept(sink),
            resource=Resource(_resource(instance)),
            id_generator=_SeededIds(ids),
            span_limits=LIMITS,
            shutdown_on_exit=False,
        )
        provider.add_span_processor(_ToSink(sink))
        self._tracer = provider.get_tracer(SCOPE_NAME)
        self._clock = clock
        self._sink = sink

    def client(self, session: aiohttp.ClientSession) -> HttpClient:
        return TracedHttpClient(session)

    def operation(self, name: str, start: float, **facts: Fact) -> SpanScope:
        span = self._recorded(name, _NO_CONTEXT, SpanKind.INTERNAL, facts, start)
        return _Current(span, ends=False)

    def serve(self, request: web.Request) -> SpanScope:
        given = request.headers.get(TRACEPARENT)
        if given is None:
            return NO_SCOPE
        context = PROPAGATOR.extract({TRACEPARENT: given}, _NO_CONTEXT)
        caller = get_current_span(context).get_span_context()
        if not caller.is_valid:
            return NO_SCOPE
        resource = request.match_info.route.resource
        path = request.app[PATHS].get(resource, "") if resource is not None else ""
        span = self._child(f"{request.method} {path}".rstrip(), caller, context, SpanKind.SERVER, {})
        span.inner.set_attribute("http.request.method", request.method)
        return _Current(span, ends=True)

    def span(self, name: str, **facts: Fact) -> SpanScope:
        parent = _CURRENT.get()
        return NO_SCOPE if parent is None else _Current(self.child(name, parent, SpanKind.INTERNAL, facts), ends=True)

    def request(self, name: str, **facts: Fact) -> SpanScope:
        parent = _CURRENT.get()
        return NO_SCOPE if parent is None else _Current(self.child(name, parent, SpanKind.CLIENT, facts), ends=True)

    def begin(self, name: str, **facts: Fact) -> Span:
        parent = _CURRENT.get()
        return NO_SPAN if parent is None else self.child(name, parent, SpanKind.INTERNAL, facts)

    def within(self, span: Span) -> SpanScope:
        return _Current(span if isinstance(span, LiveSpan) else None, ends=False)

    @property
    def current(self) -> Span:
        return _CURRENT.get() or NO_SPAN

    def past(self, name: str, parent: Span, start: float, end: float, **facts: Fact) -> None:
        if isinstance(parent, LiveSpan) and parent.inner.is_recording():
            span = self.child(name, parent, SpanKind.INTERNAL, facts, start)
            if span.inner.is_recording():
                span.inner.end(self._nanoseconds(end))

    # --- making spans ------------------------------------------------------------------------------------

    def child(
        self, name: str, parent: LiveSpan, kind: SpanKind, facts: dict[str, Fact], start: float | None = None
    ) -> LiveSpan:
        """A span below `parent`."""
        return self._child(name, parent.inner.get_span_context(), parent.context, kind, facts, start)

    def _child(
        self,
        name: str,
        parent: SpanContext,
        context: Context,
        kind: SpanKind,
        facts: dict[str, Fact],
        start: float | None = None,
    ) -> LiveSpan:
        """A recorded span, or, beyond the bounds, one with the parent's ids: what is below it has a recorded parent."""
        if self._sink.wants(parent.trace_id):
            return self._recorded(name, context, kind, facts, start)
        return LiveSpan(NonRecordingSpan(parent), self._clock, self._sink)

    def _recorded(
        self, name: str, context: Context, kind: SpanKind, facts: dict[str, Fact], start: float | None = None
    ) -> LiveSpan:
        inner = self._tracer.start_span(
            name,
            context,
            kind,
            {PREFIX + name: value for name, value in facts.items()},
            start_time=self._nanoseconds(self._clock.now() if start is None else start),
            record_exception=False,
            set_status_on_exception=False,
        )
        return LiveSpan(inner, self._clock, self._sink)

    def _nanoseconds(self, moment: float) -> int:
        """Clock seconds as Unix time in nanoseconds."""
        return nanoseconds(self._clock.epoch_of(moment))


class TracedHttpClient(HttpClient):
    """Carries the current span to the next hop; a span made for the request (`Tracing.request`) notes how it ended."""

    __slots__ = ()

    async def call(self, method: str, url: str | URL, *, headers: Any = None, **rest: Any) -> HttpReply:
        span = _CURRENT.get()
        if span is None:
            return await super().call(method, url, headers=headers, **rest)
        sent = dict(headers or ())
        PROPAGATOR.inject(sent, span.context)
        reply = await super().call(method, url, headers=sent, **rest)
        if getattr(span.inner, "kind", None) is SpanKind.CLIENT:
            if reply.failure:
                span.fail(reply.failure)
            else:
                span.answered(reply.status)
        return reply


def tracing_of(instance: Instance, clock: Clock, seed: int, sink: SpanSink) -> Telemetry:
    """The tracing of an instance that starts now; one that is restarted draws other ids than before."""
    ids = Streams(seed, instance.name)[f"tracing/{clock.epoch():.6f}"]
    return Telemetry(instance, clock, ids, sink)


def _resource(instance: Instance) -> dict[str, str]:
    found = {"service.name": instance.service, "service.instance.id": instance.name, "cloud.region": instance.region}
    return {name: value for name, value in found.items() if value}


class _SeededIds(IdGenerator):
    """Ids from a stream of the seed."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng

    def generate_span_id(self) -> int:
        return self._rng.getrandbits(64) or 1

    def generate_trace_id(self) -> int:
        return self._rng.getrandbits(128) or 1


class _CertainlyKept(Sampler):
    """Records every span; the flag `sampled` of a trace is decided at its first span."""

    def __init__(self, sink: SpanSink) -> None:
        self._sink = sink

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        parent = get_current_span(parent_context).get_span_context()
        kept = parent.trace_flags.sampled if parent.is_valid else self._sink.samples(trace_id)
        if kept:
            return SamplingResult(Decision.RECORD_AND_SAMPLE, {**(attributes or {}), KEPT: True})
        return SamplingResult(Decision.RECORD_ONLY, attributes)

    def get_description(self) -> str:
        return "CertainlyKept"


class _ToSink(SpanProcessor):
    """Passes spans to the sink."""

    def __init__(self, sink: SpanSink) -> None:
        self._sink = sink

    def on_start(self, span: SdkSpan, parent_context: Context | None = None) -> None:
        self._sink.started(span)

    def on_end(self, span: ReadableSpan) -> None:
        self._sink.ended(span)
