"""A process with a real address ends the connections of callers that meant another instance, and those of scrapes."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from services.chassis.addresses import guard_address

pytestmark = pytest.mark.real_time
Client = TestClient[web.Request, web.Application]


async def answer(_request: web.Request) -> web.Response:
    return web.Response(text="ok")


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    app = web.Application()
    app.add_routes([web.get("/metrics", answer), web.get("/readyz", answer)])
    guard_address(app, "router-eastus")
    async with TestClient(TestServer(app)) as client:
        yield client


async def test_only_a_scrape_ends_its_connection(client: Client) -> None:
    for path, said in (("/readyz", None), ("/metrics", "close"), ("/readyz", None)):
        async with client.get(path) as reply:
            assert (await reply.text(), reply.headers.get("Connection")) == ("ok", said)


@pytest.mark.parametrize("host", ["router-westus:8080", "identity-eastus-9:8080", "provisioner-eastus", "controller"])
async def test_a_request_for_another_instance_is_refused_and_loses_its_connection(client: Client, host: str) -> None:
    async with client.get("/readyz", headers={"Host": host}) as reply:
        assert (reply.status, reply.headers.get("Connection")) == (421, "close")
        assert await reply.text() == f"This is router-eastus, not {host.partition(':')[0]}.\n"


@pytest.mark.parametrize(
    "host", ["router-eastus:8080", "localhost:28080", "127.0.0.1", "[::1]:80", "my-alias", "acct.blob.core.windows.net"]
)
async def test_its_own_name_an_address_and_an_alias_are_served(client: Client, host: str) -> None:
    async with client.get("/readyz", headers={"Host": host}) as reply:
        assert (reply.status, reply.headers.get("Connection")) == (200, None)
