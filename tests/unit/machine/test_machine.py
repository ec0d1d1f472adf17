"""Stalls of the machine: detected from recorded counters, and distinguished from a paused process."""

import math

import numpy as np
import pytest

from chaos.record.machine import STALLS, Stall, StallDetector, lost_s, stalls_in, worst_lag_s
from chaos.record.series import SeriesTable
from services.chassis.loop_lag import LAG_METRIC

OBSERVER = "controller"


def table(name: str, **instances: list[float]) -> SeriesTable:
    """One counter or gauge of several instances, a sample each second from 0 on."""
    times = np.arange(float(len(next(iter(instances.values())))))
    return SeriesTable.of(times, [(name, {"instance": one}) for one in instances], np.array(list(instances.values())))


def test_time_that_the_observer_lost_is_a_machine_stall() -> None:
    assert lost_s({OBSERVER: 3.0, "a": 0.0, "b": 0.0}, OBSERVER) == 3.0


def test_time_that_half_of_the_instances_lost_is_a_machine_stall() -> None:
    assert lost_s({OBSERVER: 0.0, "a": 2.0, "b": 2.0, "c": 0.0}, OBSERVER) == 2.0


@pytest.mark.parametrize("paused", [1, 2])
def test_time_that_few_instances_lost_is_a_pause_of_those(paused: int) -> None:
    others = {f"node-{n}": 9.0 if n < paused else 0.0 for n in range(5)}
    assert lost_s({OBSERVER: 0.0, **others}, OBSERVER) == 0.0


def test_without_samples_no_time_was_lost() -> None:
    assert lost_s({}, OBSERVER) == 0.0
    assert stalls_in(SeriesTable(), OBSERVER) == []
    assert worst_lag_s(SeriesTable()) == 0.0


def test_one_event_stands_for_a_whole_stall() -> None:
    detector = StallDetector()
    assert [detector.add(t, lost) for t, lost in ((0, 0.0), (1, 0.6), (2, 0.6), (3, 0.0), (4, 0.3))] == [
        None,
        None,
        Stall(2, 1.2),
        None,
        None,
    ]


def test_small_losses_far_apart_are_no_stall() -> None:
    detector = StallDetector()
    assert not any(detector.add(float(t), 0.3 if t % 3 == 0 else 0.0) for t in range(60))


def test_the_stalls_of_a_record() -> None:
    series = table(STALLS, controller=[0, 0, 3, 3, 3], a=[0, 0, 0, 9, 9], b=[0, 0, 0, 0, 0], c=[0, 0, 0, 0, 0])
    assert stalls_in(series, OBSERVER) == [Stall(2.0, 3.0)]


def test_an_instance_that_came_back_counts_from_zero_again() -> None:
    nan = math.nan
    series = table(STALLS, controller=[0, 0, 0, 0], a=[5, nan, 0, 0], b=[5, 5, 5, 5])
    assert stalls_in(series, OBSERVER) == []


def test_the_worst_lag_of_a_record() -> None:
    assert worst_lag_s(table(LAG_METRIC, a=[0, 0.2, math.nan], b=[0.1, math.nan, 0.1])) == 0.2
