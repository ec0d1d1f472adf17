"""Records of runs: list, verdict, report, compare."""

import asyncio
import re
from pathlib import Path
from typing import Any

from aiohttp import web

from chaos.controller import errors
from chaos.controller.api import PAGE, Call, Calls, ControllerAnswer, served
from chaos.controller.run_documents import ComparisonView, RunList, VerdictView
from chaos.controller.testbed import Testbed
from chaos.record.record import RecordError, RunRecord
from chaos.record.retention import used
from chaos.report.compare import compare
from chaos.report.files import REPORT_FILE, VERDICT_FILE, read_verdict
from services.chassis.errors import ServiceError
from services.chassis.settings import Settings

ONE = "/v1/runs/{id}"


class Sides(Settings):
    """The two runs to compare, by id."""

    left: str
    right: str


REPORT_HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:",
    "X-Content-Type-Options": "nosniff",
}
_ID = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")


class RunCalls(Calls):
    tag = "runs"

    @served("GET /v1/runs", "Records of runs", RunList, "by name")
    async def list_runs(self, _call: Call) -> ControllerAnswer:
        return 200, {"runs": await asyncio.to_thread(_summaries, self._testbed.runs)}

    @served(
        "GET /v1/runs/compare",
        "Compare two runs",
        ComparisonView,
        "compared",
        errors=(errors.NOT_FOUND, errors.CONFLICT),
        query=Sides,
    )
    async def compare_runs(self, call: Call) -> ControllerAnswer:
        left, right = (_folder(self._testbed, name) for name in (call.query.left, call.query.right))
        try:
            # Reading two records takes seconds, in which a run in progress would count as stalled, and up to 500 MB.
            async with self._testbed.locks["comparison"]:
                return 200, await asyncio.to_thread(_compare, left, right)
        except (RecordError, OSError) as error:
            raise ServiceError(errors.CONFLICT, detail=str(error)) from error

    @served(f"GET {ONE}/verdict", "The verdict of a run", VerdictView, "judged", errors=(errors.NOT_FOUND,))
    async def get_verdict(self, call: Call) -> ControllerAnswer:
        return 200, _read(_folder(self._testbed, call.path("id")))

    @served(
        f"GET {ONE}/report",
        "The report of a run, as a page",
        PAGE,
        "a page",
        media="text/html",
        errors=(errors.NOT_FOUND,),
    )
    async def get_report(self, call: Call) -> web.StreamResponse:
        path = _folder(self._testbed, call.path("id")) / REPORT_FILE
        if not path.is_file():
            raise ServiceError(errors.NOT_FOUND, detail=f"run {call.path('id')!r} has no report yet")
        return web.Response(body=await asyncio.to_thread(path.read_bytes), headers=REPORT_HEADERS)


def _folder(testbed: Testbed, name: str) -> Path:
    folder = testbed.runs / name
    if not _ID.match(name) or not folder.is_dir():
        known = ", ".join(sorted(p.parent.name for p in testbed.runs.glob("*/plan.json"))) or "none"
        raise ServiceError(errors.NOT_FOUND, detail=f"unknown run {name!r}; known: {known}")
    used(folder)
    return folder


def _compare(left: Path, right: Path) -> dict[str, Any]:
    return compare(RunRecord.load(left), RunRecord.load(right)).document()


def _summaries(runs: Path) -> list[dict[str, Any]]:
    folders = sorted(path for path in runs.glob("*") if (path / "plan.json").is_file() and not path.is_symlink())
    return [_summary(folder) for folder in folders]


def _read(folder: Path) -> dict[str, Any]:
    try:
        return read_verdict(folder).document()
    except (RecordError, OSError) as error:
        raise ServiceError(errors.NOT_FOUND, detail=str(error)) from error


def _summary(folder: Path) -> dict[str, Any]:
    """The list entry of a run; a damaged record is listed as `unreadable`."""
    try:
        judged = (folder / VERDICT_FILE).exists()
        return {"id": folder.name, "status": read_verdict(folder).status if judged else "not judged", "why": ""}
    except (RecordError, OSError) as error:
        return {"id": folder.name, "status": "unreadable", "why": str(error)}
