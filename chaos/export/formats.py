"""The formats of `aftershock export`."""

from collections.abc import Callable, Mapping
from pathlib import Path

from chaos.export.csv_files import write_csv
from chaos.export.openmetrics import write_openmetrics
from chaos.export.otlp import write_otlp
from chaos.export.parquet import write_parquet
from chaos.export.tables import ExportedRun

FORMATS: Mapping[str, Callable[[ExportedRun, Path], None]] = {
    "openmetrics": write_openmetrics,
    "parquet": write_parquet,
    "csv": write_csv,
    "otlp": write_otlp,
}
