"""Spans as OTLP JSON: an `ExportTraceServiceRequest` in the JSON mapping of the OTLP specification.

Ids are hexadecimal and 64-bit integers are strings there, unlike in protobuf's own JSON mapping. A test reads the
result with OpenTelemetry's protobuf package.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

KINDS = {SpanKind.INTERNAL: 1, SpanKind.SERVER: 2, SpanKind.CLIENT: 3, SpanKind.PRODUCER: 4, SpanKind.CONSUMER: 5}
STATUS_CODES = {StatusCode.OK: 1, StatusCode.ERROR: 2}


def request_of(spans: Iterable[ReadableSpan]) -> dict[str, Any]:
    """The spans by resource, in the order given."""
    by_resource: dict[int, list[ReadableSpan]] = {}
    for span in spans:
        by_resource.setdefault(id(span.resource), []).append(span)
    return {"resourceSpans": [_resource_spans(group) for group in by_resource.values()]}


def _resource_spans(group: Sequence[ReadableSpan]) -> dict[str, Any]:
    scope = group[0].instrumentation_scope
    return {
        "resource": {"attributes": _attributes(group[0].resource.attributes)},
        "scopeSpans": [{"scope": {"name": scope.name if scope else ""}, "spans": [_span(span) for span in group]}],
    }


def _span(span: ReadableSpan) -> dict[str, Any]:
    ids = span.get_span_context()
    if ids is None:
        raise ValueError(f"{span.name}: a span without ids")
    written: dict[str, Any] = {"traceId": f"{ids.trace_id:032x}", "spanId": f"{ids.span_id:016x}"}
    if span.parent is not None:
        written["parentSpanId"] = f"{span.parent.span_id:016x}"
    written |= {
        "flags": int(ids.trace_flags),
        "name": span.name,
        "kind": KINDS[span.kind],
        "startTimeUnixNano": str(span.start_time),
        "endTimeUnixNano": str(span.end_time),
    }
    if span.attributes:
        written["attributes"] = _attributes(span.attributes)
    code = STATUS_CODES.get(span.status.status_code)
    if code is not None:
        written["status"] = {"code": code}
        if span.status.description:
            written["status"]["message"] = span.status.description
    return written


def _attributes(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": name, "value": _value(value)} for name, value in attributes.items()]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    return {"stringValue": str(value)}
