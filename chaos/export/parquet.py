"""A run as Parquet files: one file per table. Units and meanings of the columns are in the files' schema."""

from pathlib import Path
from typing import Any

from chaos.export.extras import optional
from chaos.export.tables import TABLES, ExportedRun, ExportTable
from chaos.record.files import whole

EXTRA = "export"


def write_parquet(run: ExportedRun, folder: Path) -> None:
    """Writes the file of each table.

    Raises:
        MissingExtra: pyarrow is not installed.
    """
    arrow = optional("pyarrow", EXTRA, "--format parquet")
    parquet = optional("pyarrow.parquet", EXTRA, "--format parquet")
    for table in TABLES:
        schema = arrow_schema(arrow, table)
        with (
            whole(folder / f"{table.name}.parquet") as path,
            path.open("wb") as file,
            parquet.ParquetWriter(file, schema, compression="zstd") as writer,
        ):
            for batch in table.batches(run):
                writer.write_table(arrow.table({name: batch[name] for name in schema.names}, schema=schema))


def arrow_schema(arrow: Any, table: ExportTable) -> Any:
    types = {
        "whole number": arrow.int64(),
        "number": arrow.float64(),
        "text": arrow.string(),
        "yes or no": arrow.bool_(),
        "JSON": arrow.string(),
    }
    fields = [
        arrow.field(
            column.name,
            types[column.type],
            nullable=column.optional,
            metadata={"unit": column.unit, "meaning": column.meaning},
        )
        for column in table.columns
    ]
    return arrow.schema(fields, metadata={"meaning": table.meaning})
