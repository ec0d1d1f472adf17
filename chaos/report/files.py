"""Verdict and page as files of the run's folder. Each is replaced in one step, so a reader never sees half of one."""

import json
from pathlib import Path

from chaos.experiment.runs import replace
from chaos.record.files import NotWhole, read_json
from chaos.record.record import RecordError, RunRecord
from chaos.verdict import Verdict

VERDICT_FILE, REPORT_FILE = "verdict.json", "report.html"


def write_verdict(folder: Path, verdict: Verdict) -> Path:
    """`verdict.json`: scenario, seed, runtime, status, figures, claims."""
    return replace(folder / VERDICT_FILE, json.dumps(verdict.document(), indent=1, ensure_ascii=False) + "\n")


def read_verdict(folder: Path) -> Verdict:
    """The verdict that a run's folder holds.

    Raises:
        RecordError: naming the file, when it is missing or is not a verdict.
    """
    path = folder / VERDICT_FILE
    try:
        return Verdict.from_document(read_json(path))
    except FileNotFoundError as error:
        raise RecordError(f"{path}: not judged yet; `aftershock report {folder}` does it") from error
    except NotWhole as error:
        raise RecordError(str(error)) from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise RecordError(f"{path}:1: not a verdict: {error!r}") from error


def write_report(folder: Path, record: RunRecord, verdict: Verdict) -> Path:
    """`report.html`."""
    from chaos.report.page import render  # matplotlib takes half a second to import

    return replace(folder / REPORT_FILE, render(record, verdict))
