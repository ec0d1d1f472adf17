"""What the console receives: one sample a second, events in words, its files, and reports by link."""

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from chaos.controller.auth import SESSION_COOKIE
from chaos.controller.feed import WRITE_TIMEOUT_S, Feed
from chaos.controller.routes.console import FILES
from compose.virtual.world import VirtualWorld
from services.chassis.clock import Clock
from tests.unit.controller.controller_desk import CONTROLLER, TOKENS, Desk


async def test_the_idle_testbed_has_a_moment_every_second_and_shows_a_flipped_region(desk: Desk) -> None:
    await desk.testbed.operations.ensure_load()
    for region in desk.testbed.regions:  # the desk has one node a region, a fifth of what its users need
        await desk.testbed.operations.set_load(region, 0.15)
    await asyncio.sleep(30)
    ticks = (await desk.call("GET", "/v1/ticks", token="read-token")).json()["ticks"]
    seconds = [tick["at"] for tick in ticks]
    assert [round(b - a) for a, b in pairwise(seconds)] == [1] * (len(ticks) - 1)
    assert ticks[-1]["run"] == ""
    assert ticks[-1]["regions"]["eastus"] == {"provisioning": 1.0, "identity": 1.0}
    await desk.call("PUT", "/v1/regions/eastus/anonymous-access", {"enabled": False})
    await asyncio.sleep(25)
    ticks = (await desk.call("GET", "/v1/ticks")).json()["ticks"]
    now = ticks[-1]
    assert now["regions"]["eastus"]["provisioning"] < 0.2
    assert now["regions"]["eastus"]["identity"] == 1.0
    assert {tick["regions"]["westus"]["provisioning"] for tick in ticks[-20:]} - {None} == {1.0}
    assert now["backlog"] > 0


async def test_events_carry_their_words_and_moments_do_not_push_them_out(desk: Desk) -> None:
    await desk.call("PUT", "/v1/regions/eastus/traffic", {"mode": "drain"})
    await asyncio.sleep(60)
    history = desk.testbed.feed.history
    assert not [event for event in history if event["kind"] == "tick"]
    said = [event["said"] for event in history if event["kind"] == "action"]
    assert said == [{"by": "operators", "text": "drain East US", "tone": "", "row": ""}]


async def test_a_listener_that_never_reads_is_given_up(world: VirtualWorld) -> None:
    feed = Feed(Clock(world.loop.time, world.epoch_s))
    feed.publish({"kind": "k"})

    async def never(_frame: bytes) -> None:
        await asyncio.Event().wait()

    async def gone(_frame: bytes) -> None:
        raise ConnectionResetError

    for write, error, took_s in ((never, TimeoutError, WRITE_TIMEOUT_S), (gone, ConnectionResetError, 0.0)):
        began = world.loop.time()
        with pytest.raises(error):
            await feed.send(write)
        assert (world.loop.time() - began, len(feed._listeners)) == (took_s, 0)


async def test_every_file_of_the_console_is_served_under_a_strict_policy(desk: Desk) -> None:
    assert len(FILES) > 5
    for name, content in FILES.items():
        reply = await desk.get(f"{CONTROLLER}/static/{name}")
        assert (reply.status, reply.body) == (200, content), name
        policy = reply.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';"), name
        assert "unsafe" not in policy, name


async def test_nothing_else_is_served(desk: Desk) -> None:
    for name in ("nothing.js", "../app.py", "%2e%2e/app.py", "vendor"):
        assert (await desk.get(f"{CONTROLLER}/static/{name}")).status == 404, name


async def test_a_session_opens_reports_by_link_and_does_nothing_else(desk: Desk, tmp_path: Path) -> None:
    run = tmp_path / "some-run"
    run.mkdir()
    (run / "plan.json").write_text("{}")
    (run / "report.html").write_text("<p>report</p>")
    opened = await desk.call("GET", "/v1/session", token="read-token")
    cookie = opened.headers["Set-Cookie"]
    assert {"HttpOnly", "Path=/v1/runs", "SameSite=Strict"} <= {part.strip() for part in cookie.split(";")}
    shown = {"Cookie": f"{SESSION_COOKIE}={TOKENS.read}"}
    path = f"{CONTROLLER}/v1/runs/some-run/report"
    assert (await desk.http.call("GET", path, headers=shown, timeout_s=5)).body == b"<p>report</p>"
    assert (await desk.get(path)).status == 401
    wrong = {"Cookie": f"{SESSION_COOKIE}=guess"}
    assert (await desk.http.call("GET", path, headers=wrong, timeout_s=5)).status == 401
    posted = await desk.http.call("POST", f"{CONTROLLER}/v1/runs", json={"scenario": "x"}, headers=shown, timeout_s=5)
    assert posted.status == 401
