"""The console: its files, the ticks for its charts, and the session that lets a link open a report.

All resources are served from here; the content security policy allows no other source, and no inline script or style.
"""

from pathlib import Path

from aiohttp import web

from chaos.controller import errors
from chaos.controller.api import PAGE, Call, Calls, ControllerAnswer, served
from chaos.controller.auth import SESSION_COOKIE, Tokens
from chaos.controller.documents import SessionOpened, Ticks
from chaos.controller.testbed import Testbed
from services.chassis.errors import ServiceError

STATIC = Path(__file__).parents[1] / "static"
FILES = {path.relative_to(STATIC).as_posix(): path.read_bytes() for path in STATIC.rglob("*") if path.is_file()}
MEDIA = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
REPORTS = "/v1/runs"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


class ConsoleCalls(Calls):
    tag = "console"

    def __init__(self, testbed: Testbed, tokens: Tokens) -> None:
        super().__init__(testbed)
        self._tokens = tokens

    @served("GET /", "The console; it asks for a token", PAGE, "a page", access="open", media="text/html")
    async def get_console(self, _call: Call) -> web.StreamResponse:
        return _file("console.html")

    @served("GET /favicon.ico", "The favicon", PAGE, "a page", access="open", media="image/svg+xml")
    async def get_icon(self, _call: Call) -> web.StreamResponse:
        return _file("favicon.svg")

    @served(
        "GET /static/{file}",
        "A file of the console",
        PAGE,
        "the file",
        access="open",
        media="text/plain",
        errors=(errors.NOT_FOUND,),
        patterns={"file": ".+"},
    )
    async def get_static(self, call: Call) -> web.StreamResponse:
        return _file(call.path("file"))

    @served("GET /v1/ticks", "The key figures of every second", Ticks, "oldest first")
    async def list_ticks(self, _call: Call) -> ControllerAnswer:
        return 200, {"ticks": list(self._testbed.telling.ticks)}

    @served("GET /v1/session", "Open a session for links to reports", SessionOpened, "with a cookie")
    async def get_session(self, _call: Call) -> web.StreamResponse:
        """Sets a cookie for links to reports, which cannot send a header.

        It is HttpOnly, SameSite, and limited to runs.
        """
        response = web.json_response({"reads": REPORTS})
        response.set_cookie(SESSION_COOKIE, self._tokens.read, path=REPORTS, httponly=True, samesite="Strict")
        return response


def _file(name: str) -> web.StreamResponse:
    body = FILES.get(name)
    if body is None:
        raise ServiceError(errors.NOT_FOUND, detail=f"no file {name!r}")
    media = MEDIA.get(Path(name).suffix, "text/plain")
    return web.Response(body=body, content_type=media, charset="utf-8", headers=HEADERS)
