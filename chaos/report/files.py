"""Verdict and report page as files of the run's folder; each is replaced atomically."""

import json
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from chaos.experiment.runs import replace
from chaos.record.files import NotWhole, read_json
from chaos.record.record import RecordError, RunRecord
from chaos.verdict import Verdict, judge
from services.chassis.settings import explain

VERDICT_FILE, REPORT_FILE = "verdict.json", "report.html"
_VERDICT = TypeAdapter(Verdict)


def write_verdict(folder: Path, verdict: Verdict) -> Path:
    """Writes `verdict.json`: scenario, seed, runtime, status, figures, claims."""
    return replace(folder / VERDICT_FILE, json.dumps(verdict.document(), indent=1, ensure_ascii=False) + "\n")


def read_verdict(folder: Path) -> Verdict:
    """Reads the verdict of a run's folder.

    Raises:
        RecordError: the file is missing or not a verdict.
    """
    path = folder / VERDICT_FILE
    try:
        return _VERDICT.validate_python(read_json(path))
    except FileNotFoundError as error:
        raise RecordError(f"{path}: not judged yet; run `aftershock report {folder}`") from error
    except NotWhole as error:
        raise RecordError(str(error)) from error
    except ValidationError as error:
        raise RecordError(f"{path}:1: not a verdict: {explain(error)}") from error


def judge_folder(folder: Path) -> Verdict:
    """Judges the record in a run's folder, and writes `verdict.json` and `report.html` into it."""
    record = RunRecord.load(folder)
    verdict = judge(record)
    write_verdict(folder, verdict)
    write_report(folder, record, verdict)
    return verdict


def write_report(folder: Path, record: RunRecord, verdict: Verdict) -> Path:
    from chaos.report.page import render  # matplotlib takes half a second to import

    return replace(folder / REPORT_FILE, render(record, verdict))
