"""A run as CSV files with a header line: one file per table. Numbers in full precision, no value as an empty field."""

import csv
from pathlib import Path

from chaos.export.tables import TABLES, ExportedRun, ExportTable
from chaos.record.files import whole


def write_csv(run: ExportedRun, folder: Path) -> None:
    for table in TABLES:
        _write(table, run, folder / f"{table.name}.csv")


def _write(table: ExportTable, run: ExportedRun, path: Path) -> None:
    names = [column.name for column in table.columns]
    with whole(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(names)
        for batch in table.batches(run):
            columns = [_plain(batch[column.name], column.type == "yes or no") for column in table.columns]
            rows.writerows(zip(*columns, strict=True))


def _plain(values: object, whether: bool) -> list[object]:
    """Python's own numbers, which the csv module writes in full precision; yes or no as 1 or 0."""
    plain: list[object] = values.tolist() if hasattr(values, "tolist") else list(values)  # type: ignore[call-overload]
    return [int(bool(value)) for value in plain] if whether else plain
