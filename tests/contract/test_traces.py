"""Traces of a small world: the same to the byte on both transports, whole, and telling what happened."""

import subprocess
import sys
from pathlib import Path

import pytest

from chaos.experiment.plan import make_plan
from chaos.scenarios.loader import load
from compose.runtime import RuntimeUnavailable
from tests.contract.traced_world import CALM_S, KILLED, REGIONS, TRACED, OneTrace, live, traced

ALL = {"share": 1.0, "share_max": 10_000, "failed_max": 10_000, "attempts_max": 10_000}
pytestmark = pytest.mark.xdist_group(TRACED)
TRACING_MODULES = ("services.chassis.telemetry", "opentelemetry.sdk.trace", "opentelemetry.exporter", "google.protobuf")
CALM_TOKEN = """
user.token
  identity.call
    identity.workflow
      identity.attempt
        GET /metadata/identity/oauth2/token
          router.choose
          router.forward
            GET /metadata/identity/oauth2/token
              node.queue
              node.service
"""


def test_the_same_seed_gives_the_same_traces_to_the_byte_on_both_transports() -> None:
    assert traced("http", **ALL).text == traced("direct", **ALL).text != ""


def test_events_are_the_same_with_tracing_on_and_off() -> None:
    assert live("direct", 1, None).events == traced("direct", **ALL).events == traced("http", **ALL).events


def test_no_span_is_an_orphan_and_every_trace_has_one_root() -> None:
    traces = traced("direct", **ALL).traces
    assert len(traces) > 50
    for trace in traces:
        ids = {span.id for span in trace.spans}
        assert len(ids) == len(trace.spans)
        assert trace.root.name.split(".")[0] == "user"
        assert {span.parent for span in trace.spans} - ids == {""}


def test_spans_of_a_killed_process_are_in_the_file_and_say_that_they_did_not_end() -> None:
    cut = [span for trace in traced("direct", **ALL).traces for span in trace.spans if span.facts.get("unfinished")]
    assert cut
    assert KILLED in {span.instance for span in cut}


def test_ids_are_unique_over_the_run_although_a_process_was_restarted() -> None:
    spans = [span for trace in traced("direct", **ALL).traces for span in trace.spans]
    assert len({span.id for span in spans}) == len(spans)
    assert sum(span.instance == KILLED for span in spans) > 100


def test_a_calm_token_operation_passes_through_router_and_node_once() -> None:
    calm = [trace for trace in traced("direct", **ALL).traces if _calm(trace) and trace.root.name == "user.token"]
    assert len(calm) >= 5
    for trace in calm:
        assert trace.outline() == CALM_TOKEN.split("\n")[1:-1]
        (attempt,) = trace.named("identity.attempt")
        assert attempt.facts["attempt"] == 1
        assert trace.root.start <= attempt.start <= attempt.end == trace.root.end
        (queue,), (service,) = trace.named("node.queue"), trace.named("node.service")
        assert queue.end == service.start
        assert service.facts["useful"]


def _calm(trace: OneTrace) -> bool:
    first = min(one.root.start for one in traced("direct", **ALL).traces)
    return trace.root.end < first + int((CALM_S - 2) * 1e9) and not trace.root.failed


def test_a_failed_operation_shows_twelve_attempts_over_two_regions() -> None:
    failed = [trace for trace in traced("direct", **ALL).traces if trace.root.failed]
    full = [trace for trace in failed if len(trace.named("identity.attempt")) == 12]
    assert full
    for trace in full:
        assert [span.facts["attempt"] for span in trace.named("identity.attempt")] == list(range(1, 13))
        assert [span.facts["call"] for span in trace.named("identity.workflow")] == [1, 2, 3]
        assert {span.fields["status"]["message"] for span in trace.named("identity.workflow")} <= {
            "timeout",
            "shed",
            "error",
        }
    regions = [{span.facts["region"] for span in trace.named("router.choose")} for trace in full]
    assert set(REGIONS) in regions
    assert any(span.facts["failover"] for trace in full for span in trace.named("router.choose"))


def test_work_whose_caller_has_left_ends_after_the_attempt_and_says_so() -> None:
    late = [
        (span, trace)
        for trace in traced("direct", **ALL).traces
        for span in trace.named("node.service")
        if not span.facts["useful"]
    ]
    assert late
    for service, trace in late:
        forward = next(span for span in trace.spans if span.id == _above(trace, service.parent))
        assert service.end > forward.end


def _above(trace: OneTrace, span_id: str) -> str:
    return next(span.parent for span in trace.spans if span.id == span_id)


def test_a_provisioning_carries_its_trace_into_the_job_and_to_the_package() -> None:
    created = [trace for trace in traced("direct", **ALL).traces if trace.named("package.fetch")]
    assert created
    trace = created[0]
    names = [line.strip() for line in trace.outline()]
    assert {"arm.call", "arm.attempt", "job", "job.try", "package.fetch", "package.read"} <= set(names)
    assert {span.instance.rsplit("-", 1)[0] for span in trace.spans} >= {"loadgen", "provisioner", "blobstore"}


def test_by_default_only_failures_many_attempts_and_the_share_are_kept() -> None:
    run = traced("direct", share=0.0, failed_max=10_000, attempts_max=10_000)
    everything = traced("direct", **ALL).traces
    expected = {_trace_id(t) for t in everything if t.root.failed or _attempts(t) > 3}
    assert {_trace_id(trace) for trace in run.traces} == expected
    assert 0 < len(expected) < len(everything)
    assert run.keeper is not None
    assert set(run.keeper.kept) == {"failed", "attempts"}


def _trace_id(trace: OneTrace) -> str:
    return str(trace.root.fields["traceId"])


def _attempts(trace: OneTrace) -> int:
    """As at the end of the operation: a job goes on after its user has left."""
    return max((s.facts.get("attempt", 0) for s in trace.spans if s.start <= trace.root.end), default=0)


def test_bounds_hold_per_window_and_what_they_cost_is_counted() -> None:
    run = traced("direct", share=1.0, share_max=2, failed_max=1, attempts_max=0, spans_max=30)
    assert run.keeper is not None
    windows = 4
    assert 0 < run.keeper.kept["share"] <= 2 * windows
    assert 0 < run.keeper.kept["failed"] <= windows
    assert run.keeper.kept["attempts"] == 0 < run.keeper.lost["attempts"] + run.keeper.lost["failed"]
    assert max(len(trace.spans) for trace in run.traces) == 30
    for trace in run.traces:
        assert {span.parent for span in trace.spans} - {span.id for span in trace.spans} == {""}


def test_no_trace_is_chosen_once_the_file_is_full() -> None:
    full = traced("direct", **ALL, file_max_bytes=40_000)
    assert full.keeper is not None
    assert full.keeper.lost["file"] > 0
    assert 40_000 <= len(full.text.encode()) < len(traced("direct", **ALL).text.encode())


def test_a_runtime_of_real_processes_refuses_to_keep_traces_itself() -> None:
    plan = make_plan(load("azure-fnj8-vqz-short"), 1, overlays=[{"tracing": {"enabled": True}}])
    plan.require_offered("virtual")
    for runtime in ("local", "compose"):
        with pytest.raises(RuntimeUnavailable, match=r"tracing\.enabled: only the virtual runtime"):
            plan.require_offered(runtime)


def test_an_untraced_process_imports_nothing_of_tracing() -> None:
    """Of OpenTelemetry it has only the metrics API, which redis-py imports by itself wherever it is installed."""
    code = (
        "import sys; from compose.topology import MODULES, app_factory\n"
        "import chaos.experiment.runs, chaos.cli, services.chassis.process, compose.virtual.runtime\n"
        "for service in MODULES: app_factory(service)\n"
        f"print([name for name in sys.modules if name.startswith({TRACING_MODULES})])"
    )
    root = Path(__file__).parents[2]
    found = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
