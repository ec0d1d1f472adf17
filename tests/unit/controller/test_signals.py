"""The gate of a policy job started through the API has signals in calm and during a run."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from chaos.controller.signals import TestbedSignals
from chaos.record.metric_names import TRIES
from chaos.record.series import SeriesTable

ORIGIN_EPOCH_S, ZERO_EPOCH_S = 1000.0, 1200.0


def table(first_t: float, done: float, blocked: float) -> SeriesTable:
    """Attempts per second in East US, for ten seconds."""
    times = np.arange(first_t, first_t + 10)
    keys = [(TRIES, {"region": "eastus", "result": result}) for result in ("done", "blocked")]
    return SeriesTable.of(times, keys, np.outer([done, blocked], np.arange(10.0)))


def test_they_come_from_the_monitor_and_during_a_run_from_its_recorder() -> None:
    monitor: Any = SimpleNamespace(samples=table(ORIGIN_EPOCH_S, 1.0, 0.0))
    runs: list[Any] = []
    signals = TestbedSignals(monitor, lambda: runs[0] if runs else None, ORIGIN_EPOCH_S)
    assert signals.failure_ratio("eastus", 4.0, 8.0) == (0.0, 4)
    assert signals.failure_ratio("westus", 4.0, 8.0) is None
    runs.append(SimpleNamespace(recorder=table(-5.0, 1.0, 3.0), zero_epoch_s=ZERO_EPOCH_S))
    assert signals.failure_ratio("eastus", 196.0, 204.0) == (0.75, 32)
    runs[0].recorder = None
    assert signals.failure_ratio("eastus", 4.0, 8.0) == (0.0, 4)
