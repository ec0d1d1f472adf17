"""A scrape of a real process ends its connection; no other request does."""

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from services.chassis.process import close_after_metrics

pytestmark = pytest.mark.real_time


async def answer(_request: web.Request) -> web.Response:
    return web.Response(text="ok")


async def test_only_a_scrape_ends_its_connection() -> None:
    app = web.Application()
    app.add_routes([web.get("/metrics", answer), web.get("/readyz", answer)])
    app.on_response_prepare.append(close_after_metrics)
    async with TestClient(TestServer(app)) as client:
        for path, said in (("/readyz", None), ("/metrics", "close"), ("/readyz", None)):
            async with client.get(path) as reply:
                assert (await reply.text(), reply.headers.get("Connection")) == ("ok", said)
