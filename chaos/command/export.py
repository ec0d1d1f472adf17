"""The command `export`: a record in an open format."""

from pathlib import Path

from rich.console import Console

from chaos.experiment.runs import given_folder
from chaos.export.formats import FORMATS
from chaos.export.tables import ExportedRun
from chaos.record.record import RunRecord
from chaos.verdict.verdict import judge
from services.chassis.exit_codes import EXPECTED


def export_command(folder: Path, form: str, out: Path, console: Console) -> int:
    """Writes the record in `folder` to the empty folder `out`; returns the exit code."""
    record = RunRecord.load(folder)
    run = ExportedRun(record, judge(record))
    FORMATS[form](run, given_folder(out, "export"))
    for path in sorted(out.iterdir()):
        console.print(f"{path}  {path.stat().st_size:,} bytes", highlight=False, soft_wrap=True)
    return EXPECTED
