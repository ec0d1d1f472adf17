"""The console: its files, the ticks for its charts, and the session that lets a link open a report.

All resources are served from here; the content security policy allows no other source, and no inline script or style.
"""

from pathlib import Path

from aiohttp import web

from chaos.controller import errors
from chaos.controller.api import Call, ControllerAnswer
from chaos.controller.auth import SESSION_COOKIE, Tokens
from chaos.controller.documents import SessionOpened, Ticks
from chaos.controller.testbed import Testbed
from services.chassis.errors import ServiceError
from services.chassis.routes import ResponseSpec, Route

TAG = "console"
STATIC = Path(__file__).parents[1] / "static"
FILES = {path.relative_to(STATIC).as_posix(): path.read_bytes() for path in STATIC.rglob("*") if path.is_file()}
MEDIA = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
PAGE, ICON = "console.html", "favicon.svg"
REPORTS = "/v1/runs"
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def routes(testbed: Testbed, tokens: Tokens) -> list[Route]:
    async def page(_call: Call) -> web.StreamResponse:
        return _file(PAGE)

    async def icon(_call: Call) -> web.StreamResponse:
        return _file(ICON)

    async def static(call: Call) -> web.StreamResponse:
        return _file(call.path("file"))

    async def ticks(_call: Call) -> ControllerAnswer:
        return 200, {"ticks": list(testbed.telling.ticks)}

    async def session(_call: Call) -> web.StreamResponse:
        """Sets a cookie for links to reports, which cannot send a header.

        It is HttpOnly, SameSite, and limited to runs.
        """
        response = web.json_response({"reads": REPORTS})
        response.set_cookie(SESSION_COOKIE, tokens.read, path=REPORTS, httponly=True, samesite="Strict")
        return response

    text = {"type": "string"}
    opened = {200: ResponseSpec("with a cookie", SessionOpened)}
    seen = {200: ResponseSpec("oldest first", Ticks)}
    return [
        _open("/", "get_console", "The console; it asks for a token", page, "text/html"),
        _open("/favicon.ico", "get_icon", "The favicon", icon, "image/svg+xml"),
        Route(
            "GET",
            "/static/{file}",
            "get_static",
            "A file of the console",
            static,
            "open",
            {200: ResponseSpec("the file", text, "text/plain")},
            (errors.NOT_FOUND,),
            patterns={"file": ".+"},
            tag=TAG,
        ),
        Route("GET", "/v1/ticks", "list_ticks", "The key figures of every second", ticks, "read", seen, tag=TAG),
        Route(
            "GET", "/v1/session", "get_session", "Open a session for links to reports", session, "read", opened, tag=TAG
        ),
    ]


def _open(path: str, operation_id: str, summary: str, handler: object, media: str) -> Route:
    reply = ResponseSpec("a page", {"type": "string"}, media)
    return Route("GET", path, operation_id, summary, handler, "open", {200: reply}, tag=TAG)  # type: ignore[arg-type]


def _file(name: str) -> web.StreamResponse:
    body = FILES.get(name)
    if body is None:
        raise ServiceError(errors.NOT_FOUND, detail=f"no file {name!r}")
    media = MEDIA.get(Path(name).suffix, "text/plain")
    return web.Response(body=body, content_type=media, charset="utf-8", headers=HEADERS)
