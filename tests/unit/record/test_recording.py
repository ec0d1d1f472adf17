"""The recorder: instances that come and go, events and files."""

import asyncio
import csv
import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chaos.record.recorder import Recorder, read_metrics
from chaos.record.series import SeriesTable
from compose.virtual.world import VirtualWorld
from services.chassis.clock import Clock
from services.chassis.metrics import Metrics
from services.chassis.registry import Instance

ZERO_S = 1_770_055_380.0  # 2026-02-02T18:03:00Z


class Time:
    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> Clock:
        """τ runs from −2 at `now == 0`."""
        return Clock(lambda: self.now, ZERO_S - 2.0)


def node(number: int) -> Instance:
    return Instance("identity", "eastus", f"identity-eastus-{number}", f"http://identity-eastus-{number}:8080")


def counting() -> tuple[Metrics, Any]:
    metrics = Metrics()
    return metrics, metrics.counter("identity_requests_total", "d")


async def samples(recorder: Recorder, time: Time, until: float) -> None:
    while time.now <= until:
        await recorder.sample()
        time.now += 1.0


async def test_times_are_tau() -> None:
    time = Time()
    recorder = Recorder(time.clock(), ZERO_S)
    await samples(recorder, time, 3.0)
    assert recorder.series.times.tolist() == [-2.0, -1.0, 0.0, 1.0]


async def test_an_instance_that_appears_later_counts_from_zero() -> None:
    time = Time()
    recorder = Recorder(time.clock(), ZERO_S)
    (first, first_count), (second, second_count) = counting(), counting()
    first_count.inc(100)
    recorder.attach(node(1), first)
    await samples(recorder, time, 1.0)
    second_count.inc(4)
    recorder.attach(node(2), second)
    await samples(recorder, time, 3.0)
    assert recorder.increase("identity_requests_total", {}, -2, 1) == 4


async def test_a_restart_is_not_a_negative_increase() -> None:
    time = Time()
    recorder = Recorder(time.clock(), ZERO_S)
    metrics, count = counting()
    recorder.attach(node(1), metrics)
    await recorder.sample()
    count.inc(10)
    time.now = 1.0
    await recorder.sample()
    recorder.sampler.detach("identity-eastus-1")
    time.now = 2.0
    await recorder.sample()
    again, count = counting()
    count.inc(3)
    recorder.attach(node(1), again)
    time.now = 3.0
    await recorder.sample()
    assert recorder.increase("identity_requests_total", {}, -2, 1) == 13
    assert recorder.series.values[:, 0].tolist()[:2] == [0.0, 10.0]
    assert np.isnan(recorder.series.values[2, 0])
    assert len(recorder.series) == 1


async def test_live_answers_follow_new_series_and_group_by_label() -> None:
    time = Time()
    recorder = Recorder(time.clock(), ZERO_S)
    metrics = Metrics()
    count = metrics.counter("identity_requests_total", "d", ("code",))
    recorder.attach(node(1), metrics)
    await samples(recorder, time, 0.0)
    assert recorder.increase("identity_requests_total", {}, -2, -2) is None
    count.labels("200").inc(5)
    await samples(recorder, time, 1.0)
    count.labels("503").inc(2)
    await samples(recorder, time, 2.0)
    assert recorder.increase("identity_requests_total", {}, -2, 0, by=("code",)) == {("200",): 5.0, ("503",): 2.0}
    assert recorder.increase("identity_requests_total", {"code": {"503", "504"}}, -2, 0) == 2
    assert recorder.last("identity_requests_total", {}, by=("code",)) == {("200",): 5.0, ("503",): 2.0}
    assert recorder.last("identity_requests_total", {"code": "200"}) == 5


async def test_the_same_question_gets_the_same_answer_early_or_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chaos.record.recorder.SeriesTable", lambda: SeriesTable(columns=8))
    time = Time()
    asked_early, asked_late = Recorder(time.clock(), ZERO_S), Recorder(time.clock(), ZERO_S)
    metrics = Metrics()
    count = metrics.counter("identity_requests_total", "d", ("code",))
    for recorder in (asked_early, asked_late):
        recorder.attach(node(1), metrics)
    for second in range(120):  # past the table's first size in rows
        time.now = float(second)
        count.labels(str(second % 110)).inc()  # and in columns
        asked_early.increase("identity_requests_total", {}, -2, second, by=("code",))
        for recorder in (asked_early, asked_late):
            await recorder.sample()
    for start, end in ((-2, 117), (10, 20), (100, 115)):
        early = asked_early.increase("identity_requests_total", {}, start, end)
        assert early == asked_late.increase("identity_requests_total", {}, start, end) == end - start


def event(at_t: float, kind: str, **fields: Any) -> dict[str, Any]:
    return {"at": ZERO_S + at_t, "source": "chaos", "kind": kind, **fields}


def test_event_lines_have_fixed_key_order_six_decimals_and_a_repeatable_hash(tmp_path: Path) -> None:
    recorder = Recorder(Time().clock(), ZERO_S, folder=tmp_path)
    recorder.event(event(1.23456789, "action", parameters={"b": 1}, id="T09", action="restore"))
    recorder.close()
    written = (tmp_path / "events.jsonl").read_text()
    assert written == (
        '{"t":1.234568,"source":"chaos","kind":"action","action":"restore","id":"T09","parameters":{"b":1}}\n'
    )
    assert recorder.sha256 == hashlib.sha256(written.encode()).hexdigest()


def test_a_number_that_json_cannot_hold_becomes_null() -> None:
    recorder = Recorder(Time().clock(), ZERO_S)
    recorder.event(event(0, "gate_decision", observed={"ratio": float("nan")}, value=float("inf")))
    written = recorder._events_file
    assert isinstance(written, io.StringIO)
    assert written.getvalue().endswith('"observed":{"ratio":null},"value":null}\n')


async def test_events_are_on_disk_after_the_next_sample_even_without_close(tmp_path: Path) -> None:
    recorder = Recorder(Time().clock(), ZERO_S, folder=tmp_path)
    recorder.event(event(1, "audit", id="T15"))
    recorder.event(event(2, "arrival", tenant="arc", region="eastus", planned_at=ZERO_S + 1.5, actual_at=ZERO_S + 1.75))
    recorder.event(event(2, "arrival", tenant="arc", region="eastus", planned_at=ZERO_S + 1.5, dropped=True))
    await recorder.sample()
    assert json.loads((tmp_path / "events.jsonl").read_text())["kind"] == "audit"
    assert list(csv.reader((tmp_path / "arrivals.csv").read_text().splitlines())) == [
        ["tenant", "region", "planned_t", "actual_t", "dropped"],
        ["arc", "eastus", "1.500000", "1.750000", "0"],
        ["arc", "eastus", "1.500000", "", "1"],
    ]
    recorder.close()


async def test_metrics_come_back_from_the_file_as_they_were(tmp_path: Path) -> None:
    time = Time()
    recorder = Recorder(time.clock(), ZERO_S, folder=tmp_path)
    metrics, count = counting()
    recorder.attach(node(1), metrics)
    count.inc(2)
    await samples(recorder, time, 2.0)
    recorder.close()
    recorder.close()
    table = read_metrics(tmp_path / "metrics.npz")
    assert table.times.tolist() == [-2.0, -1.0, 0.0]
    assert list(table.series()) == list(recorder.series.series())
    assert table.values.tolist() == recorder.series.values.tolist()
    assert sorted(os.listdir(tmp_path)) == ["arrivals.csv", "events.jsonl", "manifest.json", "metrics.npz"]


def test_a_file_that_is_not_metrics_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "metrics.npz").write_bytes(b"not a zip")
    with pytest.raises(ValueError, match=r"metrics\.npz: not a metrics file"):
        read_metrics(tmp_path / "metrics.npz")


async def test_lines_of_real_processes_are_taken_from_the_stream_in_order_and_once(world: VirtualWorld) -> None:
    store = world.redis.client()
    recorder = Recorder(Time().clock(), ZERO_S)
    following = asyncio.create_task(recorder.follow(store))
    for number in range(3):
        await store.xadd("events", {"line": json.dumps(event(number, "audit", id=f"A{number}"))})
    await asyncio.sleep(2.0)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    await store.xadd("events", {"line": json.dumps(event(9, "audit", id="A9"))})
    await recorder.drain(store)
    await recorder.drain(store)
    assert [line["id"] for line in recorder.events] == ["A0", "A1", "A2", "A9"]
    await store.aclose()


def test_a_recorder_says_what_it_holds() -> None:
    recorder = Recorder(Time().clock(), ZERO_S)
    recorder.attach(node(1), counting()[0])
    assert repr(recorder) == "<Recorder 1 instances, 0 events, <SeriesTable 1 series, 0 samples>>"
    assert recorder.sampler.instances == ["identity-eastus-1"]
