"""Spans of a real process, sent to a collector by OTLP over HTTP, from a task under the process's supervisor.

Encoded by OpenTelemetry's own encoder. Its exporter would send from a thread with a real clock of its own; this one
waits on the loop, so that a test runs it in virtual time.

Everything that is recorded is sent; which traces are kept is the collector's decision (`tail_sampling`). A collector
that does not answer costs the spans that do not fit into the queue, never a request. Spans wait encoded, in batches: a
span object takes 3 kB, its encoding 0.2 kB, and a full queue of objects would be half the memory of a container.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

from services.chassis.http import HttpClient

PATH = "/v1/traces"
INTERVAL_S = 1.0
TIMEOUT_S = 5.0
LAST_FLUSH_S = 2.0
"""For a collector that is away when the process ends: the last event lines still have to be written."""
BATCH_MAX = 500
BATCHES_MAX = 40
SHARE = 0.01
HEADERS = {"Content-Type": "application/x-protobuf"}


class OtlpExporter:
    """Sends the spans of one process to `endpoint`. Implements `SpanSink`."""

    def __init__(self, http: HttpClient, endpoint: str, *, share: float = SHARE) -> None:
        """`share` of the traces is certainly kept: the collector's share of operations without failure is the same."""
        self._http = http
        self._url = endpoint.rstrip("/") + PATH
        self._ratio = TraceIdRatioBased(share)
        self._fresh: list[ReadableSpan] = []
        self._batches: deque[tuple[int, bytes]] = deque()
        """The number of spans of a batch, and the body of its request."""
        self.on_lost: Callable[[int], object] = lambda _count: None
        """Called with the number of spans that did not fit, or that the collector did not take."""
        self.sent = 0

    def __repr__(self) -> str:
        return f"<OtlpExporter to {self._url}, {len(self)} spans waiting, {self.sent} sent>"

    def __len__(self) -> int:
        """Spans that wait."""
        return len(self._fresh) + sum(count for count, _ in self._batches)

    def samples(self, trace_id: int) -> bool:
        return self._ratio.should_sample(None, trace_id, "").decision is Decision.RECORD_AND_SAMPLE

    def wants(self, trace_id: int) -> bool:
        return True

    def started(self, span: SdkSpan) -> None:
        """Nothing: only ended spans are sent."""

    def ended(self, span: ReadableSpan) -> None:
        self._fresh.append(span)
        if len(self._fresh) >= BATCH_MAX:
            self._pack()

    def keeps(self, trace_id: int) -> bool:
        return self.samples(trace_id)

    def discard(self, trace_id: int) -> None:
        """Nothing: its first span never ends, so it is never sent."""

    def _pack(self) -> None:
        """Encodes the fresh spans as one batch; of too many batches the oldest is dropped."""
        fresh, self._fresh = self._fresh, []
        if fresh:
            self._batches.append((len(fresh), encode_spans(fresh).SerializeToString()))
        while len(self._batches) > BATCHES_MAX:
            self.on_lost(self._batches.popleft()[0])

    async def run(self) -> None:
        """Sends every `INTERVAL_S`, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            await self.flush()

    async def flush(self) -> None:
        """Sends what waits. A batch that the collector does not take is dropped: the next spans are newer."""
        self._pack()
        while self._batches:
            count, body = self._batches.popleft()
            reply = await self._http.call("POST", self._url, timeout_s=TIMEOUT_S, headers=HEADERS, data=body)
            if reply.ok:
                self.sent += count
            else:
                self.on_lost(count)

    async def close(self) -> None:
        """Sends a last time, for at most `LAST_FLUSH_S`."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_FLUSH_S):
                await self.flush()
