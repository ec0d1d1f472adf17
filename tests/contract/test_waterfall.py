"""The waterfalls of the report, from the traces of the small world."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from chaos.record.files import TRACES_FILE
from chaos.record.record import RunRecord
from chaos.record.series import SeriesTable
from chaos.report.waterfall import ROWS_MAX, Waterfall, waterfalls
from compose.virtual.world import EPOCH_S
from tests.contract.test_traces import ALL
from tests.contract.traced_world import CALM_S, TRACED, traced

RAMP_T = 15.0
pytestmark = pytest.mark.xdist_group(TRACED)


@pytest.fixture
def record(tmp_path: Path) -> RunRecord:
    (tmp_path / TRACES_FILE).write_text(traced("direct", **ALL).text, encoding="utf-8")
    plan = {"scenario": "small", "starts_at": datetime.fromtimestamp(EPOCH_S + CALM_S, tz=UTC).isoformat()}
    ramp = {"t": RAMP_T, "kind": "traffic_changed", "mode": "ramp", "region": "westus"}
    return RunRecord(plan, [ramp], SeriesTable(), tmp_path)


def _by_title(record: RunRecord) -> dict[str, Waterfall]:
    return {found.title: found for found in waterfalls(record)}


def test_the_calm_operation_has_one_attempt_and_the_storm_twelve_in_both_regions(record: RunRecord) -> None:
    found = _by_title(record)
    assert [bar.label for bar in found["Calm"].bars] == [
        "token",
        "identity call",
        "workflow 1",
        "attempt 1",
        "queue",
        "service",
    ]
    storm = found["Storm"]
    attempts = [bar for bar in storm.bars if bar.label.startswith("attempt ")]
    assert [bar.label for bar in attempts] == [f"attempt {number}" for number in range(1, 13)]
    assert {bar.note.split(", ")[1] for bar in attempts} == {"eastus", "westus"}
    assert {bar.kind for bar in attempts} == {"failed"}
    assert "12 attempts at the identity service, sent to " in storm.reading
    assert storm.bars[0].kind == "failed"


def test_an_operation_that_the_run_cut_off_is_not_typical(record: RunRecord) -> None:
    assert all(bar.label != "user" for operation in waterfalls(record) for bar in operation.bars)


def test_the_operation_of_the_ramp_is_of_the_ramped_region(record: RunRecord) -> None:
    record.events[0]["t"] = 1.0  # while some still succeed
    assert " in westus: " in _by_title(record)["Ramp"].reading


def test_bars_lie_within_the_width_in_the_order_of_their_start(record: RunRecord) -> None:
    for operation in waterfalls(record):
        assert 0 < len(operation.bars) <= ROWS_MAX
        assert operation.bars[0].left == 0.0
        for bar in operation.bars:
            assert 0.0 <= bar.left <= bar.left + bar.width <= 100.001


def test_a_run_without_traces_or_in_memory_has_none(record: RunRecord, tmp_path: Path) -> None:
    (tmp_path / TRACES_FILE).unlink()
    assert waterfalls(record) == []
    record.folder = None
    assert waterfalls(record) == []
