"""The dashboards: current, complete, and asking only for metrics that some part of the testbed exports."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
DASHBOARDS = {
    path.stem: json.loads(path.read_text(encoding="utf-8"))
    for path in sorted((ROOT / "grafana/dashboards").glob("*.json"))
}
PANELS = [(name, panel) for name, dashboard in DASHBOARDS.items() for panel in dashboard["panels"]]
IDS = [f"{name}: {panel['title']}" for name, panel in PANELS]
UNITS = {"percentunit", "none", "short", "s", "reqps", "ops"}
METHODS = {"counter", "gauge", "histogram", "computed_gauge"}
KEYWORDS = {"by", "without", "on", "ignoring", "group_left", "group_right", "or", "and", "unless", "bool", "offset"}

PROMETHEUS = {"ALERTS"}


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
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in METHODS:
        if node.args and isinstance(node.args[0], ast.Constant):
            kind, name = node.func.attr, str(node.args[0].value)
            yield from (
                (f"{name}{suffix}" for suffix in ("_bucket", "_sum", "_count")) if kind == "histogram" else (name,)
            )
    elif isinstance(node, ast.Dict):  # a table of gauges: {"name": ("documentation", read)}
        yield from (str(key.value) for key in node.keys if isinstance(key, ast.Constant))


def metrics_in(expression: str) -> set[str]:
    """The metric names of a PromQL expression."""
    bare = re.sub(r'"[^"]*"', "", expression)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", bare)
    bare = re.sub(r"\b(by|without|on|ignoring)\s*\([^)]*\)", "", bare)
    names = re.findall(r"\b([A-Za-z_:][A-Za-z0-9_:]*)\b(?!\s*\()", bare)
    return set(names) - KEYWORDS


def expressions(dashboard: dict[str, Any]) -> Iterator[str]:
    yield from (target["expr"] for panel in dashboard["panels"] for target in panel["targets"])
    yield from (annotation["expr"] for annotation in dashboard["annotations"]["list"])
    for variable in dashboard["templating"]["list"]:
        match = re.fullmatch(r"label_values\((\w+), ?(\w+)\)", variable["definition"])
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
    unit = panel["fieldConfig"]["defaults"]["unit"]
    assert panel["title"]
    assert unit in UNITS or unit.startswith("time:")
    assert panel["datasource"] == {"type": "prometheus", "uid": "prometheus"}
    assert panel["targets"]
    for target in panel["targets"]:
        assert target["datasource"] == panel["datasource"]
        assert target["legendFormat"] or panel["type"] == "table"


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_metric_is_exported_by_somebody(name: str) -> None:
    known = declared_metrics() | PROMETHEUS
    used = {metric for expression in expressions(DASHBOARDS[name]) for metric in metrics_in(expression)}
    assert used
    assert used <= known, f"nobody exports {sorted(used - known)}"


def test_the_metric_finder_sees_names_and_nothing_else() -> None:
    expression = 'sum by (region, x) (rate(a_total{region="$region", b=~"c|d"}[5s])) / (clamp_min(b:c, 0) > 0 or 0 * e)'
    assert metrics_in(expression) == {"a_total", "b:c", "e"}


@pytest.mark.parametrize("name", DASHBOARDS)
def test_panels_do_not_overlap_and_fill_the_width(name: str) -> None:
    cells: set[tuple[int, int]] = set()
    for panel in DASHBOARDS[name]["panels"]:
        at = panel["gridPos"]
        mine = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & mine, panel["title"]
        cells |= mine
    assert len(cells) == 24 * (max(y for _, y in cells) + 1)


def test_the_wall_screen_fits_without_scrolling() -> None:
    panels = DASHBOARDS["incident"]["panels"]
    assert max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels) <= 24
    titles = " ".join(panel["title"].lower() for panel in panels)
    for wanted in ("clock", "phase", "success", "amplification", "offered", "good", "wasted", "backlog", "nodes up"):
        assert wanted in titles, wanted


@pytest.mark.parametrize("name", DASHBOARDS)
def test_actions_faults_and_alerts_are_marked_everywhere(name: str) -> None:
    marks = [annotation["name"] for annotation in DASHBOARDS[name]["annotations"]["list"]]
    assert marks == ["Actions", "Faults", "Alerts"]
    assert DASHBOARDS[name]["timezone"] == "utc"
    assert DASHBOARDS[name]["refresh"] == "1s"
