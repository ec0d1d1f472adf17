"""The dashboards: current, complete, and asking only for metrics that some part of the testbed exports."""

import ast
import colorsys
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from chaos.experiment.alerts import default_alerts
from chaos.faults.registry import CATALOGUE
from chaos.remediation.gate import DECISIONS
from chaos.remediation.metrics import OUTCOMES as OUTCOMES_OF_JOB
from chaos.scenarios.loader import load
from chaos.watch.command import DASHBOARDS as LINKED
from grafana import colors
from loadgen.metrics import RESULTS
from services.chassis.loop_lag import LAG_METRIC, STALL_METRIC
from services.clients.identity.call import OUTCOMES
from services.clients.identity.guard import BROKEN, BUDGET, THROTTLED
from services.provisioner.failures import CODES
from services.provisioner.metrics import TRY_BLOCKED, TRY_DONE, TRY_IDENTITY
from services.provisioner.state import BLOCKED, QUEUED, RUNNING
from services.router.metrics import SHED_REASONS

ROOT = Path(__file__).parents[3]
DASHBOARDS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "grafana/dashboards").glob("*.json"))
}
PANELS = [(name, panel) for name, dashboard in DASHBOARDS.items() for panel in dashboard["panels"]]
IDS = [f"{name}: {panel['title']}" for name, panel in PANELS]
UNITS = {"percentunit", "none", "short", "s", "reqps", "ops"}
METHODS = {"counter", "gauge", "histogram", "computed_gauge"}
KEYWORDS = {"by", "without", "on", "ignoring", "group_left", "group_right", "group", "Inf", "or", "and", "unless"}
KEYWORDS |= {"bool", "offset"}

ELSEWHERE = {"ALERTS", LAG_METRIC, f"{STALL_METRIC}_total"}
"""Named by Prometheus itself, or by a constant."""


@cache
def declared_metrics() -> set[str]:
    """First arguments of `metrics.counter(…)` and its like, in all sources."""
    found: set[str] = set()
    for folder in ("services", "loadgen", "chaos"):
        for path in (ROOT / folder).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            found |= {name for node in ast.walk(tree) for name in _metric_names(node)}
    return found


def _metric_names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Call) and _called(node) in METHODS:
        if node.args and isinstance(node.args[0], ast.Constant):
            kind, name = _called(node), str(node.args[0].value)
            yield from (
                (f"{name}{suffix}" for suffix in ("_bucket", "_sum", "_count")) if kind == "histogram" else (name,)
            )
    elif isinstance(node, ast.Dict):  # a table of gauges: {"name": ("documentation", read)}
        yield from (str(key.value) for key in node.keys if isinstance(key, ast.Constant))


def _called(call: ast.Call) -> str:
    return str(getattr(call.func, "attr", None) or getattr(call.func, "id", ""))


def metrics_in(expression: str) -> set[str]:
    """The metric names of a PromQL expression."""
    bare = re.sub(r'"[^"]*"', "", expression)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", bare)
    bare = re.sub(r"\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)", "", bare)
    names = re.findall(r"\b([A-Za-z_:][A-Za-z0-9_:]*)\b(?!\s*\()", bare)
    return set(names) - KEYWORDS


def expressions(dashboard: dict[str, Any]) -> Iterator[str]:
    yield from (target["expr"] for panel in dashboard["panels"] for target in panel["targets"])
    yield from (annotation["expr"] for annotation in dashboard["annotations"]["list"])
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "textbox":
            continue
        match = re.fullmatch(r"label_values\((\w+\{[^}]*\}), ?(\w+)\)", variable["definition"])
        assert match, variable["definition"]
        yield match[1]


def test_the_committed_dashboards_are_what_build_writes() -> None:
    done = subprocess.run([sys.executable, "-m", "grafana.build", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_four_dashboards_are_there() -> None:
    assert set(DASHBOARDS) == {"incident", "region", "policies", "chaos"}
    assert len({dashboard["uid"] for dashboard in DASHBOARDS.values()}) == 4


@pytest.mark.parametrize(("name", "panel"), PANELS, ids=IDS)
def test_every_panel_has_title_unit_and_datasource(name: str, panel: dict[str, Any]) -> None:
    config = panel["fieldConfig"]
    units = [p["value"] for rule in config["overrides"] for p in rule["properties"] if p["id"] == "unit"]
    if panel["type"] == "table":  # a unit for the whole table would be applied to its texts too
        assert "unit" not in config["defaults"]
    else:
        units.append(config["defaults"]["unit"])
    assert panel["title"]
    assert all(unit in UNITS or unit.startswith(("time:", "suffix:")) for unit in units)
    assert panel["datasource"] == {"type": "prometheus", "uid": "prometheus"}
    assert panel["targets"]
    for target in panel["targets"]:
        assert target["datasource"] == panel["datasource"]
        percentile = panel["type"] == "timeseries" and "histogram_quantile(" in target["expr"]
        assert target.get("exemplar", False) == percentile
        assert target["legendFormat"]


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_metric_is_exported_by_somebody(name: str) -> None:
    known = declared_metrics() | ELSEWHERE
    used = {metric for expression in expressions(DASHBOARDS[name]) for metric in metrics_in(expression)}
    assert used
    assert used <= known, f"nobody exports {sorted(used - known)}"


def test_the_metric_finder_sees_names_and_nothing_else() -> None:
    expression = 'sum by (region, x) (rate(a_total{region="$region", b=~"c|d"}[5s])) / (clamp_min(b:c, 0) > 0 or 0 * e)'
    assert metrics_in(expression) == {"a_total", "b:c", "e"}


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_selector_asks_for_the_chosen_run(name: str) -> None:
    """The testbed's series have no label `run`, those of a loaded run have one: they must not be added up."""
    for expression in expressions(DASHBOARDS[name]):
        for metric in metrics_in(expression):
            selectors = re.findall(rf"\b{metric}\b(.[^}}]*.?)", expression)
            assert selectors
            assert all(re.fullmatch(r'\{([^{}]*, )?run="\$run"\}', found) for found in selectors), (metric, expression)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_a_dashboard_opens_with_the_testbed_and_keeps_the_chosen_run(name: str) -> None:
    field = DASHBOARDS[name]["templating"]["list"][0]
    assert (field["name"], field["type"], field["current"]["value"]) == ("run", "textbox", "")
    assert all(link["includeVars"] for link in DASHBOARDS[name]["links"])


def test_the_links_of_aftershock_watch_are_those_of_the_dashboards() -> None:
    assert {dashboard["uid"] for dashboard in DASHBOARDS.values()} == set(LINKED)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_do_not_overlap_and_fill_the_width(name: str) -> None:
    cells: set[tuple[int, int]] = set()
    for panel in DASHBOARDS[name]["panels"]:
        at = panel["gridPos"]
        mine = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & mine, panel["title"]
        cells |= mine
    assert len(cells) == 24 * (max(y for _, y in cells) + 1)


def test_the_wall_screen_fits_without_scrolling_and_a_laptop_shows_what_matters() -> None:
    """A grid row is 38 pixels; 26 of them fit 1080, 17 fit 768."""
    panels = DASHBOARDS["incident"]["panels"]
    assert max(_bottom(panel) for panel in panels) <= 26
    first = " ".join(panel["title"].lower() for panel in panels if _bottom(panel) <= 17)
    for wanted in (
        "clock",
        "service state",
        "last operator action",
        "provisioning success",
        "identity success",
        "attempts per operation",
        "provisioning backlog",
        "pages firing",
        "success by region",
        "firing alerts",
        "offered load, goodput, wasted work",
    ):
        assert wanted in first, wanted


def test_the_runbook_names_panels_that_exist() -> None:
    text = (ROOT / "docs/runbook.md").read_text(encoding="utf-8")
    named = {" ".join(title.split()) for title in re.findall(r"(?<!\*)\*([A-Z][^*]+)\*(?!\*)", text)}
    assert named
    assert named <= {panel["title"] for _, panel in PANELS}


def _bottom(panel: dict[str, Any]) -> int:
    return int(panel["gridPos"]["y"] + panel["gridPos"]["h"])


@pytest.mark.parametrize("name", DASHBOARDS)
def test_actions_faults_and_stalls_are_marked_everywhere_and_alerts_over_nothing(name: str) -> None:
    dashboard = DASHBOARDS[name]
    assert [mark["name"] for mark in dashboard["annotations"]["list"]] == ["Actions", "Faults", "Stalls"]
    assert not [mark for mark in dashboard["annotations"]["list"] if "ALERTS" in mark["expr"]]
    assert dashboard["timezone"] == "utc"


@pytest.mark.parametrize("name", DASHBOARDS)
def test_it_refreshes_by_itself(name: str) -> None:
    """Grafana refreshes at no interval that its picker does not offer."""
    dashboard = DASHBOARDS[name]
    assert dashboard["refresh"] == "1s"
    assert dashboard["refresh"] in dashboard["timepicker"]["refresh_intervals"]


def test_missing_data_is_never_green() -> None:
    """A panel without data takes the colour below its first threshold, and what its mappings say of null."""
    for name, panel in PANELS:
        defaults, where = panel["fieldConfig"]["defaults"], f"{name}: {panel['title']}"
        if panel["type"] in ("stat", "bargauge"):
            assert defaults["thresholds"]["steps"][0]["color"] == colors.GREY, where
        for mapping in defaults.get("mappings", ()):
            if mapping["type"] == "special":
                assert mapping["options"]["result"]["color"] == colors.GREY, where


def test_a_line_has_its_own_colour_or_a_shade_of_grey() -> None:
    """A palette that counts through would paint failures green."""
    for name, panel in PANELS:
        if panel["type"] == "timeseries":
            default = panel["fieldConfig"]["defaults"]["color"]
            assert default == {"mode": "shades", "fixedColor": colors.GREY}, panel["title"]
            assert _drawn(panel), f"{name}: {panel['title']}"


def test_no_size_of_text_is_fixed() -> None:
    """A fixed one is clipped on a smaller screen."""
    assert not [panel["title"] for _, panel in PANELS if "text" in panel["options"]]


def _drawn(panel: dict[str, Any]) -> dict[str, str]:
    """Colours by legend."""
    return {
        rule["matcher"]["options"]: rule["properties"][0]["value"]["fixedColor"]
        for rule in panel["fieldConfig"]["overrides"]
        if rule["properties"][0]["id"] == "color"
    }


@pytest.mark.parametrize("values", [colors.REGIONS, colors.SERVICES, colors.LAYERS, colors.PERCENTILES, colors.FAULTS])
def test_what_is_neither_good_nor_bad_is_outside_red_yellow_and_green(values: colors.Colors) -> None:
    """As hues: 70° to 170° are green, 340° over red and orange to 70° yellow; grey and white have none."""
    for name, color in values.items():
        hue, saturation = _hue(color)
        assert saturation < 0.25 or 175 <= hue <= 335, f"{name} {color}: hue {hue:.0f}"
    assert len(set(values.values())) == len(values)


def _hue(color: str) -> tuple[float, float]:
    hue, _, saturation = colorsys.rgb_to_hls(*(int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)))
    return hue * 360, saturation


def test_every_name_that_a_metric_can_carry_has_its_colour() -> None:
    scenarios = [load(name) for name in ("azure-fnj8-vqz", "azure-fnj8-vqz-short", "calm-day")]
    assert {region.name for scenario in scenarios for region in scenario.regions} <= set(colors.REGIONS)
    assert set(OUTCOMES) == set(colors.OUTCOMES)
    assert set(RESULTS) == set(colors.RESULTS)
    assert {f"{verdict}: {reason}" for verdict, reason in DECISIONS} == set(colors.GATE)
    assert set(CATALOGUE) == set(colors.FAULTS)
    assert set(SHED_REASONS) == set(colors.SHED_REASONS)
    assert {BROKEN, THROTTLED, BUDGET} <= set(colors.HELD_BACK)
    assert {rule.name for rule in default_alerts()} == set(colors.ALERTS)
    assert set(OUTCOMES_OF_JOB) == set(colors.ACCOUNTS)
    assert {TRY_DONE, TRY_BLOCKED, TRY_IDENTITY} == set(colors.TRIES)
    assert {QUEUED, BLOCKED, RUNNING} == set(colors.JOB_STATES)
    assert {CODES["denied"], CODES["repository"]} == set(colors.EXTENSION_ERRORS)


def test_good_results_are_green_and_failures_are_not() -> None:
    good = {"ok", "success", "useful", "done", "proceed: healthy", "200"}
    for values in (colors.OUTCOMES, colors.RESULTS, colors.WORK, colors.TRIES, colors.GATE):
        assert {name for name, color in values.items() if color == colors.GREEN} <= good
    assert colors.GATE["proceed: no_data"] == colors.RED
