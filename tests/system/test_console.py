"""The console in a real browser, over the real controller; the testbed behind it is in virtual time (`console_world`).

Chromium comes from the machine: CHROMIUM names it, or it is on the PATH.
"""

import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.system.console_world import TOKENS, Front, console_world

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WITHIN_MS = 60_000
RUN_SPEED = 25.0
REFUSED = re.compile(r"the server responded with a status of (401|403|404|409|422)")
"""Chromium's own words for an answer that the page expects and explains; there is no way to silence them."""

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: set CHROMIUM or install Debian's chromium"),
    pytest.mark.timeout(600),
]


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    with console_world(tmp_path_factory.mktemp("runs")) as made:
        yield made


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield made
        made.close()


Open = Callable[..., Page]


@pytest.fixture
def opened(front: Front, browser: Browser) -> Iterator[Open]:
    """Opens the console; at the end of the test it must have said nothing on the browser's console but refusals."""
    complaints: list[str] = []
    pages: list[Page] = []

    def open_console(token: str = TOKENS.operate, width: int = 1366, height: int = 768) -> Page:
        page = browser.new_context(viewport={"width": width, "height": height}).new_page()
        page.set_default_timeout(WITHIN_MS)
        page.on("console", lambda said: complaints.append(said.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{front.url}/" + (f"#token={token}" if token else ""))
        pages.append(page)
        return page

    front.pace(5.0)
    yield open_console
    for page in pages:
        page.context.close()
    assert [text for text in complaints if not REFUSED.search(text)] == []


def row(page: Page, region: str) -> Any:
    return page.get_by_role("row").filter(has=page.get_by_role("rowheader", name=region, exact=True))


def back_to_calm(page: Page) -> None:
    page.locator("#calm").click()  # beside a banner there are two of that name
    expect(page.get_by_role("log")).to_contain_text("reset the testbed", timeout=WITHIN_MS)


def eventually(probe: Callable[[], bool], within_s: float, what: str) -> None:
    end = time.monotonic() + within_s
    while not probe():
        assert time.monotonic() < end, f"not within {within_s} s: {what}"
        time.sleep(0.2)


def share(page: Page, region: str, side: str) -> int:
    """The share of a region's row, in percent; −1 while there is none."""
    shown = row(page, region).locator(f'td[data-label="{side}"] b').inner_text()
    return int(shown.split()[0]) if shown != "–" else -1


def test_a_wrong_token_is_reported_and_a_valid_one_opens_the_console(opened: Open) -> None:
    page = opened("wrong")
    dialog = page.get_by_role("dialog", name="Token")
    expect(dialog.get_by_role("alert")).to_have_text("This token is not valid.")
    field = dialog.get_by_label("token", exact=True)
    expect(field).to_be_focused()
    field.fill(TOKENS.read)
    page.keyboard.press("Enter")
    expect(row(page, "East US")).to_be_visible()
    expect(page.locator("#link")).to_have_text("live")


def test_a_read_token_may_view_and_is_told_what_actions_need(opened: Open) -> None:
    page = opened(TOKENS.read)
    row(page, "East US").get_by_role("button", name="+1 node").click()
    expect(page.locator("#say")).to_contain_text("requires the operate token")


def test_the_token_leaves_the_address_bar(opened: Open) -> None:
    page = opened()
    expect(row(page, "East US")).to_be_visible()
    assert "#" not in page.url


def test_a_region_that_is_flipped_shows_that_provisioning_fails_and_comes_back(opened: Open) -> None:
    page = opened()
    east = row(page, "East US")
    east.get_by_role("button", name="Access off").click()
    expect(east).to_contain_text("4 of 4 private")
    expect(page.get_by_role("log")).to_contain_text("make 4 accounts private")
    eventually(lambda: 0 <= share(page, "East US", "provisioning") < 50, 60, "provisioning fails in East US")
    assert share(page, "East US", "identity") >= 95
    assert share(page, "North Europe", "provisioning") >= 95
    east.get_by_role("button", name="Access on").click()
    expect(east).to_contain_text("all public")
    back_to_calm(page)
    eventually(lambda: share(page, "East US", "provisioning") >= 95, 60, "provisioning is back")


def test_a_fault_is_tried_dry_injected_listed_and_ended(opened: Open) -> None:
    page = opened()
    form = page.locator("#fault")
    form.get_by_label("kind").select_option("http_error")
    form.get_by_label("service").select_option("identity")
    form.get_by_label("region").select_option("northeurope")
    form.get_by_label("status").fill("503")
    form.get_by_label("lease, s").fill("600")
    form.get_by_role("button", name="Dry run").click()
    expect(page.locator("#fault-said")).to_contain_text("Would affect 2: identity-northeurope-1")
    expect(page.locator("#no-faults")).to_be_visible()
    form.get_by_role("button", name="Inject").click()
    end = page.get_by_role("button", name=re.compile(r"^End f\d+, http_error$"))
    expect(end).to_be_visible()
    expect(page.locator("#faults")).to_contain_text("identity northeurope")
    eventually(lambda: 0 <= share(page, "North Europe", "identity") < 50, 60, "identity fails in North Europe")
    end.click()
    expect(end).to_have_count(0)
    expect(page.get_by_role("log")).to_contain_text(re.compile(r"f\d+ ended"))
    back_to_calm(page)


def test_an_invalid_parameter_is_reported_with_its_field(opened: Open) -> None:
    page = opened()
    form = page.locator("#fault")
    form.get_by_label("kind").select_option("partition")
    form.get_by_label("peer").fill("identity-eastus-1")
    form.get_by_label("instance", exact=True).fill("nobody")
    form.get_by_role("button", name="Inject").click()
    expect(page.locator("#say")).to_contain_text("known instances: ")


@pytest.mark.parametrize("kind", ["latency", "http_error", "fail_first", "throttle", "cpu_limit", "partition", "crash"])
def test_every_kind_of_fault_has_the_fields_of_its_parameters(opened: Open, front: Front, kind: str) -> None:
    page = opened()
    page.locator("#fault").get_by_label("kind").select_option(kind)
    catalogue = page.evaluate(
        "token => fetch('/v1/faults/catalogue', {headers: {Authorization: 'Bearer ' + token}}).then(r => r.json())",
        TOKENS.read,
    )
    described = next(fault for fault in catalogue["faults"] if fault["kind"] == kind)
    names = [field.get_attribute("data-parameter") for field in page.locator("[data-parameter]").all()]
    assert names == list(described["parameters"].get("properties", {}))


def test_a_mitigation_is_named_by_what_it_does_and_switched(opened: Open) -> None:
    page = opened()
    switch = page.get_by_role("switch", name="Bounded queues, fair to tenants")
    expect(switch).to_have_attribute("aria-checked", "false")
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "true")
    page.get_by_text("Bounded queues, fair to tenants (R1)").click()
    expect(page.get_by_text("rejects requests that would wait longer")).to_be_visible()
    expect(page.get_by_role("switch", name="Faster rollback")).to_be_disabled()
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "false")


def test_the_load_of_the_idle_testbed_is_chosen_and_kept(opened: Open) -> None:
    page = opened()
    load = page.get_by_label("load of the idle testbed")
    expect(load).to_have_value("base")
    load.select_option("rest")
    expect(page.get_by_role("log")).to_contain_text("rest")
    page.reload()
    load = page.get_by_label("load of the idle testbed")
    expect(load).to_have_value("rest")
    load.select_option("base")
    page.reload()
    expect(page.get_by_label("load of the idle testbed")).to_have_value("base")


def test_a_scenario_is_started_watched_and_aborted(opened: Open, front: Front) -> None:
    page = opened(width=1920, height=1080)
    # by role: the text of its label is that of its options too, once they are there
    page.get_by_role("combobox", name="scenario", exact=True).select_option("azure-fnj8-vqz-short")
    front.pace(RUN_SPEED, 45.0)
    page.get_by_role("button", name="Start", exact=True).click()
    expect(page.locator("#clock")).to_have_text(re.compile(r"^τ 4[5-9] s$"), timeout=400_000)
    expect(page.locator("#phase")).to_have_text("T07 cancel the policy job")
    expect(page.locator("#job")).to_contain_text("Canceled")
    assert share(page, "East US", "provisioning") < 50
    assert share(page, "East US", "identity") >= 95
    assert int(page.locator("#f-backlog").inner_text()) > 50
    log = page.get_by_role("log")
    for words in (
        "T01 start the policy job",
        "health gate in West US: proceed (no data",
        "firing: East US",
        "private in",
    ):
        expect(log).to_contain_text(words)
    assert page.locator("#chart-work canvas").bounding_box()
    page.get_by_role("button", name="Abort").click()
    front.pace(RUN_SPEED)
    expect(page.locator("#clock")).to_have_text("no run", timeout=400_000)
    expect(page.locator("#state")).to_contain_text("aborted")
    expect(page.locator("#runs")).to_contain_text("not judged")


def test_a_reload_keeps_the_curves_and_the_timeline(opened: Open) -> None:
    page = opened()
    expect(page.get_by_role("log").locator("li").first).to_be_visible()
    path = row(page, "East US").locator("svg path").first
    eventually(lambda: len(path.get_attribute("d") or "") > 100, 60, "a curve")
    page.reload()
    expect(page.get_by_role("log").locator("li").first).to_be_visible()
    eventually(lambda: len(path.get_attribute("d") or "") > 100, 5, "the same curve after a reload")


def test_everything_can_be_reached_and_done_by_keyboard(opened: Open) -> None:
    page = opened()
    expect(row(page, "East US")).to_be_visible()
    expect(page.get_by_role("switch").first).to_be_visible()
    wanted = page.evaluate(
        "[...document.querySelectorAll('main button:enabled, main select, main input, main summary')]"
        ".filter(e => e.checkVisibility()).length"
    )
    reached: list[str] = []
    for _ in range(wanted + 10):
        page.keyboard.press("Tab")
        inside = (
            "document.activeElement.closest('main') && document.activeElement.matches('button,select,input,summary')"
        )
        if page.evaluate(inside):
            reached.append(page.evaluate("document.activeElement.outerHTML"))
    assert len(reached) >= wanted
    switch = page.get_by_role("switch", name="Token cache and single flight")
    switch.focus()
    page.keyboard.press("Space")
    expect(switch).to_have_attribute("aria-checked", "true")
    expect(switch).to_be_focused()
    page.keyboard.press("Space")
    expect(switch).to_have_attribute("aria-checked", "false")


def test_a_button_keeps_the_focus_while_the_figures_change(opened: Open) -> None:
    page = opened()
    drain = row(page, "North Europe").get_by_role("button", name="Drain")
    drain.focus()
    page.wait_for_timeout(5000)
    expect(drain).to_be_focused()


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1366, 768), (1920, 1080)])
def test_nothing_scrolls_sideways(opened: Open, width: int, height: int) -> None:
    page = opened(width=width, height=height)
    expect(row(page, "East US")).to_be_visible()
    expect(page.get_by_role("switch").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize(("width", "scheme"), [(1366, "light"), (1366, "dark"), (390, "light")])
def test_axe_reports_no_accessibility_violation(opened: Open, width: int, scheme: Any) -> None:
    page = opened(width=width)
    page.emulate_media(color_scheme=scheme)
    expect(page.get_by_role("switch").first).to_be_visible()
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()[:4000]


def test_the_page_allows_no_script_but_its_own(opened: Open, front: Front) -> None:
    page = opened()
    policy = page.evaluate("fetch('/').then(r => r.headers.get('Content-Security-Policy'))")
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy


def test_no_file_of_the_console_writes_markup() -> None:
    static = Path(__file__).parents[2] / "chaos" / "controller" / "static"
    for path in static.glob("*.js"):
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write", path.read_text()), path.name
