"""What a client and a server see, case by case; `test_virtual_parity` runs each over three transports.

A case gets a `Stage` and returns a transcript: plain values that must be the same over in-memory HTTP, over the
direct transport, and over real sockets on an ordinary event loop.
"""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import aiohttp
from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Transcript = list[Any]


class Stage(Protocol):
    """Where a case plays."""

    session: aiohttp.ClientSession

    async def serve(self, *handlers: Handler) -> str:
        """Serve each handler under its own name; the base URL."""

    @property
    def dead_url(self) -> str:
        """A known host where nobody listens."""


def limit(**seconds: float) -> aiohttp.ClientTimeout:
    """Timeouts that are not rounded."""
    return aiohttp.ClientTimeout(**seconds, ceil_threshold=float("inf"))


async def outcome(call: Awaitable[Any]) -> str:
    """The type of what a call raises."""
    try:
        await call
    except Exception as error:
        return type(error).__name__
    return "no error"


async def echo(request: web.Request) -> web.Response:
    """What the server saw of a request."""
    return web.json_response(
        {
            "method": request.method,
            "path": request.path,
            "query": dict(request.query),
            "body": (await request.read()).decode(),
            "type": request.content_type,
            "headers": {name: value for name, value in request.headers.items() if name != "Host"},
            "order": list(request.headers),
            "exists": request.body_exists,
        },
        headers={"X-Reply": "yes"},
    )


async def bodies(stage: Stage) -> Transcript:
    """Methods, query, headers and bodies arrive as sent."""
    url = await stage.serve(echo)
    seen: Transcript = []
    for method, options in (
        ("GET", {"params": {"a": "1", "b": "zwei"}}),
        ("POST", {"json": {"k": [1, 2, None]}}),
        ("POST", {"data": b"raw"}),
        ("POST", {"data": "text"}),
        ("POST", {"data": {"form": "field", "x": "y"}}),
        ("POST", {}),
        ("PUT", {"data": b"", "headers": {"X-Ask": "1"}}),
        ("PATCH", {"json": {}, "headers": {"Content-Type": "application/merge-patch+json"}}),
        ("DELETE", {}),
    ):
        async with stage.session.request(method, f"{url}/echo", **options) as response:
            seen.append((response.status, response.reason, response.headers["X-Reply"], await response.json()))
            seen.append((response.content_type, response.charset, response.headers.get("Content-Length")))
    return seen


async def kinds_of_response(stage: Stage) -> Transcript:
    """Empty, HEAD, 204, text, error, wrong and missing responses."""

    async def empty(_request: web.Request) -> web.Response:
        return web.Response()

    async def no_content(_request: web.Request) -> web.Response:
        return web.Response(status=204)

    async def text(_request: web.Request) -> web.Response:
        return web.Response(text="grüß", status=207, reason="Odd")

    async def too_many(_request: web.Request) -> web.Response:
        raise web.HTTPTooManyRequests(text="short", headers={"Retry-After": "3"})

    async def bug(_request: web.Request) -> web.Response:
        raise ValueError("a bug")

    async def late(_request: web.Request) -> web.Response:
        raise TimeoutError

    async def nothing(_request: web.Request) -> web.Response:
        return None  # type: ignore[return-value]

    async def cookie(_request: web.Request) -> web.Response:
        response = web.Response(text="c")
        response.set_cookie("a", "b")
        return response

    url = await stage.serve(empty, no_content, text, too_many, bug, late, nothing, cookie)
    seen: Transcript = []
    for method, name in (
        ("GET", "empty"), ("GET", "no_content"), ("GET", "text"), ("HEAD", "text"), ("GET", "too_many"),
        ("GET", "bug"), ("GET", "late"), ("GET", "nothing"), ("GET", "missing"), ("POST", "text"), ("GET", "cookie"),
    ):  # fmt: skip
        async with stage.session.request(method, f"{url}/{name}") as response:
            body = await response.text()
            shown = ("Content-Type", "Content-Length", "Retry-After", "Allow", "Connection", "Set-Cookie")
            headers = {key: response.headers[key] for key in shown if key in response.headers}
            seen.append((method, name, response.status, response.reason, body, headers, response.ok))
    return seen


async def refused(stage: Stage) -> Transcript:
    """Nobody listens; unknown host."""
    return [
        await outcome(stage.session.get(stage.dead_url)),
        await outcome(stage.session.get("http://no-such-host.invalid/")),
    ]


async def aborted(stage: Stage) -> Transcript:
    """The server aborts: before the head, and in the middle of the body."""

    async def early(request: web.Request) -> web.Response:
        assert request.transport is not None
        request.transport.abort()
        return web.Response(text="too late")

    async def halfway(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "100"})
        await response.prepare(request)
        await response.write(b"half")
        await asyncio.sleep(0.02)
        assert request.transport is not None
        request.transport.abort()
        return response

    url = await stage.serve(early, halfway)
    seen: Transcript = [await outcome(stage.session.get(f"{url}/early"))]
    response = await stage.session.get(f"{url}/halfway")
    seen += [response.status, await outcome(response.read())]
    response.close()
    return seen


async def crash_of_a_node(stage: Stage) -> Transcript:
    """One handler aborts the connections of all the others: every caller learns it at once."""
    open_transports: list[asyncio.Transport] = []

    async def wait(request: web.Request) -> web.Response:
        assert request.transport is not None
        open_transports.append(request.transport)
        if len(open_transports) == 3:
            for transport in open_transports:
                transport.abort()
        await asyncio.sleep(0.2)
        return web.Response()

    url = await stage.serve(wait)
    loop = asyncio.get_running_loop()
    start = loop.time()
    kinds = await asyncio.gather(*(outcome(stage.session.get(f"{url}/wait")) for _ in range(3)))
    return [*kinds, "at once" if loop.time() - start < 0.15 else "late"]


async def zombies(stage: Stage) -> Transcript:
    """The client times out or is cancelled; the handler continues, and can see that the client has left."""
    seen: Transcript = []
    finished = asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        assert request.transport is not None
        await request.read()
        seen.append(("before", request.transport.is_closing()))
        await asyncio.sleep(0.25)
        seen.append(("after", request.transport is None or request.transport.is_closing()))
        finished.set()
        return web.Response(text="for nobody")

    url = await stage.serve(slow)
    for ask in (
        stage.session.get(f"{url}/slow", timeout=limit(total=0.1)),
        stage.session.post(f"{url}/slow", timeout=limit(sock_read=0.1), json={"a": 1}),
        asyncio.wait_for(stage.session.get(f"{url}/slow"), 0.1),
    ):
        seen.append(await outcome(ask))
        await finished.wait()
        finished.clear()
    return seen


async def timeout_while_reading(stage: Stage) -> Transcript:
    """The total timeout covers the body."""

    async def trickle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(5):
            await response.write(b"drop")
            await asyncio.sleep(0.1)
        return response

    url = await stage.serve(trickle)
    response = await stage.session.get(f"{url}/trickle", timeout=limit(total=0.25))
    seen: Transcript = [response.status, await response.content.readexactly(4), await outcome(response.read())]
    async with stage.session.get(f"{url}/trickle", timeout=limit(total=5)) as response:
        seen.append([chunk async for chunk in response.content.iter_chunked(1024)])
    return seen


async def large_bodies(stage: Stage) -> Transcript:
    """Eight megabytes up, ten down in chunks."""

    async def upload(request: web.Request) -> web.Response:
        digest, size = hashlib.sha256(), 0
        async for chunk in request.content.iter_chunked(1 << 16):
            digest.update(chunk)
            size += len(chunk)
        return web.json_response({"size": size, "sha256": digest.hexdigest()})

    async def download(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for number in range(160):
            await response.write(bytes([number]) * 65536)
        return response

    url = await stage.serve(upload, download)
    async with stage.session.post(f"{url}/upload", data=io.BytesIO(b"8" * (8 << 20))) as response:
        seen: Transcript = [await response.json()]
    async with stage.session.get(f"{url}/download") as response:
        body = await response.read()
        seen += [len(body), hashlib.sha256(body).hexdigest(), response.headers.get("Transfer-Encoding")]
    return seen


async def too_large(stage: Stage) -> Transcript:
    """The server's own limit on bodies."""
    url = await stage.serve(echo)
    async with stage.session.post(f"{url}/echo", data=io.BytesIO(b"x" * (3 << 20))) as response:
        return [response.status]


async def unread(stage: Stage) -> Transcript:
    """A response that is not read does not affect the next one."""
    url = await stage.serve(echo)
    response = await stage.session.get(f"{url}/echo")
    response.release()
    seen: Transcript = [response.status, await outcome(response.read())]
    async with stage.session.get(f"{url}/echo") as again:
        seen.append((await again.json())["method"])
    return seen


async def raising_for_status(stage: Stage) -> Transcript:
    """`raise_for_status`, JSON of the wrong type, JSON of nothing."""

    async def bad(_request: web.Request) -> web.Response:
        return web.Response(status=429, text="slow down")

    async def blank(_request: web.Request) -> web.Response:
        return web.Response(text=" ", content_type="application/json")

    url = await stage.serve(bad, blank)
    seen: Transcript = []
    try:
        await stage.session.get(f"{url}/bad", raise_for_status=True)
    except aiohttp.ClientResponseError as error:
        seen.append((error.status, error.message, error.request_info.method))
    async with stage.session.get(f"{url}/bad") as response:
        seen.append(await outcome(response.json()))
    async with stage.session.get(f"{url}/blank") as response:
        seen.append(await response.json())
    return seen


CASES = (
    bodies, kinds_of_response, refused, aborted, crash_of_a_node, zombies, timeout_while_reading, large_bodies,
    too_large, unread, raising_for_status,
)  # fmt: skip
