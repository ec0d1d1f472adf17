"""Sampling of instances that were running before, and a table that keeps the newest samples."""

from typing import Any

import pytest

from chaos.record.sampler import Sampler
from chaos.record.series import SeriesTable
from compose.runtime import ScrapeTarget
from compose.topology import InstanceSpec
from services.chassis.metrics import Metrics
from tests.unit.record.test_recording import counting, node

REQUESTS = "identity_requests_total"
LATE = "late_total"


def target(number: int, metrics: Metrics) -> ScrapeTarget:
    return ScrapeTarget(InstanceSpec("identity", "eastus", node(number).name), metrics)


class Nodes:
    """Nodes that count requests, and a sampler that found them running, with samples at 0, 1, 2 …"""

    def __init__(self, keep: int | None = None, *, joins: bool = True) -> None:
        self.table = SeriesTable(keep=keep)
        self.sampler = Sampler(self.table, names={REQUESTS, LATE}, joins=joins)
        self.running: dict[int, tuple[Metrics, Any]] = {}
        self.t = 0.0

    def start(self, number: int, count: float = 0.0) -> None:
        metrics, counter = self.running[number] = counting()
        metrics.counter("other_total", "d").inc(7)
        counter.inc(count)

    def serve(self, number: int, count: float) -> None:
        self.running[number][1].inc(count)

    async def sample(self, *, absent: int | None = None) -> None:
        present = [(number, metrics) for number, (metrics, _) in self.running.items() if number != absent]
        self.sampler.follow(target(number, metrics) for number, metrics in present)
        await self.sampler.sample(self.t)
        self.t += 1.0

    def increase(self, start_t: float, end_t: float) -> float | None:
        return self.table.increase(REQUESTS, {}, start_t, end_t)


@pytest.mark.parametrize("asked_early", [True, False], ids=["asked early", "asked late"])
async def test_what_an_instance_counted_before_its_first_sample_is_no_increase(asked_early: bool) -> None:
    nodes = Nodes()
    nodes.start(1, 500.0)
    await nodes.sample()
    if asked_early:
        nodes.increase(0, 0)
    nodes.start(2, 1000.0)  # it did not answer before
    nodes.serve(1, 3)
    await nodes.sample()
    nodes.serve(2, 4)
    await nodes.sample()
    assert nodes.increase(0, 1) == 3.0
    assert nodes.increase(0, 2) == 7.0


async def test_in_a_run_an_instance_counts_from_zero() -> None:
    nodes = Nodes(joins=False)
    nodes.start(1, 500.0)
    await nodes.sample()
    nodes.start(2, 4.0)
    await nodes.sample()
    assert nodes.increase(0, 1) == 4.0


async def test_a_restarted_instance_counts_from_zero() -> None:
    nodes = Nodes()
    nodes.start(1, 500.0)
    await nodes.sample()
    await nodes.sample(absent=1)
    nodes.start(1, 2.0)
    await nodes.sample()
    assert nodes.increase(0, 2) == 2.0


async def test_a_new_series_of_a_known_instance_counts_from_zero() -> None:
    nodes = Nodes()
    nodes.start(1)
    late = nodes.running[1][0].counter(LATE, "d", ("code",))
    late.labels("200").inc(9)
    await nodes.sample()
    late.labels("503").inc(5)
    await nodes.sample()
    assert nodes.table.increase(LATE, {}, 0, 1, by=("code",)) == {("200",): 0.0, ("503",): 5.0}


async def test_only_the_named_metrics_are_kept() -> None:
    nodes = Nodes()
    nodes.start(1)
    await nodes.sample()
    assert nodes.table.names == [REQUESTS]


@pytest.mark.parametrize("asked_early", [True, False], ids=["asked early", "asked late"])
async def test_a_bounded_table_keeps_the_newest_samples_and_the_same_answers(asked_early: bool) -> None:
    nodes, whole = Nodes(keep=10), Nodes()
    for each in (nodes, whole):
        each.start(1, 500.0)
        each.start(2, 500.0)
    for second in range(35):
        for each in (nodes, whole):
            each.serve(1, second)
            each.serve(2, 100.0)
            await each.sample(absent=2 if 3 < second < 30 else None)  # across the samples that are dropped
        if asked_early:
            nodes.increase(second - 5, second)
        assert min(second + 1, 10) <= len(nodes.table.times) <= 11
    assert nodes.table.times.tolist() == whole.table.times.tolist()[-len(nodes.table.times) :]
    for start in range(26, 34):
        assert nodes.increase(start, 34) == whole.increase(start, 34)
