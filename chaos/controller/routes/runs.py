"""Records of runs: list, verdict, report, compare."""

import re
from pathlib import Path
from typing import Any

from aiohttp import web

from chaos.controller import errors
from chaos.controller.api import Answer, Call, Route
from chaos.controller.testbed import Testbed
from chaos.record import Record, RecordError
from chaos.report.compare import compare
from chaos.report.files import REPORT_FILE, VERDICT_FILE, read_verdict
from services.chassis.errors import ServiceError
from services.chassis.settings import Settings

TAG = "runs"


class Sides(Settings):
    """The two runs to compare, by id."""

    left: str
    right: str


_ID = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")


def routes(testbed: Testbed) -> list[Route]:
    async def listing(_call: Call) -> Answer:
        folders = sorted(p for p in testbed.runs.glob("*") if (p / "plan.json").is_file() and not p.is_symlink())
        return 200, {"runs": [_summary(folder) for folder in folders]}

    async def verdict(call: Call) -> Answer:
        return 200, _read(_folder(testbed, call.path("id")))

    async def report(call: Call) -> web.StreamResponse:
        path = _folder(testbed, call.path("id")) / REPORT_FILE
        if not path.is_file():
            raise ServiceError(errors.NOT_FOUND, detail=f"run {call.path('id')!r} has no report yet")
        return web.FileResponse(path, headers={"Content-Type": "text/html; charset=utf-8"})

    async def comparison(call: Call) -> Answer:
        left, right = (_folder(testbed, name) for name in (call.query.left, call.query.right))
        try:
            return 200, compare(Record.load(left), Record.load(right)).document()
        except RecordError as error:
            raise ServiceError(errors.CONFLICT, detail=str(error)) from error

    one = "/v1/runs/{id}"
    return [
        Route("GET", "/v1/runs", "read", "Records of runs", listing, tag=TAG),
        Route(
            "GET",
            "/v1/runs/compare",
            "read",
            "Two runs side by side: ?left=ID&right=ID",
            comparison,
            tag=TAG,
            query=Sides,
        ),
        Route("GET", f"{one}/verdict", "read", "The verdict of a run", verdict, tag=TAG),
        Route("GET", f"{one}/report", "read", "The report of a run, as a page", report, tag=TAG),
    ]


def _folder(testbed: Testbed, name: str) -> Path:
    folder = testbed.runs / name
    if not _ID.match(name) or not folder.is_dir():
        known = ", ".join(sorted(p.parent.name for p in testbed.runs.glob("*/plan.json"))) or "none"
        raise ServiceError(errors.NOT_FOUND, detail=f"unknown run {name!r}; known: {known}")
    return folder


def _read(folder: Path) -> dict[str, Any]:
    try:
        return read_verdict(folder).document()
    except RecordError as error:
        raise ServiceError(errors.NOT_FOUND, detail=str(error)) from error


def _summary(folder: Path) -> dict[str, Any]:
    judged = (folder / VERDICT_FILE).is_file()
    return {"id": folder.name, "status": read_verdict(folder).status if judged else "not judged"}
