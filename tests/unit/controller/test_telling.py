"""What the console receives: one sample a second, events in words, its files, and reports by link."""

import asyncio
from itertools import pairwise
from pathlib import Path

import pytest

from chaos.controller.auth import SESSION_COOKIE
from chaos.controller.pulse import Readings, parse
from chaos.controller.routes.console import FILES
from chaos.progress.glance import ATTEMPTS
from tests.unit.controller.controller_desk import CONTROLLER, TOKENS, Desk

SDK = 'region="eastus",layer="sdk",outcome="ok"'


def page(value: float, labels: str = SDK) -> str:
    return f"# TYPE {ATTEMPTS} counter\n{ATTEMPTS}{{{labels}}} {value}\nother_total 5\n"


def grown(readings: Readings, start_t: float, end_t: float) -> float | None:
    return readings.increase(ATTEMPTS, {"layer": "sdk"}, start_t, end_t, by=("region",)).get(("eastus",))


def test_a_reading_is_of_the_wanted_families_only() -> None:
    assert list(parse(page(3.0), "a").values()) == [3.0]


def test_what_an_instance_counted_before_it_was_seen_is_not_counted_again() -> None:
    readings = Readings()
    for t, value in enumerate((100.0, 103.0, 103.0, 110.0)):
        readings.add(float(t), parse(page(value), "a"))
    assert grown(readings, 0.0, 3.0) == 10.0
    assert grown(readings, 2.0, 3.0) == 7.0


def test_a_counter_that_fell_began_again_and_one_that_was_away_goes_on() -> None:
    readings = Readings()
    readings.add(0.0, parse(page(100.0), "a"))
    readings.add(1.0, parse(page(4.0), "a"))
    readings.add(2.0, {})
    readings.add(3.0, parse(page(9.0), "a"))
    assert grown(readings, 0.0, 3.0) == 9.0


def test_a_new_series_of_a_known_instance_began_at_0() -> None:
    readings = Readings()
    readings.add(0.0, parse(page(100.0), "a"))
    readings.add(1.0, parse(page(100.0) + page(6.0, SDK.replace("ok", "timeout")), "a"))
    assert grown(readings, 0.0, 1.0) == 6.0


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
    now = (await desk.call("GET", "/v1/ticks")).json()["ticks"][-1]
    assert now["regions"]["eastus"]["provisioning"] < 0.2
    assert now["regions"]["eastus"]["identity"] == 1.0
    assert now["regions"]["westus"]["provisioning"] == 1.0
    assert now["backlog"] > 0


async def test_events_carry_their_words_and_moments_do_not_push_them_out(desk: Desk) -> None:
    await desk.call("PUT", "/v1/regions/eastus/traffic", {"mode": "drain"})
    await asyncio.sleep(60)
    history = desk.testbed.feed.history
    assert not [event for event in history if event["kind"] == "tick"]
    said = [event["said"] for event in history if event["kind"] == "action"]
    assert said == [{"by": "operators", "text": "drain East US", "tone": "", "row": ""}]


@pytest.mark.parametrize("name", sorted(FILES))
async def test_every_file_of_the_console_is_served_under_a_strict_policy(desk: Desk, name: str) -> None:
    reply = await desk.get(f"{CONTROLLER}/static/{name}")
    assert reply.status == 200
    assert reply.body == FILES[name]
    policy = reply.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy


@pytest.mark.parametrize("name", ["nothing.js", "../app.py", "%2e%2e/app.py", "vendor"])
async def test_nothing_else_is_served(desk: Desk, name: str) -> None:
    assert (await desk.get(f"{CONTROLLER}/static/{name}")).status == 404


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
