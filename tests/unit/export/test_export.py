"""Every format is read back by a reader that is not ours, and holds what the record holds."""

import csv
import importlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from google.protobuf import json_format
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, NumberDataPoint
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from chaos.cli import main
from chaos.export import page
from chaos.export.extras import MissingExtra
from chaos.export.families import families
from chaos.export.formats import FORMATS
from chaos.export.frames import Record
from chaos.export.openmetrics import FILE as TEXT_FILE
from chaos.export.otlp import FILE as OTLP_FILE
from chaos.export.tables import TABLES, ExportedRun
from chaos.record.record import RunRecord
from chaos.record.series import SeriesTable, increments
from chaos.verdict.verdict import judge
from tests.unit.export.small_run import SMALL_RUN
from tests.unit.record.incident_record import fresh_incident

pytestmark = pytest.mark.xdist_group(SMALL_RUN)
ROOT = Path(__file__).parents[3]
EVERY = 13
"""Readers in Python are slow, so they read every 13th sample: τ = −12, 1, 14, 27 (where the crash shows) and 40."""

Key = tuple[str, tuple[tuple[str, str], ...]]


@pytest.fixture(scope="module")
def incident() -> ExportedRun:
    record = fresh_incident().build()
    return ExportedRun(record, judge(record))


@pytest.fixture(scope="module")
def written(run: ExportedRun, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The run in every format."""
    folders = {form: tmp_path_factory.mktemp(form) for form in FORMATS}
    for form, write in FORMATS.items():
        write(run, folders[form])
    return folders


def _key(name: str, labels: dict[str, str]) -> Key:
    return name, tuple(sorted(labels.items()))


def _expected(table: SeriesTable) -> dict[Key, dict[float, float]]:
    """The numbers of the record by series and τ; of two samples at one τ the later one."""
    times = sorted(set(table.times.tolist()))[::EVERY]
    rows = [table.index(t) for t in times]
    found: dict[Key, dict[float, float]] = {}
    for (name, labels), values in zip(table.series(), table.values[rows].T, strict=True):
        found[_key(name, labels)] = {t: v for t, v in zip(times, values.tolist(), strict=True) if v == v}
    return {key: values for key, values in found.items() if values}


# Parquet


def _read(folder: Path, name: str) -> pd.DataFrame:
    return pq.read_table(folder / f"{name}.parquet").to_pandas()


def restored(folder: Path) -> RunRecord:
    """A record from the Parquet files alone."""
    series, samples, events = (_read(folder, name) for name in ("series", "samples", "events"))
    keys = [(row.metric, json.loads(row.labels)) for row in series.itertuples()]
    times = samples.drop_duplicates("sample").sort_values("sample")["t"].to_numpy()
    values = np.full((len(keys), len(times)), np.nan)
    values[samples["series"], samples["sample"]] = samples["value"]
    lines = [
        {"t": row.t, "source": row.source, "kind": row.kind, **json.loads(row.fields)} for row in events.itertuples()
    ]
    return RunRecord(json.loads(_read(folder, "run")["plan"][0]), lines, SeriesTable.of(times, keys, values))


@pytest.mark.parametrize("which", ["run", "incident"])
def test_the_verdict_from_the_parquet_files_alone_is_that_of_the_run(
    which: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    given: ExportedRun = request.getfixturevalue(which)
    FORMATS["parquet"](given, tmp_path)
    record = restored(tmp_path)
    assert record.events == given.record.events
    assert judge(record) == given.verdict
    assert given.verdict.figures["failed_operations"] > 100
    assert json.loads(_read(tmp_path, "figures").set_index("name")["value"]["wasted_ratio"]) > 0.1


def test_the_figures_come_out_of_the_parquet_files_by_plain_pandas(written: dict[str, Path], run: ExportedRun) -> None:
    """No code of ours between the files and the numbers."""
    series, samples = _read(written["parquet"], "series"), _read(written["parquet"], "samples")
    wide = samples.pivot(index="sample", columns="series", values="value")
    labels = pd.DataFrame([json.loads(text) for text in series["labels"]])

    def growth(metric: str, **where: list[str]) -> "pd.Series[float]":
        chosen = series["metric"] == metric
        for label, allowed in where.items():
            chosen &= labels[label].isin(allowed)
        return wide[series.index[chosen]].ffill().fillna(0.0).diff().clip(lower=0.0).sum(axis=1)

    work, wasted = (
        growth("identity_work_completed_total", outcome=which).sum() for which in (["useful", "wasted"], ["wasted"])
    )
    times = samples.drop_duplicates("sample").set_index("sample")["t"].sort_index()
    attempts = growth("identity_client_attempts_total", layer=["sdk"]).cumsum()[times.diff() != 0.0]
    known = run.verdict.figures
    assert growth("identity_client_operations_total", result=["failed"]).sum() == known["failed_operations"]
    lost = growth("loadgen_operations_total", result=["failed", "abandoned"]).sum()
    assert lost == known["failed_journeys"]
    assert round(wasted / work, 4) == known["wasted_ratio"]
    assert round(attempts.diff(5).max() / 5, 4) == known["peak_attempts_per_s"]


def test_a_parquet_column_says_its_unit(written: dict[str, Path]) -> None:
    schema = pq.read_schema(written["parquet"] / "events.parquet")
    assert schema.field("duration_s").metadata == {
        b"unit": b"bench s",
        b"meaning": b"`duration_s` of the event's fields",
    }


# CSV


@pytest.mark.parametrize("table", [table.name for table in TABLES])
def test_a_csv_file_is_the_parquet_file(table: str, written: dict[str, Path]) -> None:
    parquet = _read(written["parquet"], table)
    with (written["csv"] / f"{table}.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == list(parquet.columns)
    assert len(rows) == len(parquet)
    for column in parquet.columns:
        assert [_same(row[column], value) for row, value in zip(rows, parquet[column], strict=True)].count(False) == 0


def _same(text: str, value: Any) -> bool:
    if value is None or value != value:
        return text == ""
    if isinstance(value, str):
        return text == value
    return float(text) == float(value)


# OpenMetrics


def _pages(text: str) -> Iterator[str]:
    """The text as one page per time.

    prometheus-client takes a bucket at a second time for a duplicate (its parser keeps the series that it has seen when
    the time changes), so it cannot read a histogram with two times. promtool reads the whole: tests/system.
    """
    lines = text.splitlines()
    assert lines[-1] == "# EOF"
    pages: dict[str, dict[str, None]] = {}
    family: list[str] = []
    for line in lines[:-1]:
        if line.startswith("#"):
            family = [line] if line.startswith("# TYPE") else [*family, line]
        else:
            pages.setdefault(line.rpartition(" ")[2], {}).update(dict.fromkeys([*family, line]))
    yield from ("\n".join([*page, "# EOF", ""]) for page in list(pages.values())[::EVERY])


def test_prometheus_own_parser_reads_the_text(written: dict[str, Path], run: ExportedRun) -> None:
    zero_s = run.record.zero_epoch_s
    found: dict[Key, dict[float, float]] = {}
    kinds = {}
    for page_text in _pages((written["openmetrics"] / TEXT_FILE).read_text()):
        for family in text_string_to_metric_families(page_text):  # type: ignore[no-untyped-call]
            kinds[family.name] = (family.type, family.unit)
            for sample in family.samples:
                found.setdefault(_key(sample.name, sample.labels), {})[float(sample.timestamp) - zero_s] = sample.value
    assert found == _expected(run.record.series)
    assert kinds["identity_client_attempts"] == ("counter", "")
    assert kinds["identity_request_duration_seconds"] == ("histogram", "seconds")
    assert kinds["router_region_health_ratio"] == ("gauge", "ratio")


# OTLP


def _requests(path: Path) -> Iterator[ExportMetricsServiceRequest]:
    for line in path.read_text().splitlines()[::EVERY]:
        yield json_format.Parse(line, ExportMetricsServiceRequest())


def _points(request: ExportMetricsServiceRequest) -> Iterator[tuple[Metric, dict[str, str], Any]]:
    for resource in request.resource_metrics:
        target = {each.key: each.value.string_value for each in resource.resource.attributes}
        own = {"service": target["service.name"], "instance": target["service.instance.id"]}
        own |= {"region": target["cloud.region"]} if "cloud.region" in target else {}
        for metric in resource.scope_metrics[0].metrics:
            for point in getattr(metric, str(metric.WhichOneof("data"))).data_points:
                yield metric, {**own, **{each.key: each.value.string_value for each in point.attributes}}, point


def _numbers(metric: Metric, labels: dict[str, str], point: Any) -> Iterator[tuple[Any, float]]:
    if isinstance(point, NumberDataPoint):
        yield _key(metric.name, labels), point.as_double
        return
    yield _key(f"{metric.name}_count", labels), float(point.count)
    yield _key(f"{metric.name}_sum", labels), point.sum
    if metric.WhichOneof("data") == "histogram":
        bounds = [*point.explicit_bounds, math.inf]
        for bound, total in zip(bounds, np.cumsum(point.bucket_counts), strict=True):
            yield (f"{metric.name}_bucket", bound, *_key("", labels)[1]), float(total)


def test_the_protobuf_package_reads_the_otlp_lines(written: dict[str, Path], run: ExportedRun) -> None:
    zero_s = run.record.zero_epoch_s
    found: dict[Any, dict[float, float]] = {}
    ended: set[tuple[Key, float]] = set()
    for request in _requests(written["otlp"] / OTLP_FILE):
        for metric, labels, point in _points(request):
            t = round(point.time_unix_nano / 1e9 - zero_s, 6)
            if point.flags:
                ended.add((_key(metric.name, labels), t))
                continue
            for key, value in _numbers(metric, labels, point):
                found.setdefault(key, {})[t] = value
    expected: dict[Any, dict[float, float]] = {}
    for (name, pairs), values in _expected(run.record.series).items():
        plain = {label: value for label, value in pairs if value}
        if name.endswith("_bucket"):
            bound = float(plain.pop("le"))
            expected[(name, bound, *_key("", plain)[1])] = values
        else:
            expected[_key(name, plain)] = values
    assert found == expected
    assert ended == _ends(run.record.series) != set()


def _ends(table: SeriesTable) -> set[tuple[Key, float]]:
    """The series that have no value any more at a sample that is read; none is of a histogram."""
    known, found = ~np.isnan(table.values), set()
    for row in [table.index(t) for t in sorted(set(table.times.tolist()))[::EVERY]][1:]:
        for column in np.flatnonzero(known[row - 1] & ~known[row]):
            found.add((_key(table.names[column], table.labels[column]), float(table.times[row])))
    return found


def test_a_counter_starts_again_after_a_restart(written: dict[str, Path], run: ExportedRun) -> None:
    """The node that crashed at τ = 21 counts from 0 again."""
    zero_s = run.record.zero_epoch_s
    starts: dict[str, set[float]] = {}
    for request in _requests(written["otlp"] / OTLP_FILE):
        for metric, labels, point in _points(request):
            if metric.name == "identity_work_seconds_total" and not point.flags:
                starts.setdefault(labels["instance"], set()).add(point.start_time_unix_nano / 1e9 - zero_s)
    names, values = run.record.series.matrix("identity_work_seconds_total", {})
    reset = {labels["instance"] for labels, column in zip(names, values.T, strict=True) if _falls(column)}
    assert reset == {"identity-westus-1"}
    assert {name for name, times in starts.items() if len(times) > 1} == reset
    assert starts["identity-eastus-2"] == {19.0}  # the node added at τ = 18


def _falls(column: Any) -> bool:
    known = column[~np.isnan(column)]
    return bool((increments(known[:, None])[1:, 0] > np.diff(known)).any())


def test_traces_are_copied_to_otlp(run: ExportedRun, tmp_path: Path) -> None:
    folder = run.record.folder
    assert folder is not None
    (folder / "traces.jsonl").write_text('{"resourceSpans":[]}\n')
    try:
        FORMATS["otlp"](run, tmp_path)
    finally:
        (folder / "traces.jsonl").unlink()
    assert (tmp_path / "traces.jsonl").read_text() == '{"resourceSpans":[]}\n'


def test_kinds_follow_from_names() -> None:
    names = [
        "a_total",
        "b_seconds_bucket",
        "b_seconds_sum",
        "b_seconds_count",
        "c_sum",
        "c_count",
        "d_count",
        "e_bytes",
    ]
    found = {name: (family.name, family.kind, family.unit) for name, family in families(names).items()}
    assert found["a_total"] == ("a", "counter", "")
    assert found["b_seconds_bucket"] == found["b_seconds_count"] == ("b_seconds", "histogram", "seconds")
    assert found["c_sum"] == ("c", "summary", "")
    assert found["d_count"] == ("d_count", "gauge", "")
    assert found["e_bytes"] == ("e_bytes", "gauge", "bytes")


# pandas


def test_a_record_gives_pandas_frames(run: ExportedRun) -> None:
    assert run.record.folder is not None
    record = Record.load(run.record.folder)
    assert repr(record) == f"<Record small seed 1, {run.verdict.status}>"
    assert len(record.events) == len(run.record.events)
    assert record.events["duration_s"].dropna().gt(0).all()
    assert len(record.samples) == int((~np.isnan(run.record.series.values)).sum())
    assert record.claims.loc["F1", "status"] == run.verdict.claim("F1").status
    assert record.claims["decides"].sum() == 1
    rates = record.rate("identity_client_attempts_total", by="region", layer="sdk")
    assert set(rates.columns) == {"eastus", "westus"}
    assert rates.loc[25.0, "eastus"].sum() == run.record.rate(
        "identity_client_attempts_total", 20.0, 25.0, layer="sdk", region="eastus"
    )
    nodes = record.level("identity_node_up")["identity_node_up"]
    assert (nodes[15.0], nodes[25.0]) == (2.0, 3.0)
    assert record.run["seed"].tolist() == [1]
    assert {"planned_t", "dropped"} <= set(record.arrivals.columns)
    assert record.figures.loc["peak_nodes", "value"] == "3.0"
    assert record.series["metric"].nunique() == len(set(run.record.series.names))
    with pytest.raises(KeyError, match="not a metric of this run"):
        record.rate("nothing_total")


# The command


def _export(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["export", *(str(argument) for argument in arguments)])


def _refused(result: Result, said: str) -> None:
    assert result.exit_code == 2, result.output
    assert len(result.stderr.splitlines()) == 1
    assert said in result.stderr


def test_the_command_writes_the_files(run: ExportedRun, tmp_path: Path) -> None:
    result = _export(run.record.folder, "--format", "csv", "--out", tmp_path / "new")
    assert result.exit_code == 0, result.output
    assert {path.name for path in (tmp_path / "new").iterdir()} == {f"{table.name}.csv" for table in TABLES}


def test_bad_input_is_one_line_and_exit_code_2(run: ExportedRun, tmp_path: Path) -> None:
    folder, out = run.record.folder, tmp_path / "out"
    assert folder is not None
    _refused(_export(tmp_path, "--format", "csv", "--out", out), "not a run: plan.json is missing")
    _refused(_export(tmp_path / "none", "--format", "csv", "--out", out), "does not exist")
    _refused(_export(folder, "--format", "xml", "--out", out), "'xml' is not one of")
    _refused(_export(folder, "--format", "csv"), "Missing option '--out'")
    assert not out.exists()
    _refused(_export(folder, "--format", "csv", "--out", folder), "is not empty; the export needs an empty folder")
    _refused(_export(folder, "--format", "csv", "--out", "/proc/export"), "/proc/export: cannot write an export there")
    out.touch()
    _refused(_export(folder, "--format", "csv", "--out", out), "is a file")


def test_a_damaged_record_is_not_exported(run: ExportedRun, tmp_path: Path) -> None:
    folder = tmp_path / "damaged"
    folder.mkdir()
    assert run.record.folder is not None
    for path in run.record.folder.iterdir():
        if path.is_file():
            (folder / path.name).write_bytes(path.read_bytes())
    (folder / "events.jsonl").write_text("{}\n")
    _refused(_export(folder, "--format", "csv", "--out", tmp_path / "out"), "events.jsonl:1: ends here")


def test_a_full_disk_leaves_no_part_of_a_file(
    run: ExportedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> Iterator[dict[str, Any]]:
        yield {column.name: [] for column in TABLES[0].columns}
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("chaos.export.csv_files.TABLES", [TABLES[1], _with(TABLES[0], full)])
    _refused(
        _export(run.record.folder, "--format", "csv", "--out", tmp_path / "out"),
        f"{tmp_path}/out/run.csv: No space left on device",
    )
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["series.csv"]


def _with(table: Any, batches: Any) -> Any:
    return type(table)(table.name, table.meaning, table.columns, batches)


@pytest.mark.parametrize(("module", "command", "extra"), [("pyarrow", "--format parquet", "export")])
def test_a_missing_package_is_named_with_its_extra(
    module: str, command: str, extra: str, run: ExportedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.import_module", _without(module))
    said = f"{command} needs {module}: pip install 'aftershock[{extra}]'"
    _refused(_export(run.record.folder, *command.split(), "--out", tmp_path / "out"), said)
    monkeypatch.setattr("importlib.import_module", _without("pandas"))
    with pytest.raises(MissingExtra, match=r"Record needs pandas: pip install 'aftershock\[notebook\]'"):
        Record(run)


def _without(package: str) -> Any:
    known = importlib.import_module

    def import_module(name: str, *arguments: Any) -> Any:
        if name.partition(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=package)
        return known(name, *arguments)

    return import_module


def test_the_page_is_generated_from_the_tables() -> None:
    assert (ROOT / "docs" / "export.md").read_text() == page.page()
