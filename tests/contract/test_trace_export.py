"""OTLP as others read it: protobuf over HTTP to a small receiver, and the lines of `traces.jsonl`."""

import asyncio
import json
from base64 import b64encode
from typing import Any

import pytest
from aiohttp import web
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from compose.virtual.world import VirtualWorld
from services.chassis import otlp_export
from services.chassis.clock import Clock
from services.chassis.http import HttpClient
from services.chassis.metrics import Metrics
from services.chassis.otlp_export import BATCH_MAX, BATCHES_MAX, INTERVAL_S, LAST_FLUSH_S, OtlpExporter
from services.chassis.process import ProcessSettings, process_env
from services.chassis.registry import Instance
from services.chassis.telemetry import tracing_of
from tests.contract.test_traces import ALL
from tests.contract.traced_world import TRACED, read_traces, traced

pytestmark = pytest.mark.xdist_group(TRACED)
NODE = Instance("identity", "eastus", "identity-eastus-1", "")


class Collector:
    """Decodes what it is sent."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.requests: list[ExportTraceServiceRequest] = []

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/v1/traces", self._take)
        return app

    async def _take(self, request: web.Request) -> web.Response:
        assert request.content_type == "application/x-protobuf"
        self.requests.append(ExportTraceServiceRequest.FromString(await request.read()))
        return web.Response(status=self.status)

    @property
    def spans(self) -> list[Any]:
        return [
            span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


def _losses() -> list[int]:
    return []


def _end_spans(world: VirtualWorld, exporter: OtlpExporter, count: int) -> None:
    clock = Clock(world.loop.time, world.epoch_s)
    tracing = tracing_of(NODE, clock, 1, exporter)
    for _ in range(count):
        with tracing.operation("user", clock.now(), tenant="virtual-machines", region="eastus") as root:
            root.end()


def _exporter(world: VirtualWorld) -> OtlpExporter:
    return OtlpExporter(HttpClient(world.session("identity-eastus-1")), "http://collector:4318/")


@pytest.mark.parametrize("world", ["http", "direct"], indirect=True)
async def test_a_receiver_decodes_what_a_process_sends(world: VirtualWorld) -> None:
    collector = Collector()
    await world.serve(collector.app(), "collector", 4318)
    exporter, clock = _exporter(world), Clock(world.loop.time, world.epoch_s)
    tracing = tracing_of(NODE, clock, 1, exporter)
    with tracing.operation("user", clock.now(), tenant="devops") as root:
        with tracing.span("identity.call", attempts=3) as call:
            await asyncio.sleep(0.25)
            call.fail("timeout")
        root.end()
    await exporter.flush()
    call_sent, root_sent = collector.spans
    assert (root_sent.name, call_sent.name) == ("user", "identity.call")
    assert call_sent.parent_span_id == root_sent.span_id
    assert call_sent.trace_id == root_sent.trace_id
    assert call_sent.end_time_unix_nano - call_sent.start_time_unix_nano == 250_000_000
    assert (call_sent.status.code, call_sent.status.message) == (2, "timeout")
    resource = {
        item.key: item.value.string_value for item in collector.requests[0].resource_spans[0].resource.attributes
    }
    assert resource == {
        "service.name": "identity",
        "service.instance.id": "identity-eastus-1",
        "cloud.region": "eastus",
    }
    assert exporter.sent == 2


async def test_spans_leave_once_a_second_in_bounded_batches(world: VirtualWorld) -> None:
    collector = Collector()
    await world.serve(collector.app(), "collector", 4318)
    exporter, clock = _exporter(world), Clock(world.loop.time, world.epoch_s)
    tracing = tracing_of(NODE, clock, 1, exporter)
    running = asyncio.create_task(exporter.run())
    for _ in range(BATCH_MAX + 1):
        with tracing.operation("user", clock.now()) as root:
            root.end()
    await asyncio.sleep(INTERVAL_S / 2)
    assert collector.requests == []
    await asyncio.sleep(INTERVAL_S)
    assert [len(request.resource_spans[0].scope_spans[0].spans) for request in collector.requests] == [BATCH_MAX, 1]
    running.cancel()


async def test_without_a_collector_the_queue_stays_bounded_and_losses_are_counted(
    world: VirtualWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(otlp_export, "BATCHES_MAX", 2)
    exporter, lost = _exporter(world), _losses()
    exporter.on_lost = lost.append
    _end_spans(world, exporter, 3 * BATCH_MAX + 5)
    assert lost == [BATCH_MAX]
    assert len(exporter) == 2 * BATCH_MAX + 5
    assert len(exporter._fresh) == 5
    span_bytes = len(exporter._batches[0][1]) / BATCH_MAX
    assert span_bytes * BATCH_MAX * BATCHES_MAX < 4e6, "waits encoded: as objects they would take 60 MB"


async def test_a_process_ends_within_seconds_although_the_collector_never_answers(world: VirtualWorld) -> None:
    async def silent(_request: web.Request) -> web.Response:
        await asyncio.sleep(3600.0)
        return web.Response()

    app = web.Application()
    app.router.add_post("/v1/traces", silent)
    await world.serve(app, "collector", 4318)
    exporter = _exporter(world)
    _end_spans(world, exporter, 3 * BATCH_MAX)
    await exporter.close()
    assert world.loop.time() == LAST_FLUSH_S


def test_lost_spans_are_a_metric_of_the_process() -> None:
    async def main() -> bytes:
        settings = ProcessSettings(region="eastus", instance="i", redis_url="redis://h", otlp_endpoint="http://h")
        env, _, exporter = process_env("identity", settings)
        assert exporter is not None
        exporter.on_lost(3)
        await env.http.close()
        return env.metrics.page()

    assert b"trace_spans_lost_total 3.0" in asyncio.run(main())


async def test_a_collector_that_refuses_costs_only_the_batch(world: VirtualWorld) -> None:
    collector = Collector(status=503)
    await world.serve(collector.app(), "collector", 4318)
    exporter, clock = _exporter(world), Clock(world.loop.time, world.epoch_s)
    with tracing_of(NODE, clock, 1, exporter).operation("user", clock.now()) as root:
        root.end()
    lost = _losses()
    exporter.on_lost = lost.append
    await exporter.flush()
    assert (exporter.sent, lost, len(collector.spans)) == (0, [1], 1)


def test_every_line_of_the_file_is_an_export_request() -> None:
    for line in traced("direct", **ALL).text.splitlines():
        request = json_format.Parse(_with_base64_ids(line), ExportTraceServiceRequest())
        spans = [span for resource in request.resource_spans for scope in resource.scope_spans for span in scope.spans]
        (trace,) = read_traces(line)
        assert [(span.span_id.hex(), span.name) for span in spans] == [(s.id, s.name) for s in trace.spans]


def _with_base64_ids(line: str) -> str:
    """Protobuf's own JSON mapping has bytes in base64; OTLP's has ids in hexadecimal."""

    def hook(fields: dict[str, Any]) -> dict[str, Any]:
        return {
            name: b64encode(bytes.fromhex(value)).decode() if name in ("traceId", "spanId", "parentSpanId") else value
            for name, value in fields.items()
        }

    return json.dumps(json.loads(line, object_hook=hook))


def test_an_exemplar_points_at_a_kept_trace() -> None:
    for settings in (ALL, {"share": 0.2, "share_max": 2, "failed_max": 2, "attempts_max": 1}):
        run = traced("direct", **settings)
        kept = {trace.root.fields["traceId"] for trace in run.traces}
        found = [exemplar for metrics in run.metrics for exemplar in exemplars(metrics)]
        assert {name for name, _ in found} >= {"loadgen_operation_duration_seconds", "http_request_duration_seconds"}
        assert {trace_id for _, trace_id in found} <= kept


def exemplars(metrics: Metrics) -> list[tuple[str, str]]:
    """Histogram and trace id of every exemplar on an OpenMetrics page."""
    families = text_string_to_metric_families(metrics.openmetrics_page().decode())  # type: ignore[no-untyped-call]
    return [
        (family.name, sample.exemplar.labels["trace_id"])
        for family in families
        for sample in family.samples
        if sample.exemplar is not None
    ]
