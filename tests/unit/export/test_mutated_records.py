"""Whatever passes the one place where a record is read, no reader of it falls over."""

import json
import random
import shutil
from pathlib import Path

import pytest

from chaos.export.openmetrics import write_openmetrics
from chaos.export.otlp import write_otlp
from chaos.export.tables import TABLES, ExportedRun
from chaos.record.event_shape import SHAPES, why_no_event
from chaos.record.files import seal
from chaos.record.record import Event, RecordError, RunRecord
from chaos.record.recorder import write_metrics
from chaos.record.series import SeriesTable
from chaos.report.compare import compare
from chaos.report.page import render
from chaos.verdict.verdict import judge
from chaos.watch.series import PlacedRun
from tests.unit.export.small_run import SMALL_RUN
from tests.unit.record.mutated import mutations, some_mutations

pytestmark = pytest.mark.xdist_group(SMALL_RUN)
PLANS = 24
TABLES_OF_SERIES = 6
OTHERS: tuple[Event, ...] = (
    {"kind": "action_failed", "id": "T01", "error": "refused"},
    {"kind": "collapse_began", "region": "eastus"},
    {"kind": "collapse_ended", "region": "eastus"},
    {"kind": "gate_decision", "region": "eastus", "run": "r", "decision": "stop", "reason": "x", "observed": {}},
    {"kind": "node_crashed", "region": "eastus", "reason": "overload"},
    {"kind": "machine_stalled", "stalled_s": 2.0},
    {"kind": "run", "state": "failed", "why": "x"},
    {"kind": "audit", "private_exempt": 1, "public_exempt": 2, "unreachable": ["eastus"]},
    {"kind": "remediation_finished", "run": "r", "result": "Succeeded", "reason": ""},
    {"kind": "alert", "name": "a", "state": "firing", "region": "", "regions": ["eastus"]},
    {"kind": "one of a later version", "regions": ["eastus"], "region": ["eastus"]},
)
"""Kinds that the small run lacks."""


def read_all(record: RunRecord, folder: Path) -> None:
    """Everything that reads a record."""
    run = ExportedRun(record, judge(record))
    render(record, run.verdict)
    compare(record, record)
    for table in TABLES:
        assert list(table.batches(run)) is not None
    write_otlp(run, folder)
    write_openmetrics(run, folder)
    PlacedRun.ending(record, 1e9).table()


def of_each_kind(events: list[Event]) -> dict[str, Event]:
    others = ({"t": 30.0, "source": "controller", **event} for event in OTHERS)
    return {event["kind"]: event for event in (*others, *events)}


def test_no_event_that_is_taken_breaks_a_reader(run: ExportedRun, tmp_path: Path) -> None:
    examples = of_each_kind(run.record.events)
    assert SHAPES.keys() <= examples.keys(), "every kind with a shape is mutated"
    mutated = [event for example in examples.values() for event in mutations(example)]
    taken = [event for event in mutated if not why_no_event(event)]
    assert len(mutated) / 5 < len(taken) < len(mutated)
    taken.sort(key=lambda event: float(event["t"]))
    read_all(RunRecord(run.record.plan, taken, run.record.series, run.record.folder), tmp_path)


@pytest.fixture
def copied(run: ExportedRun, tmp_path: Path) -> Path:
    assert run.record.folder is not None
    return Path(shutil.copytree(run.record.folder, tmp_path / "copied"))


def read_or_refused(folder: Path) -> bool:
    """Reads the changed record; whether it was taken."""
    seal(folder)
    try:
        record = RunRecord.load(folder)
    except RecordError as error:
        refusal = str(error)
    else:
        judge(record)
        return True
    assert str(folder) in refusal
    return False


def test_no_plan_that_is_taken_breaks_the_verdict(copied: Path) -> None:
    plan = json.loads((copied / "plan.json").read_text())
    taken = 0
    for one in some_mutations(plan, PLANS, random.Random(12)):
        (copied / "plan.json").write_text(json.dumps(one))
        taken += read_or_refused(copied)
    assert 0 < taken < PLANS


def test_no_series_that_is_taken_breaks_the_verdict(run: ExportedRun, copied: Path) -> None:
    rng, series = random.Random(3), run.record.series
    taken = 0
    for _ in range(TABLES_OF_SERIES):
        keys = list(series.series())
        for number in rng.sample(range(len(keys)), len(keys) // 3):
            name, labels = keys[number]
            label = rng.choice([*(label for label in labels if label != "le"), "new"])
            changed = name, {**labels, label: rng.choice(("", "x"))}
            if changed not in keys:  # a series that is there twice is refused
                keys[number] = changed
        write_metrics(copied / "metrics.npz", SeriesTable.of(series.times, keys, series.values.T))
        taken += read_or_refused(copied)
    assert taken
