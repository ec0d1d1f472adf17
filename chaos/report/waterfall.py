"""Three typical operations as waterfalls: one before the incident, one in the storm, one during the ramp.

Taken from `traces.jsonl`; a run without traces has none. A waterfall has the spans that a user or an operator would
name; the requests of each hop between them are left out.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from chaos.record.files import TRACES_FILE
from chaos.record.otlp_shape import AttributeShape, TraceShape
from chaos.record.record import RecordError, RunRecord
from services.chassis.settings import explain

ATTEMPT_SPANS = ("identity.attempt", "arm.attempt")
CHOICE = "router.choose"
SHOWN = {
    "arm.call": "management call",
    "arm.wait": "wait for the operation",
    "job": "job",
    "job.try": "try",
    "package.fetch": "package",
    "identity.call": "identity call",
    "identity.workflow": "workflow",
    "identity.attempt": "attempt",
    "arm.attempt": "attempt",
    "node.queue": "queue",
    "node.service": "service",
}
ROWS_MAX = 80
DEPTH_MAX = 100
FAILED = 2
"""The status code of a span that failed."""
FULL_ATTEMPTS = 12
"""Attempts of a call that uses up both naive retry layers."""


@dataclass(frozen=True)
class WaterfallSpan:
    """A span as the file has it, in seconds of the incident's Unix time."""

    id: str
    parent: str
    name: str
    instance: str
    start_s: float
    end_s: float
    error: str
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Bar:
    """One row: a label, and a bar in percent of the width. `kind` is its CSS class."""

    label: str
    note: str
    depth: int
    left: float
    width: float
    kind: str


@dataclass(frozen=True)
class Waterfall:
    """One operation."""

    title: str
    reading: str
    bars: list[Bar]
    left_out: int


class OneOperation:
    """One trace, with the questions by which a typical one is found."""

    def __init__(self, spans: Sequence[WaterfallSpan]) -> None:
        """Raises ValueError unless the spans are one tree, of at most `DEPTH_MAX` levels."""
        roots = [span for span in spans if not span.parent]
        if len(roots) != 1 or len({span.id for span in spans}) < len(spans):
            raise ValueError(f"{len(roots)} spans without a parent, or two of one `spanId`")
        self.spans = spans
        self.root = roots[0]
        self._children: dict[str, list[WaterfallSpan]] = {}
        for span in sorted(spans, key=lambda one: one.start_s):
            self._children.setdefault(span.parent, []).append(span)
        self._refuse_depth()

    def _refuse_depth(self) -> None:
        level = [self.root]
        for _ in range(DEPTH_MAX):
            level = [child for span in level for child in self._children.get(span.id, ())]
        if level:
            raise ValueError(f"more than {DEPTH_MAX} levels of spans")

    @property
    def failed(self) -> bool:
        return bool(self.root.error)

    @property
    def succeeded(self) -> bool:
        """False too if the run ended first."""
        return self.root.facts.get("result") == "success"

    @property
    def attempts(self) -> int:
        """Attempts of the identity service until the operation ended."""
        return sum(span.name == "identity.attempt" and span.start_s <= self.root.end_s for span in self.spans)

    @property
    def regions(self) -> list[str]:
        """The regions that its requests were sent to, in order."""
        chosen = (span.facts.get("region", "") for span in self.spans if span.name == CHOICE)
        return list(dict.fromkeys(filter(None, chosen)))

    def region_of(self, attempt: WaterfallSpan) -> str:
        """The region that the router chose for an attempt; empty if it did not get so far."""
        below = [attempt]
        while below:
            span = below.pop()
            if span.name == CHOICE:
                return str(span.facts.get("region", ""))
            below += self._children.get(span.id, ())
        return ""

    def rows(self) -> Iterator[tuple[WaterfallSpan, int]]:
        """The spans to show, each with its depth among them."""
        yield from self._rows(self.root, 0)

    def _rows(self, span: WaterfallSpan, depth: int) -> Iterator[tuple[WaterfallSpan, int]]:
        shown = span is self.root or span.name in SHOWN
        if shown:
            yield span, depth
        for child in self._children.get(span.id, ()):
            yield from self._rows(child, depth + shown)


def waterfalls(record: RunRecord) -> list[Waterfall]:
    """The three, as far as the run has them."""
    if record.folder is None or not (record.folder / TRACES_FILE).exists():
        return []
    zero_s = record.zero_epoch_s
    ramp = record.first_event("traffic_changed", mode="ramp")
    ramp_s = zero_s + (ramp["t"] if ramp else float("inf"))
    ramped = str(ramp.get("region", "")) if ramp else ""
    found = _typical(read_operations(record.folder / TRACES_FILE), zero_s, ramp_s, ramped)
    return [_waterfall(title, operation) for title, operation in found]


def read_operations(path: Path) -> Iterator[OneOperation]:
    """The operations of a trace file.

    Raises:
        RecordError: a line is not a trace; the message names file, line, field and rule.
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                yield OneOperation(list(_spans(TraceShape.model_validate_json(line))))
            except ValidationError as error:
                raise RecordError(f"{path}:{number}: not a trace: {explain(error)}") from error
            except ValueError as error:
                raise RecordError(f"{path}:{number}: not a trace: {error}") from error


def _spans(trace: TraceShape) -> Iterator[WaterfallSpan]:
    for resource in trace.resourceSpans:
        instance = _facts(resource.resource.attributes).get("service.instance.id", "")
        for span in (span for scope in resource.scopeSpans for span in scope.spans):
            yield WaterfallSpan(
                span.spanId,
                span.parentSpanId,
                span.name,
                str(instance),
                span.startTimeUnixNano / 1e9,
                span.endTimeUnixNano / 1e9,
                (span.status.message or "failed") if span.status.code == FAILED else "",
                _facts(span.attributes),
            )


def _facts(attributes: Sequence[AttributeShape]) -> dict[str, Any]:
    return {item.key.removeprefix("aftershock."): next(iter(item.value.values())) for item in attributes}


def _typical(
    operations: Iterator[OneOperation], zero_s: float, ramp_s: float, ramped: str
) -> list[tuple[str, OneOperation]]:
    """The first of the best in each phase.

    Calm needs one attempt a call, the storm all of them in both regions; the ramp admits some in the `ramped` region.
    """
    best: dict[str, tuple[tuple[bool | int, ...], OneOperation]] = {}
    for operation in operations:
        root = operation.root
        suits: tuple[bool | int, ...]
        if root.end_s < zero_s:
            phase, suits = "Calm", (operation.succeeded and operation.attempts > 0, -operation.attempts)
        elif root.start_s >= ramp_s:
            phase, suits = "Ramp", (operation.succeeded, root.facts.get("region") == ramped, operation.attempts > 1)
        else:
            full = operation.attempts == FULL_ATTEMPTS
            phase, suits = "Storm", (operation.failed and operation.attempts > 0, full, len(operation.regions))
        if suits[0] and (phase not in best or suits > best[phase][0]):
            best[phase] = suits, operation
    return [(phase, best[phase][1]) for phase in ("Calm", "Storm", "Ramp") if phase in best]


def _waterfall(phase: str, operation: OneOperation) -> Waterfall:
    rows = list(operation.rows())
    shown = rows[:ROWS_MAX]
    start = operation.root.start_s
    span_s = max(max(span.end_s for span, _ in shown) - start, 1e-6)
    bars = [_bar(span, depth, operation, lambda moment: 100 * (moment - start) / span_s) for span, depth in shown]
    name = operation.root.name.removeprefix("user.").replace("_", " ")
    result = f"failed: {operation.root.error}" if operation.failed else "succeeded"
    took = operation.root.end_s - start
    facts, where = operation.root.facts, " and ".join(operation.regions) or "no region"
    tries = "1 attempt" if operation.attempts == 1 else f"{operation.attempts} attempts"
    reading = (
        f"{facts.get('tenant', '')} in {facts.get('region', '')}: {name}, {result} after {took:.2f} s and "
        f"{tries} at the identity service, sent to {where}."
    )
    return Waterfall(phase, reading, bars, len(rows) - len(shown))


def _bar(span: WaterfallSpan, depth: int, operation: OneOperation, at: Callable[[float], float]) -> Bar:
    left, right = at(span.start_s), at(span.end_s)
    return Bar(_label(span), _note(span, operation), depth, round(left, 3), round(right - left, 3), _kind(span))


def _label(span: WaterfallSpan) -> str:
    number = span.facts.get("attempt") or span.facts.get("call")
    words = SHOWN.get(span.name, span.name.removeprefix("user.").replace("_", " "))
    return f"{words} {number}" if number else words


def _note(span: WaterfallSpan, operation: OneOperation) -> str:
    parts = [f"{1000 * (span.end_s - span.start_s):.0f} ms"]
    if span.name in ATTEMPT_SPANS:
        parts.append(operation.region_of(span))
    elif span.name.startswith("node."):
        parts.append(span.instance)
    if span.name == "node.service" and not span.facts.get("useful", True):
        parts.append("wasted")
    parts.append(span.error)
    return ", ".join(filter(None, parts))


def _kind(span: WaterfallSpan) -> str:
    if span.name == "node.service" and not span.facts.get("useful", True):
        return "wasted"
    if span.error:
        return "failed"
    return "node" if span.name.startswith("node.") else "plain"
