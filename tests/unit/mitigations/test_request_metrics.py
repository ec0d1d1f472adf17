"""Every service measures the duration and the number of open requests, and every counter starts at zero."""

import asyncio

import pytest

from chaos.experiment.plan import make_plan
from chaos.experiment.runs import carry_out
from chaos.record.series import SeriesTable
from chaos.scenarios.loader import load
from chaos.scenarios.restrict import restrict
from compose.virtual.world import VirtualWorld
from tests.unit.mitigations.identity_bench import Bench

NODE_NAME = "identity-eastus-1"
ONE_TRY = {"identity_client": {"sdk": {"enabled": False}, "workflow": {"enabled": False}, "timeout_s": 60.0}}
SERVICES = ("blobstore", "identity", "provisioner", "router")
BORN_AT_ZERO = (
    "fault_effects_total",
    "identity_node_restarts_total",
    "remediation_gate_decisions_total",
    "router_shed_total",
    "identity_rejected_total",
)


@pytest.fixture(scope="module")
def series() -> SeriesTable:
    """Thirty bench seconds of the calm day in two regions, with every kind of service."""
    scenario = restrict(load("calm-day"), ["eastus", "westus"]).model_copy(update={"duration_s": 5.0, "warmup_s": 25.0})
    finished = carry_out(make_plan(scenario, 1), transport="direct")
    assert finished.recorder is not None
    return finished.recorder.series


def test_every_service_counts_its_requests_by_duration(series: SeriesTable) -> None:
    end = float(series.times[-1])
    for service in SERVICES:
        labels = {"service": service}
        count = series.increase("http_request_duration_seconds_count", labels, end - 10.0, end)
        within = series.increase("http_request_duration_seconds_bucket", {**labels, "le": "+Inf"}, end - 10.0, end)
        assert count, service
        assert count == within, service


async def test_open_requests_are_counted_until_their_answer_and_operators_requests_never(world: VirtualWorld) -> None:
    """What is asked on `/healthz` or `/metrics` would hide the users' requests of a quiet service."""
    bench = Bench(world, ONE_TRY, nodes=1)
    await bench.start()
    before = _counted(bench)
    tasks = [asyncio.create_task(bench.token("a")) for _ in range(3)]
    await asyncio.sleep(0.05)
    assert _open(bench) == 3
    await bench.env.http.call("GET", f"http://{NODE_NAME}:8080/healthz", timeout_s=1.0)
    await asyncio.gather(*tasks)
    assert _open(bench) == 0
    assert _counted(bench) == before + 3


def _open(bench: Bench) -> float:
    return _sum(bench, "http_requests_in_flight")


def _counted(bench: Bench) -> float:
    return _sum(bench, "http_request_duration_seconds_count")


def _sum(bench: Bench, name: str) -> float:
    return bench.envs[NODE_NAME].metrics.total(name)


@pytest.mark.parametrize("name", BORN_AT_ZERO)
def test_counters_of_rare_events_are_there_at_zero_before_the_first(series: SeriesTable, name: str) -> None:
    assert series.last(name, {}) == 0.0
    assert series.increase(name, {}, -20.0, 5.0) == 0.0
