"""Every route of every process with its required access. A new route needs an entry, which is then tested.

`open` changes nothing. `client` may change something and is what a client of Azure calls: anyone but a foreign page.
`project` needs the secret of the testbed.
"""

import asyncio
import re
from typing import Any

import pytest
from aiohttp import web

from chaos.controller.app import create_controller
from chaos.controller.auth import Tokens
from chaos.controller.testbed import Testbed
from chaos.scenarios.loader import load
from chaos.scenarios.restrict import restrict
from compose.topology import MODULES, app_factory
from compose.virtual.runtime import VirtualRuntime
from compose.virtual.world import VirtualWorld
from services.chassis.access import ADMIN, SAFE_METHODS, SECRET_HEADER, shared_secret
from services.chassis.app import API
from services.chassis.clock import Clock
from services.chassis.env import Env, Peers, make_env
from services.chassis.http import HttpClient, HttpReply
from services.chassis.registry import Instance
from services.chassis.routes import install
from services.chassis.store import Keys
from tests.unit.chassis.list_routes import listed, rows

SECRET = "secret of the project in tests"
LISTED = listed()
LOADED = {"eastus": {"job_rate_per_s": 0.1, "token_rate_per_s": 0.1}}
FOREIGN: tuple[dict[str, str], ...] = (
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://rebound.example:8080", "Host": "rebound.example:8080"},
)


def environment(world: VirtualWorld, service: str) -> Env:
    name = f"{service}-eastus"
    return make_env(
        Instance(service, "eastus", name, f"http://{name}:8080"),
        seed=1,
        clock=Clock(world.loop.time, world.epoch_s),
        http=HttpClient(world.session(name)),
        store=world.redis.client(),
        sink=lambda _event: None,
        tree={"loadgen": {"regions": LOADED}},
        peers=Peers(),
        secret=SECRET,
    )


def plain(resource: web.Resource) -> str:
    """A path as aiohttp matches it, with `{}` for what varies and in lower case where case does not count."""
    info = resource.get_info()
    found = info["pattern"].pattern if "pattern" in info else info["path"]
    found = re.sub(r"\(\?P<_\d+>\(\?i:([^()]*)\)\)", lambda word: word[1].lower(), found)
    found = found.replace("(?P<_end>/?)", "")
    found = re.sub(r"\(\?P<\w+>[^()]*\)", "{}", found)
    return re.sub(r"\\(.)", r"\1", found)


def changing(app: web.Application) -> set[str]:
    """Method and path of every route that may change something."""
    found = set()
    for route in app.router.routes():
        assert isinstance(route.resource, web.Resource)
        methods = ("PUT", "PATCH", "POST", "DELETE") if route.method == "*" else (route.method,)
        found |= {f"{method} {plain(route.resource)}" for method in methods if method not in SAFE_METHODS}
    return found


@pytest.mark.parametrize("service", sorted(MODULES))
async def test_every_route_is_listed_with_who_may_call_it(world: VirtualWorld, service: str) -> None:
    app = app_factory(service)(environment(world, service))
    table = app[API].routes
    assert rows(table) == LISTED[service], "a new route, or other rights: say in who_may_call.txt who may call it"
    assert {row.path for row in table if row.access == "project"} == {
        row.path for row in table if row.path.startswith(ADMIN)
    }, "the edge asks for the secret by the path"
    described = web.Application()
    install(described, table)
    assert changing(app) == changing(described), "a route that no row of the table describes"
    assert {row.access for row in table if row.method not in SAFE_METHODS} <= {"client", "project"}


@pytest.mark.parametrize("service", sorted(MODULES))
async def test_every_operators_call_needs_the_secret(world: VirtualWorld, service: str) -> None:
    app = app_factory(service)(environment(world, service))
    admin = {name for name in changing(app) if " /admin/" in name}
    assert len(admin) == sum(who == "project" and not name.startswith("GET") for name, who in LISTED[service].items())
    await world.serve(app, "served", 8080)
    http = HttpClient(world.session("caller"))
    for name in sorted(admin):
        method, path = name.split(" ")
        url = "http://served:8080" + path.replace("{}", "name1")
        for headers in ({}, {SECRET_HEADER: "wrong"}, {SECRET_HEADER: ""}):
            reply = await http.call(method, url, json={}, headers=headers, timeout_s=5.0)
            assert reply.status == 403, name
            assert b"processes of this testbed only" in reply.body
        reply = await http.call(method, url, json={}, headers={SECRET_HEADER: SECRET}, timeout_s=5.0)
        assert reply.status not in (0, 403), name
        await asyncio.sleep(1.0)


@pytest.mark.parametrize("service", sorted(set(MODULES) - {"loadgen"}))
@pytest.mark.parametrize("page", FOREIGN, ids=str)
async def test_no_state_changing_route_accepts_a_foreign_origin(
    world: VirtualWorld, service: str, page: dict[str, str]
) -> None:
    app = app_factory(service)(environment(world, service))
    await world.serve(app, "served", 8080)
    http = HttpClient(world.session("caller"))
    for name in sorted(changing(app)):
        method, path = name.split(" ")
        url = "http://served:8080" + path.replace("{}", "name1")
        headers = {SECRET_HEADER: SECRET, **page}
        reply = await http.call(method, url, json={}, headers=headers, timeout_s=30.0)
        assert (reply.status, b"another origin" in reply.body) == (403, True), (name, reply)
    reply = await http.call("PUT", "http://served:8080/" + PLAIN[service], json={}, headers=page, timeout_s=30.0)
    assert reply.status == 403, reply


SUBSCRIPTION = "subscriptions/00000000-0000-4000-8000-00000af7e5c0/resourceGroups/g/providers"
PLAIN = {
    "blobstore": "vmextmieastus/packages/a.zip",
    "identity": f"{SUBSCRIPTION}/Microsoft.ManagedIdentity/userAssignedIdentities/i?api-version=2024-11-30",
    "provisioner": f"{SUBSCRIPTION}/Microsoft.Compute/virtualMachines/m?api-version=2024-07-01",
    "router": f"{SUBSCRIPTION}/Microsoft.ManagedIdentity/userAssignedIdentities/i?api-version=2024-11-30",
}


@pytest.mark.parametrize("service", sorted(PLAIN))
@pytest.mark.parametrize(
    "page", [{}, {"Sec-Fetch-Site": "none"}, {"Sec-Fetch-Site": "same-origin", "Origin": "http://served:8080"}], ids=str
)
async def test_requests_without_an_origin_and_with_their_own_are_accepted(
    world: VirtualWorld, service: str, page: dict[str, str]
) -> None:
    await world.serve(app_factory(service)(environment(world, service)), "served", 8080)
    http = HttpClient(world.session("caller"))
    reply: HttpReply = await http.call(
        "PUT", "http://served:8080/" + PLAIN[service], json={}, headers=page, timeout_s=30.0
    )
    assert b"another origin" not in reply.body


async def test_the_controller_needs_a_token_for_everything_that_changes_something(
    world: VirtualWorld, tmp_path: Any
) -> None:
    runtime = VirtualRuntime(world)
    testbed = Testbed(runtime, restrict(load("azure-fnj8-vqz-short"), ["eastus", "westus"]), tmp_path)
    app = create_controller(testbed, Tokens(read="r", operate="o", project="p"))
    await world.serve(app, "controller", 80)
    http = HttpClient(world.session("caller"))
    table = app[API].routes
    assert rows(table) == LISTED["controller"], "a new route, or other rights: say in who_may_call.txt who may call it"
    tried = changing(app)
    assert len(tried) == sum(row.method not in SAFE_METHODS for row in table)
    for name in tried:
        method, path = name.split(" ")
        for token in ("", "wrong", "r", *(["o"] if name == "POST /alerts" else [])):
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            url = "http://controller" + path.replace("{}", "name1")
            reply = await http.call(method, url, json={}, headers=headers, timeout_s=5.0)
            assert reply.status in (401, 403), (name, token, reply)


async def test_without_a_secret_operator_calls_are_refused(world: VirtualWorld) -> None:
    env = environment(world, "identity")
    env.secret = ""
    await world.serve(app_factory("identity")(env), "served", 8080)
    http = HttpClient(world.session("caller"))
    for headers in ({}, {SECRET_HEADER: ""}):
        assert (await http.call("POST", "http://served:8080/admin/crash", headers=headers, timeout_s=5.0)).status == 403


async def test_the_processes_of_a_testbed_agree_on_a_secret(
    world: VirtualWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_up = iter(("first", "second"))
    monkeypatch.setattr("services.chassis.access.secret_token", lambda: next(made_up))
    store = world.redis.client()
    made = await shared_secret(store)
    assert made == "first"
    assert await shared_secret(world.redis.client()) == made
    assert await shared_secret(store, "given") == "given"
    assert await shared_secret(store) == "given"
    await store.delete(Keys.SECRET)
    await store.hset(Keys.SECRET, "garbage", "x")
    assert await shared_secret(store) == "second"
