"""A run as OpenMetrics text, for `promtool tsdb create-blocks-from openmetrics` and whatever else reads it.

prometheus-client writes the head of each family and the name and labels of each series; the values are added here,
because its writer keeps the whole text in memory. A time is that of τ = 0 plus τ seconds, so that rates are per bench
second. Text cannot say that a series has ended: readers show its last value until they consider it stale.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TextIO

from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.utils import floatToGoString

from chaos.export.families import BUCKET, COUNT, SUM, Family, families
from chaos.export.tables import ExportedRun
from chaos.record.files import whole
from chaos.record.series import Array, SeriesTable

FILE = "metrics.openmetrics.txt"
EOF = "# EOF\n"
PARTS = {BUCKET: 0, COUNT: 1, SUM: 2}


def write_openmetrics(run: ExportedRun, folder: Path) -> None:
    with whole(folder / FILE) as path, path.open("w", encoding="utf-8") as file:
        write_text(file, run.record.series, run.record.zero_epoch_s)


def distinct(table: SeriesTable) -> list[int]:
    """The samples to write where a time may occur once: of two at the same time, which end a run, the later one."""
    times = table.times
    return [row for row in range(len(times)) if row + 1 == len(times) or times[row + 1] > times[row]]


def write_text(file: TextIO, table: SeriesTable, zero_s: float) -> None:
    """Writes the table, family by family."""
    samples = distinct(table)
    stamps = [f"{zero_s + t:.6f}".rstrip("0").rstrip(".") for t in table.times[samples]]
    values = table.values[samples]
    for family, columns in _by_family(table):
        head, prefixes = _head(family, table, columns)
        file.write(head)
        for metric in _metrics(family, table, columns):
            rows = [(prefixes[columns.index(column)], values[:, column]) for column in metric]
            _points(file, rows, stamps)
    file.write(EOF)


def _by_family(table: SeriesTable) -> Iterator[tuple[Family, list[int]]]:
    known = families(table.names)
    columns: dict[Family, list[int]] = defaultdict(list)
    for number, name in enumerate(table.names):
        columns[known[name]].append(number)
    yield from sorted(columns.items(), key=lambda item: item[0].name)


def _head(family: Family, table: SeriesTable, columns: Iterable[int]) -> tuple[str, list[str]]:
    """The lines TYPE and UNIT of a family, and name with labels of each of its series."""
    metric = Metric(family.name, "", family.kind, family.unit)
    for column in columns:
        metric.add_sample(table.names[column], table.labels[column], 0.0)
    lines = generate_latest(_One(metric)).decode().splitlines()  # type: ignore[no-untyped-call]
    head = [line for line in lines if line.startswith(("# TYPE", "# UNIT"))]
    return "\n".join([*head, ""]), [line.rpartition(" ")[0] for line in lines if not line.startswith("#")]


class _One:
    """A registry with one metric, as prometheus-client's writer wants it."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterator[Metric]:
        yield self._metric


def _metrics(family: Family, table: SeriesTable, columns: list[int]) -> Iterator[list[int]]:
    """The series of each label set: one, or those of a histogram in the order of the standard."""
    if family.kind not in ("histogram", "summary"):
        yield from ([column] for column in columns)
        return
    sets: dict[tuple[tuple[str, str], ...], list[int]] = defaultdict(list)
    for column in columns:
        labels = table.labels[column]
        sets[tuple((name, value) for name, value in labels.items() if name != "le")].append(column)
    for members in sets.values():
        yield sorted(members, key=lambda column: _place(family, table, column))


def _place(family: Family, table: SeriesTable, column: int) -> tuple[int, float]:
    part = table.names[column].removeprefix(family.name)
    return PARTS[part], float(table.labels[column].get("le", 0.0))


def _points(file: TextIO, rows: list[tuple[str, Array]], stamps: list[str]) -> None:
    for number, stamp in enumerate(stamps):
        for prefix, values in rows:
            value = float(values[number])
            if value == value:
                file.write(f"{prefix} {floatToGoString(value)} {stamp}\n")  # type: ignore[no-untyped-call]
