"""A doctored table: two regions, a sample a second, every rate chosen, so that the exact text can be told."""

import numpy as np

from chaos.record.metric_names import ATTEMPTS, JOBS, NODE_UP, STARTED, TRIES, WORK
from chaos.record.series import SeriesTable

REGIONS = ("eastus", "northeurope")
DISPLAYS = {"eastus": "East US", "northeurope": "North Europe"}

Key = tuple[str, dict[str, str]]


def tries(region: str, result: str) -> Key:
    return TRIES, {"region": region, "result": result}


def attempts(region: str, outcome: str, layer: str = "sdk") -> Key:
    return ATTEMPTS, {"region": region, "layer": layer, "outcome": outcome}


def work(outcome: str) -> Key:
    return WORK, {"outcome": outcome}


STARTED_KEY: Key = (STARTED, {})
BLOCKED: Key = (JOBS, {"state": "blocked"})
QUEUED: Key = (JOBS, {"state": "queued"})
RUNNING: Key = (JOBS, {"state": "running"})
NODES: Key = (NODE_UP, {})
GAUGES = (JOBS, NODE_UP)

CALM: list[tuple[Key, float]] = [
    (tries("eastus", "done"), 2.0),
    (tries("northeurope", "done"), 1.0),
    (attempts("eastus", "ok"), 10.0),
    (attempts("northeurope", "ok"), 2.0),
    (attempts("eastus", "ok", "caller"), 50.0),
    (STARTED_KEY, 12.0),
    (work("useful"), 12.0),
    (QUEUED, 1.0),
    (RUNNING, 7.0),
    (NODES, 6.0),
]
FIRST_WAVE: list[tuple[Key, float]] = [
    (tries("eastus", "blocked"), 9.0),
    (tries("eastus", "done"), 1.0),
    (tries("northeurope", "done"), 1.0),
    (attempts("eastus", "ok"), 10.0),
    (attempts("northeurope", "ok"), 2.0),
    (STARTED_KEY, 12.0),
    (work("useful"), 12.0),
    (BLOCKED, 120.0),
    (NODES, 6.0),
]
SECOND_WAVE: list[tuple[Key, float]] = [
    (tries("eastus", "identity_failed"), 5.0),
    (tries("northeurope", "done"), 1.0),
    (attempts("eastus", "timeout"), 196.0),
    (attempts("eastus", "ok"), 2.0),
    (attempts("northeurope", "ok"), 2.0),
    (STARTED_KEY, 20.0),
    (work("useful"), 4.0),
    (work("wasted"), 60.0),
    (QUEUED, 300.0),
    (NODES, 4.0),
]


def table(*parts: tuple[int, list[tuple[Key, float]]]) -> SeriesTable:
    """Each part is (seconds, what counters grow by a second and gauges stand at); t = 0 is the first sample."""
    keys = list({_hashed(key): key for _, rows in parts for key, _ in rows}.values())
    made = SeriesTable()
    columns = {_hashed(key): made.column(*key) for key in keys}
    totals = dict.fromkeys(columns, 0.0)
    t = 0
    for seconds, rows in parts:
        rates = {_hashed(key): value for key, value in rows}
        for _ in range(seconds):
            row = np.full(len(columns), np.nan)
            for key, column in columns.items():
                value = rates.get(key, 0.0)
                if key[0] not in GAUGES:
                    totals[key] += value
                row[column] = value if key[0] in GAUGES else totals[key]
            made.append(float(t), row)
            t += 1
    return made


def _hashed(key: Key) -> tuple[str, tuple[tuple[str, str], ...]]:
    return key[0], tuple(sorted(key[1].items()))
