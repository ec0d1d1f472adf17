"""The waterfalls of the report, from the traces of the small world."""

import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from chaos.record.files import TRACES_FILE
from chaos.record.record import RecordError, RunRecord
from chaos.record.series import SeriesTable
from chaos.report.waterfall import ROWS_MAX, Waterfall, waterfalls
from compose.virtual.world import EPOCH_S
from tests.contract.test_traces import ALL
from tests.contract.traced_world import CALM_S, TRACED, traced
from tests.unit.record.mutated import some_mutations

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


def _line(*spans: dict[str, str]) -> str:
    times = {"name": "job", "startTimeUnixNano": "1", "endTimeUnixNano": "2"}
    rows = [{**times, **span} for span in spans]
    return json.dumps({"resourceSpans": [{"resource": {"attributes": []}, "scopeSpans": [{"spans": rows}]}]})


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", r":2: not a trace: .*Invalid JSON"),
        ("[]", r":2: not a trace: "),
        (_line(), r":2: not a trace: 0 spans without a parent"),
        (_line({"spanId": "a"}, {"spanId": "b"}), r":2: not a trace: 2 spans without a parent"),
        (_line({"spanId": "a"}, {"spanId": "a", "parentSpanId": "a"}), r":2: not a trace: .* two of one `spanId`"),
        (_line({"spanId": "a", "endTimeUnixNano": "x"}), r":2: not a trace: resourceSpans\.0\..*endTimeUnixNano: "),
        (
            _line({"spanId": "0"}, *({"spanId": f"{n}", "parentSpanId": f"{n - 1}"} for n in range(1, 300))),
            r":2: not a trace: more than 100 levels of spans",
        ),
    ],
)
def test_a_line_that_is_no_trace_is_refused_by_file_line_and_rule(record: RunRecord, line: str, said: str) -> None:
    assert record.folder is not None
    path = record.folder / TRACES_FILE
    path.write_text(f"{_line({'spanId': 'a'})}\n{line}\n")
    with pytest.raises(RecordError, match=rf"traces\.jsonl{said}"):
        waterfalls(record)


def test_no_trace_that_is_taken_breaks_a_waterfall(record: RunRecord) -> None:
    assert record.folder is not None
    path, taken = record.folder / TRACES_FILE, 0
    first = json.loads(path.read_text().splitlines()[0])
    for changed in some_mutations(first, 150, Random(4)):
        path.write_text(json.dumps(changed) + "\n")
        with suppress(RecordError):
            waterfalls(record)
            taken += 1
    assert 0 < taken < 150
