"""Questions to a record: windows, restarts, missing series, events, and files that are not records."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from chaos.record.files import seal
from chaos.record.record import Of, RunRecord
from chaos.record.recorder import Recorder, write_metrics
from chaos.record.series import SeriesTable, increments
from services.chassis.clock import Clock

NAN = float("nan")
EAST, WEST = {"region": "eastus"}, {"region": "westus"}


def record(series: dict[str, list[tuple[dict[str, str], list[float]]]], events: list[dict[str, Any]] = []) -> RunRecord:  # noqa: B006
    keys = [(name, labels) for name, rows in series.items() for labels, _ in rows]
    values = [numbers for rows in series.values() for _, numbers in rows]
    times = np.arange(len(values[0]) if values else 0, dtype=float)
    table = SeriesTable.of(times, keys, np.array(values, dtype=float).reshape(len(keys), len(times)))
    return RunRecord({"scenario": "test", "seed": 1}, events, table)


REQUESTS = record(
    {
        "requests_total": [
            ({**EAST, "code": "200"}, [5, 6, 7, 9, 9, 12]),
            ({**EAST, "code": "503"}, [NAN, NAN, 2, 3, 3, 3]),
            ({**WEST, "code": "200"}, [1, 4, 8, 1, 2, NAN]),
        ],
        "busy": [(EAST, [0, 1, 2, NAN, 2, 2]), (WEST, [1, 1, NAN, NAN, 1, 1])],
    }
)


def test_a_delta_sums_what_matches() -> None:
    assert REQUESTS.delta("requests_total", 0, 5, region="eastus", code="200") == 7
    assert REQUESTS.delta("requests_total", 1, 3, code={"200", "503"}, region="eastus") == 6


def test_a_series_that_appears_late_counts_from_zero() -> None:
    assert REQUESTS.delta("requests_total", 0, 5, code="503") == 3


def test_a_restart_counts_from_zero_and_a_vanished_series_adds_nothing() -> None:
    assert REQUESTS.delta("requests_total", 0, 5, region="westus") == 3 + 4 + 1 + 1


def test_a_missing_metric_is_none_and_a_missing_label_value_is_zero() -> None:
    assert REQUESTS.delta("never_total", 0, 5) is None
    assert REQUESTS.delta("requests_total", 0, 5, code="418") == 0
    assert REQUESTS.gauge("busy", 0, 5, region="northeurope") is None
    assert REQUESTS.ratio(Of("requests_total", code="200"), Of("requests_total", code="418"), 0, 5) is None


def test_a_window_that_the_samples_do_not_cover_is_none() -> None:
    assert REQUESTS.delta("requests_total", 0, 7) is not None
    assert REQUESTS.delta("requests_total", 0, 7.5) is None
    assert REQUESTS.delta("requests_total", -3, 5) is None
    assert REQUESTS.gauge("busy", 6, 20) is None
    assert record({}).delta("requests_total", 0, 0) is None


def test_rates_and_ratios() -> None:
    assert REQUESTS.rate("requests_total", 1, 3, region="eastus", code="200") == 1.5
    whole = Of("requests_total", region="eastus")
    assert REQUESTS.ratio(Of("requests_total", region="eastus", code="503"), whole, 1, 5) == pytest.approx(3 / 9)


def test_gauges_are_summed_then_reduced() -> None:
    assert REQUESTS.gauge("busy", 0, 2) == pytest.approx((1 + 2 + 2) / 3)
    assert REQUESTS.gauge("busy", 0, 5, "max") == 3
    assert REQUESTS.gauge("busy", 0, 5, "min", region="eastus") == 0
    assert REQUESTS.gauge("busy", 0, 3, "last") == 2
    assert str(REQUESTS.curve("busy")[1][3]) == "nan"


def test_curves_of_rates_and_ratios() -> None:
    _, rates = REQUESTS.rate_curve("requests_total", window_s=2, region="eastus", code="200")
    assert rates.tolist() == [0, 1, 1, 1.5, 1, 1.5]
    part, whole = Of("requests_total", region="eastus", code="503"), Of("requests_total", region="eastus")
    _, shares = REQUESTS.ratio_curve(part, whole, window_s=1)
    assert [str(round(share, 2)) for share in shares] == ["nan", "0.0", "0.67", "0.33", "nan", "0.0"]


def test_increments_of_every_kind_of_column() -> None:
    columns = np.array([[1, NAN, 3], [2, 4, NAN], [1, 5, 5], [1, NAN, NAN]], dtype=float)
    assert increments(columns).tolist() == [[0, 0, 0], [1, 4, 0], [1, 1, 2], [0, 0, 0]]


def test_events_by_kind_fields_and_window() -> None:
    events = [
        {"t": 1.0, "source": "a", "kind": "alert", "name": "RetryStorm", "state": "firing"},
        {"t": 2.0, "source": "a", "kind": "alert", "name": "RetryStorm", "state": "resolved"},
        {"t": 3.0, "source": "a", "kind": "audit", "id": "T15"},
    ]
    some = record({}, events)
    assert some.events_of("alert", state={"firing", "resolved"}) == events[:2]
    assert some.first_event("alert", 1.5) == events[1]
    odd: list[dict[str, Any]] = [{"t": 1.0, "kind": "seen", "id": ["a"]}, {"t": 1.0, "kind": "seen", "id": {"a": 1}}]
    mixed = record({}, [*odd, {"t": 2.0, "kind": "seen", "id": "a"}])
    assert [event["t"] for event in mixed.events_of("seen", id={"a"})] == [2.0], "a list cannot be looked up in a set"
    assert some.first_event("alert", name="Other") is None


def test_label_values_are_sorted() -> None:
    assert REQUESTS.label_values("requests_total", "region") == ["eastus", "westus"]
    assert REQUESTS.label_values("requests_total", "region", code="503") == ["eastus"]


def write(folder: Path) -> None:
    (folder / "plan.json").write_text(
        json.dumps({"scenario": "calm-day", "seed": 3, "starts_at": "2026-02-02T18:03:00Z"})
    )
    (folder / "events.jsonl").write_text('{"t":1.0,"source":"a","kind":"seen"}\n')
    (folder / "arrivals.csv").write_text("tenant\n")
    write_metrics(folder / "metrics.npz", REQUESTS.series)
    seal(folder)


def test_a_record_loads_as_it_was_written(tmp_path: Path) -> None:
    write(tmp_path)
    loaded = RunRecord.load(tmp_path)
    assert loaded.delta("requests_total", 0, 5, region="eastus") == REQUESTS.delta(
        "requests_total", 0, 5, region="eastus"
    )
    assert (loaded.start, loaded.end, len(loaded.events)) == (0, 5, 1)
    assert repr(loaded) == "<RunRecord calm-day seed 3, <SeriesTable 5 series, 6 samples>>"


def test_from_memory_shares_the_recorders_data() -> None:
    recorder = Recorder(Clock(lambda: 0.0, 0.0), 0.0)
    recorder.event({"at": 4.0, "source": "chaos", "kind": "audit", "id": "T15"})
    assert RunRecord.from_memory({"scenario": "x"}, recorder).first_event("audit") == {
        "t": 4.0,
        "source": "chaos",
        "kind": "audit",
        "id": "T15",
    }
