"""The few kinds of panel that the dashboards are made of, and how panels are laid out in rows.

Every panel states its unit and its datasource; the lint in the tests holds them to it.
"""

from collections.abc import Mapping, Sequence
from typing import Any

DATASOURCE = {"type": "prometheus", "uid": "prometheus"}
WIDTH = 24
BIG, NORMAL = 72, 40

Panel = dict[str, Any]
Queries = Mapping[str, str]
"""Expressions by the legend of their series."""
Row = tuple[int, Sequence[int], Sequence[Panel]]

GREEN, YELLOW, RED, BLUE, PURPLE, GREY = "green", "yellow", "red", "blue", "purple", "#8e8e8e"
OUTCOMES = {"ok": GREEN, "timeout": RED, "throttled": YELLOW, "error": PURPLE, "shed": GREY}


def steps(first: str, *rest: tuple[float, str]) -> dict[str, Any]:
    """Thresholds: the colour below all of them, then each value with its colour."""
    return {
        "mode": "absolute",
        "steps": [{"color": first, "value": None}, *({"color": color, "value": value} for value, color in rest)],
    }


def _panel(kind: str, title: str, description: str, queries: Queries, instant: bool) -> Panel:
    targets = [
        {
            "refId": chr(ord("A") + number),
            "datasource": DATASOURCE,
            "expr": expression,
            "legendFormat": legend,
            "instant": instant,
            "range": not instant,
            "format": "table" if kind == "table" else "time_series",
        }
        for number, (legend, expression) in enumerate(queries.items())
    ]
    return {"type": kind, "title": title, "description": description, "datasource": DATASOURCE, "targets": targets}


def stat(
    title: str,
    queries: Queries,
    *,
    unit: str,
    description: str = "",
    thresholds: Mapping[str, Any] | None = None,
    decimals: int | None = None,
    show: str = "value",
    size: int = BIG,
) -> Panel:
    """One big number, or with `show="name"` the name of the series."""
    defaults: dict[str, Any] = {"unit": unit, "thresholds": thresholds or steps(BLUE), "noValue": "–"}
    if decimals is not None:
        defaults["decimals"] = decimals
    return {
        **_panel("stat", title, description, queries, instant=True),
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "colorMode": "background",
            "graphMode": "none",
            "justifyMode": "center",
            "textMode": show,
            "text": {"titleSize": 18, "valueSize": size},
        },
    }


def lines(
    title: str,
    queries: Queries,
    *,
    unit: str,
    description: str = "",
    stacked: bool = False,
    top: float | None = None,
    bold: bool = False,
    thresholds: Mapping[str, Any] | None = None,
    colors: Mapping[str, str] | None = None,
) -> Panel:
    """A time series. `colors` fixes the colour of a series by its legend; `thresholds` draws lines."""
    custom: dict[str, Any] = {
        "drawStyle": "line",
        "lineInterpolation": "linear",
        "lineWidth": 3 if bold else 2,
        "fillOpacity": 30 if stacked else 8,
        "showPoints": "never",
        "spanNulls": 3000,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if thresholds else "off"},
    }
    defaults: dict[str, Any] = {"unit": unit, "min": 0, "custom": custom, "color": {"mode": "palette-classic"}}
    if top is not None:
        defaults["max"] = top
    if thresholds:
        defaults["thresholds"] = thresholds
    return {
        **_panel("timeseries", title, description, queries, instant=False),
        "fieldConfig": {"defaults": defaults, "overrides": [_fixed(*pair) for pair in (colors or {}).items()]},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
    }


def _fixed(legend: str, color: str) -> dict[str, Any]:
    return {
        "matcher": {"id": "byName", "options": legend},
        "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": color}}],
    }


def table(title: str, expression: str, *, unit: str, description: str = "", hide: Sequence[str] = ()) -> Panel:
    """The latest values with their labels as columns."""
    return {
        **_panel("table", title, description, {"": expression}, instant=True),
        "fieldConfig": {"defaults": {"unit": unit, "noValue": "none"}, "overrides": []},
        "options": {"showHeader": True, "cellHeight": "sm"},
        "transformations": [{"id": "organize", "options": {"excludeByName": dict.fromkeys(("Time", *hide), True)}}],
    }


def row(height: int, *panels: Panel, widths: Sequence[int] = ()) -> Row:
    """Panels side by side, of equal width unless widths are given.

    Raises:
        ValueError: when they do not fill the width.
    """
    widths = widths or [WIDTH // len(panels)] * len(panels)
    if sum(widths) != WIDTH or len(widths) != len(panels):
        raise ValueError(f"row of {[panel['title'] for panel in panels]}: widths {list(widths)} do not fill {WIDTH}")
    return height, widths, panels


def laid_out(rows: Sequence[Row]) -> list[Panel]:
    """The panels of the rows with their positions and ids."""
    panels: list[Panel] = []
    y = 0
    for height, widths, cells in rows:
        x = 0
        for width, panel in zip(widths, cells, strict=True):
            panels.append({"id": len(panels) + 1, **panel, "gridPos": {"x": x, "y": y, "w": width, "h": height}})
            x += width
        y += height
    return panels


def annotation(name: str, expression: str, color: str, title: str, text: str, *, value_is_time: bool) -> dict[str, Any]:
    """Marks on every time series. With `value_is_time` the value is the moment itself, in milliseconds."""
    return {
        "name": name,
        "datasource": DATASOURCE,
        "enable": True,
        "iconColor": color,
        "expr": expression,
        "step": "1s",
        "titleFormat": title,
        "textFormat": text,
        "useValueForTime": value_is_time,
    }


def variable(name: str, query: str, *, default: str) -> dict[str, Any]:
    """A drop-down filled by a query."""
    return {
        "name": name,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"qryType": 1, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "current": {"text": default, "value": default},
    }


def dashboard(
    uid: str,
    title: str,
    description: str,
    *rows: Row,
    annotations: Sequence[Mapping[str, Any]] = (),
    variables: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """The whole document as Grafana provisions it: refreshed every second, in UTC like the report."""
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["aftershock"],
        "schemaVersion": 41,
        "version": 1,
        "editable": False,
        "timezone": "utc",
        "time": {"from": "now-5m", "to": "now"},
        "refresh": "1s",
        "graphTooltip": 1,
        "annotations": {"list": list(annotations)},
        "templating": {"list": list(variables)},
        "links": [
            {"title": "Aftershock", "type": "dashboards", "tags": ["aftershock"], "asDropdown": False, "keepTime": True}
        ],
        "panels": laid_out(rows),
    }
