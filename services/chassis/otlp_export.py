"""Spans of a real process, sent to a collector by OTLP over HTTP, from a task under the process's supervisor.

Encoded by OpenTelemetry's own encoder. Its exporter would send from a thread with a real clock of its own; this one
waits on the loop, so that a test runs it in virtual time.

Everything that is recorded is sent; which traces are kept is the collector's decision (`tail_sampling`). A collector
that does not answer costs the spans that do not fit into the queue, never a request.
"""

import asyncio
from collections import deque

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

from services.chassis.http import HttpClient

PATH = "/v1/traces"
INTERVAL_S = 1.0
TIMEOUT_S = 5.0
QUEUE_LENGTH_MAX = 20_000
BATCH_MAX = 2_000
SHARE = 0.01
HEADERS = {"Content-Type": "application/x-protobuf"}


class OtlpExporter:
    """Sends the spans of one process to `endpoint`. Implements `SpanSink`."""

    def __init__(self, http: HttpClient, endpoint: str, *, share: float = SHARE) -> None:
        """`share` of the traces is certainly kept: the collector's share of operations without failure is the same."""
        self._http = http
        self._url = endpoint.rstrip("/") + PATH
        self._ratio = TraceIdRatioBased(share)
        self._waiting: deque[ReadableSpan] = deque()
        self.sent = 0
        self.lost = 0
        """Spans that did not fit, or that the collector did not take."""

    def __repr__(self) -> str:
        return f"<OtlpExporter to {self._url}, {len(self._waiting)} waiting, {self.sent} sent, {self.lost} lost>"

    def samples(self, trace_id: int) -> bool:
        return self._ratio.should_sample(None, trace_id, "").decision is Decision.RECORD_AND_SAMPLE

    def wants(self, trace_id: int) -> bool:
        return True

    def started(self, span: SdkSpan) -> None:
        """Nothing: only ended spans are sent."""

    def ended(self, span: ReadableSpan) -> None:
        if len(self._waiting) >= QUEUE_LENGTH_MAX:
            self._waiting.popleft()
            self.lost += 1
        self._waiting.append(span)

    def keeps(self, trace_id: int) -> bool:
        return self.samples(trace_id)

    def discard(self, trace_id: int) -> None:
        """Nothing: its first span never ends, so it is never sent."""

    async def run(self) -> None:
        """Sends every `INTERVAL_S`, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            await self.flush()

    async def flush(self) -> None:
        """Sends what waits. A batch that the collector does not take is dropped: the next spans are newer."""
        while self._waiting:
            batch = [self._waiting.popleft() for _ in range(min(BATCH_MAX, len(self._waiting)))]
            body = encode_spans(batch).SerializeToString()
            reply = await self._http.call("POST", self._url, timeout_s=TIMEOUT_S, headers=HEADERS, data=body)
            if reply.ok:
                self.sent += len(batch)
            else:
                self.lost += len(batch)
