"""The shape of a line of `traces.jsonl`: an ExportTraceServiceRequest of OTLP, as far as the report reads it."""

from typing import Annotated

from pydantic import BaseModel, Field

Nanoseconds = Annotated[int, Field(ge=0, lt=2**63)]


class AttributeShape(BaseModel):
    """An attribute; `value` has one field, by the type of the value."""

    key: str
    value: Annotated[dict[str, str | int | float | bool], Field(min_length=1)]


class StatusShape(BaseModel):
    """The outcome of a span."""

    code: int = 0
    message: str = ""


class SpanShape(BaseModel):
    """A span. The root of a trace has no parent."""

    spanId: Annotated[str, Field(min_length=1)]
    parentSpanId: str = ""
    name: str
    startTimeUnixNano: Nanoseconds
    endTimeUnixNano: Nanoseconds
    status: StatusShape = StatusShape()
    attributes: list[AttributeShape] = []


class ResourceShape(BaseModel):
    """The instance of the spans."""

    attributes: list[AttributeShape]


class ScopeSpansShape(BaseModel):
    """Spans of one instrumentation."""

    spans: list[SpanShape]


class ResourceSpansShape(BaseModel):
    """Spans of one instance."""

    resource: ResourceShape
    scopeSpans: list[ScopeSpansShape]


class TraceShape(BaseModel):
    """One trace."""

    resourceSpans: list[ResourceSpansShape]
