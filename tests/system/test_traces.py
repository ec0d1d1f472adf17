"""A traced run in Docker has the spans, the names and the structure of the same run in virtual time."""

import asyncio
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from chaos.experiment.plan import make_plan
from chaos.experiment.runs import carry_out
from chaos.record.files import TRACES_FILE
from chaos.scenarios.loader import load
from chaos.scenarios.restrict import restrict
from compose.docker import DockerRuntime
from compose.render import REGIONS, stack
from tests.contract.test_traces import ALL, CALM_TOKEN
from tests.contract.traced_world import OneTrace, TracedSpan, read_traces
from tests.system.system_collector import collector
from tests.system.system_desk import ALERTS_END_S, Desk
from tests.system.system_incident import SCENARIO, STATES_OF_END
from tests.system.system_testbed import PROJECT, Stack
from tests.words.operator import eventually

pytestmark = [pytest.mark.system, pytest.mark.long, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def docker(testbed: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[OneTrace]]:
    """The scenario in Docker, every process sending its spans. The testbed is then as it was."""
    before = dict(testbed.environment)
    with collector() as taken:
        testbed.environment["AFTERSHOCK_OTLP_ENDPOINT"] = taken.url
        try:
            testbed.up()
            began_ns = asyncio.run(_run())
        finally:
            testbed.environment = before
            testbed.up()
        yield [trace for trace in taken.traces() if trace.root.start > began_ns]


async def _run() -> int:
    """Carries the run out; returns when it had begun, in Unix time: until then processes are started again."""
    runtime = DockerRuntime(PROJECT)
    await runtime.attach(stack())
    try:
        desk = Desk(runtime)
        # Every container was made again under load, with cold caches: the pair may be down.
        await desk.done("POST", "/v1/reset")
        await eventually(desk.no_alert_fires, within_s=ALERTS_END_S, what="no alert fires")
        await desk.done("POST", "/v1/runs", {"scenario": SCENARIO, "seed": 1})
        state, began_ns = "starting", 0
        while state not in STATES_OF_END:
            await asyncio.sleep(2.0)
            state = (await desk.done("GET", "/v1/runs/current"))["state"]
            if not began_ns and state != "starting":
                began_ns = time.time_ns()
        assert state == "done"
        await asyncio.sleep(2.0)
        return began_ns
    finally:
        await runtime.stop()


@pytest.fixture(scope="module")
def virtual(tmp_path_factory: pytest.TempPathFactory) -> list[OneTrace]:
    """The same plan in virtual time, every trace kept."""
    folder: Path = tmp_path_factory.mktemp("run")
    tracing = {"tracing": {"enabled": True, **ALL, "file_max_bytes": 2**31}}
    plan = make_plan(restrict(load(SCENARIO), REGIONS), 1, overlays=[tracing])
    carry_out(plan, transport="direct", folder=folder)
    return read_traces((folder / TRACES_FILE).read_text(encoding="utf-8"))


def test_every_name_of_a_span_is_the_same(docker: list[OneTrace], virtual: list[OneTrace]) -> None:
    assert _names(docker) == _names(virtual)


def _names(traces: Iterable[OneTrace]) -> set[str]:
    return {span.name for trace in traces for span in trace.spans}


def _calm(traces: list[OneTrace]) -> list[OneTrace]:
    """What ended before the first failure: in the storm an exporter may drop spans, the end of a run cuts jobs off."""
    first = min(trace.root.start for trace in traces if trace.root.failed)
    return [trace for trace in traces if trace.root.end < first]


def test_no_span_of_a_calm_operation_is_an_orphan(docker: list[OneTrace]) -> None:
    calm = _calm(docker)
    assert len(calm) > 100
    for trace in calm:
        ids = {span.id for span in trace.spans}
        assert [span.name for span in trace.spans if span.parent and span.parent not in ids] == []


def test_a_calm_operation_has_the_same_structure(docker: list[OneTrace], virtual: list[OneTrace]) -> None:
    for traces in (docker, virtual):
        tokens = [trace for trace in _calm(traces) if trace.root.name == "user.token" and _one_attempt(trace)]
        assert len(tokens) > 50
        assert {"\n".join(trace.outline()) for trace in tokens} == {CALM_TOKEN.strip()}


def _one_attempt(trace: OneTrace) -> bool:
    return not trace.root.failed and len(trace.named("identity.attempt")) == 1


def test_an_operation_that_failed_in_the_storm_has_the_same_structure(
    docker: list[OneTrace], virtual: list[OneTrace]
) -> None:
    edges = []
    for traces in (docker, virtual):
        full = [trace for trace in traces if trace.root.name == "user.token" and _all_failed(trace)]
        assert full
        for trace in full:
            assert [span.facts["attempt"] for span in _in_order(trace, "identity.attempt")] == list(range(1, 13))
            assert [span.facts["call"] for span in _in_order(trace, "identity.workflow")] == [1, 2, 3]
        regions = [{span.facts["region"] for span in trace.named("router.choose")} for trace in full]
        assert {"eastus", "westus"} in regions
        edges.append({edge for trace in full for edge in _edges(trace)})
    assert edges[0] == edges[1]


def _all_failed(trace: OneTrace) -> bool:
    return trace.root.failed and len(trace.named("identity.attempt")) == 12


def _in_order(trace: OneTrace, name: str) -> list[TracedSpan]:
    return sorted(trace.named(name), key=lambda span: span.start)


def _edges(trace: OneTrace) -> Iterator[tuple[str, str]]:
    names = {span.id: span.name for span in trace.spans}
    for span in trace.spans:
        if span.parent:
            yield names[span.parent], span.name
