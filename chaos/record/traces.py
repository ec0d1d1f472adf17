"""The traces of a run: which are kept, and the file `traces.jsonl` (docs/traces.md).

Sampling by tail: a trace is judged when its first span, the user operation, ends. Kept are operations that failed,
those of which some call took more than `attempts_over` attempts, and a `share` of the rest. Each of the three has a
bound per window of time, so that one wave does not use up the space of the next; the file has a bound too.

A line is one trace, written when its last span has ended: late spans are of work that went on after the user left.
"""

import json
from collections import Counter
from io import StringIO
from pathlib import Path

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased
from opentelemetry.trace import StatusCode

from chaos.record.files import TRACES_FILE, LinesFile
from chaos.record.otlp import request_of
from chaos.record.sampling import KeepReason, TracingSettings
from services.chassis.clock import Clock
from services.chassis.registry import Instance
from services.chassis.telemetry import ATTEMPT, nanoseconds, tracing_of
from services.chassis.tracing import Tracing

UNFINISHED = "aftershock.unfinished"


class _Trace:
    """One trace in progress. Its spans are in the order of their start."""

    __slots__ = ("attempts", "open", "reason", "root", "spans")

    def __init__(self, root: int) -> None:
        self.root = root
        self.spans: dict[int, ReadableSpan] = {}
        self.open = 0
        self.attempts = 0
        self.reason: KeepReason | None = None


class TraceKeeper:
    """Takes the spans of all instances of a virtual run. Implements `SpanSink`."""

    def __init__(self, settings: TracingSettings, clock: Clock, *, folder: Path | None = None) -> None:
        self.settings = settings
        self.kept: Counter[str] = Counter()
        """Traces kept, by reason."""
        self.lost: Counter[str] = Counter()
        """Operations not kept because of a bound, by bound."""
        self.operations = 0
        self._clock = clock
        self._ratio = TraceIdRatioBased(settings.share)
        self._traces: dict[int, _Trace] = {}
        self._certain: dict[int, None] = {}
        self._held = 0
        self._written_bytes = 0
        self._window = -1
        self._used: Counter[str] = Counter()
        self._file: LinesFile | StringIO = StringIO() if folder is None else LinesFile(folder / TRACES_FILE)
        self._closed = False

    def tracing(self, instance: Instance, clock: Clock, seed: int) -> Tracing:
        """The tracing of an instance that starts now."""
        return tracing_of(instance, clock, seed, self)

    def __repr__(self) -> str:
        kept = ", ".join(f"{count} {reason}" for reason, count in sorted(self.kept.items())) or "none"
        return f"<TraceKeeper kept {kept} of {self.operations}, {len(self._traces)} in progress>"

    # --- SpanSink ----------------------------------------------------------------------------------------

    def samples(self, trace_id: int) -> bool:
        chosen = self._ratio.should_sample(None, trace_id, "").decision is Decision.RECORD_AND_SAMPLE
        full = self._held >= self.settings.open_spans_max
        if full or not (chosen and self._grant("share", self.settings.share_max)):
            return False
        self._certain[trace_id] = None
        return True

    def wants(self, trace_id: int) -> bool:
        trace = self._traces.get(trace_id)
        return trace is not None and len(trace.spans) < self.settings.spans_max

    def started(self, span: SdkSpan) -> None:
        ids = span.get_span_context()
        trace = self._traces.get(ids.trace_id)
        if trace is None:
            if span.parent is not None or self._closed:
                return
            self.operations += 1
            if self._held >= self.settings.open_spans_max:
                self.lost["open_spans"] += 1
                return
            trace = self._traces[ids.trace_id] = _Trace(ids.span_id)
        trace.spans[ids.span_id] = span
        trace.open += 1
        self._held += 1
        attempt = (span.attributes or {}).get(ATTEMPT, 0)
        if isinstance(attempt, int) and attempt > trace.attempts:
            trace.attempts = attempt

    def ended(self, span: ReadableSpan) -> None:
        ids = span.get_span_context()
        trace = self._traces.get(ids.trace_id) if ids is not None else None
        if ids is None or trace is None or ids.span_id not in trace.spans:
            return
        trace.spans[ids.span_id] = span
        trace.open -= 1
        if ids.span_id == trace.root:
            trace.reason = self._judge(ids.trace_id, trace, span)
            if trace.reason is None:
                self._forget(ids.trace_id)
                return
            self.kept[trace.reason] += 1
            self._certain[ids.trace_id] = None
        if trace.reason is not None and not trace.open:
            self._write(ids.trace_id, trace)

    def keeps(self, trace_id: int) -> bool:
        return trace_id in self._certain

    def discard(self, trace_id: int) -> None:
        if trace_id in self._traces:
            self.operations -= 1
            self._forget(trace_id)

    # --- judging -----------------------------------------------------------------------------------------

    def _judge(self, trace_id: int, trace: _Trace, root: ReadableSpan) -> KeepReason | None:
        settings = self.settings
        if trace_id in self._certain:
            return "share"
        if root.status.status_code is StatusCode.ERROR:
            return "failed" if self._grant("failed", settings.failed_max) else None
        if trace.attempts > settings.attempts_over:
            return "attempts" if self._grant("attempts", settings.attempts_max) else None
        return None

    def _grant(self, reason: KeepReason, most: int) -> bool:
        """Whether one more may be kept for this reason in this window."""
        window = int(self._clock.now() // self.settings.window_s)
        if window != self._window:
            self._window = window
            self._used.clear()
        if self._written_bytes >= self.settings.file_max_bytes:
            self.lost["file"] += 1
            return False
        if self._used[reason] >= most:
            self.lost[reason] += 1
            return False
        self._used[reason] += 1
        return True

    def _forget(self, trace_id: int) -> None:
        self._held -= len(self._traces.pop(trace_id).spans)
        self._certain.pop(trace_id, None)

    # --- writing -----------------------------------------------------------------------------------------

    def _write(self, trace_id: int, trace: _Trace) -> None:
        spans = list(trace.spans.values())
        line = json.dumps(request_of(spans), separators=(",", ":"), ensure_ascii=False) + "\n"
        self._written_bytes += len(line.encode())
        self._file.write(line)
        self._held -= len(self._traces.pop(trace_id).spans)

    def close(self) -> None:
        """Ends what is open (spans of killed processes, say), writes it, marked as unfinished, and closes the file.

        Raises:
            OSError: it could not be written. What there is of it is removed: the record is whole without it.
        """
        if self._closed:
            return
        self._closed = True
        now = nanoseconds(self._clock.epoch())
        for trace in list(self._traces.values()):
            for span in list(trace.spans.values()):
                if isinstance(span, SdkSpan) and span.is_recording():
                    span.set_attribute(UNFINISHED, True)
                    span.end(now)
        self._traces.clear()
        if isinstance(self._file, LinesFile):
            try:
                self._file.close()
            except OSError:
                self._file.path.unlink(missing_ok=True)
                raise

    def text(self) -> str:
        """What a keeper without a folder has written."""
        return self._file.getvalue() if isinstance(self._file, StringIO) else ""
