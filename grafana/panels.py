"""The kinds of panel used by the dashboards, and their layout in rows.

Every panel has a unit and a datasource, which the tests check. Missing data has its own colour: thresholds start at 0,
and lower values and missing data are grey.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from grafana.colors import DARK, GREY, Colors
from grafana.runs import of_run, run_variable

DATASOURCE = {"type": "prometheus", "uid": "prometheus"}
WIDTH = 24
NO_DATA = "no data"
SOFT_MAX = {"s": 0.1}
"""Minimum range of an axis by unit: otherwise lines at 0 are drawn on an axis from 0 to 100."""
REFRESH = ["1s", "5s", "10s", "30s", "1m", "5m"]

Panel = dict[str, Any]
Queries = Mapping[str, str]
"""PromQL expressions by the legend of their series."""
PanelRow = tuple[int, Sequence[int], Sequence[Panel]]


def steps(*rest: tuple[float, str], below: str = GREY) -> dict[str, Any]:
    """Thresholds: each value with the colour from there on; `below` is also the colour of missing data."""
    return {
        "mode": "absolute",
        "steps": [{"color": below, "value": None}, *({"color": color, "value": value} for value, color in rest)],
    }


def words(texts: Mapping[float, tuple[str, str]]) -> list[dict[str, Any]]:
    """Value mappings: text and colour for each number; with an empty colour the series keeps its own."""
    options = {
        f"{value:g}": {"text": text, **({"color": color} if color else {}), "index": index}
        for index, (value, (text, color)) in enumerate(texts.items())
    }
    return [{"type": "value", "options": options}, _missing(len(options))]


def spans(*parts: tuple[float, float, str, str]) -> list[dict[str, Any]]:
    """Value mappings: (from, to, text, colour) for each range."""
    found: list[dict[str, Any]] = [
        {
            "type": "range",
            "options": {"from": low, "to": high, "result": {"text": text, "color": color, "index": index}},
        }
        for index, (low, high, text, color) in enumerate(parts)
    ]
    return [*found, _missing(len(found))]


def _missing(index: int) -> dict[str, Any]:
    return {
        "type": "special",
        "options": {"match": "null+nan", "result": {"text": NO_DATA, "color": GREY, "index": index}},
    }


def _panel(kind: str, title: str, description: str, queries: Queries, instant: bool) -> Panel:
    targets = [
        {
            "refId": chr(ord("A") + number),
            "datasource": DATASOURCE,
            "expr": of_run(expression),
            "legendFormat": legend,
            "instant": instant,
            "range": not instant,
            "format": "table" if kind == "table" else "time_series",
            **({"exemplar": True} if kind == "timeseries" and "histogram_quantile(" in expression else {}),
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
    mappings: Sequence[Mapping[str, Any]] = (),
    decimals: int | None = None,
    show: str = "value",
    filled: bool = True,
    colors: Colors | None = None,
) -> Panel:
    """Single values, as large as the panel allows; with `show="name"` the name of the series."""
    defaults: dict[str, Any] = {
        "unit": unit,
        "thresholds": thresholds or steps((0, DARK)),
        "mappings": list(mappings),
        "noValue": NO_DATA,
        "color": {"mode": "thresholds"},
    }
    if decimals is not None:
        defaults["decimals"] = decimals
    return {
        **_panel("stat", title, description, queries, instant=True),
        "fieldConfig": {"defaults": defaults, "overrides": _overrides(colors or {})},
        "options": {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "colorMode": "background_solid" if filled else "none",
            "graphMode": "none",
            "justifyMode": "center",
            "textMode": show,
            "wideLayout": False,
        },
    }


def lines(
    title: str,
    queries: Queries,
    *,
    unit: str,
    colors: Colors,
    description: str = "",
    stacked: bool = False,
    top: float | None = None,
    bold: bool = False,
    thresholds: Mapping[str, Any] | None = None,
    log: bool = False,
) -> Panel:
    """A time series. `colors` sets the colour of each series by its legend; `thresholds` are drawn as lines."""
    custom: dict[str, Any] = {
        "drawStyle": "line",
        "lineInterpolation": "linear",
        "lineWidth": 1 if stacked else 3 if bold else 2,
        "fillOpacity": 55 if stacked else 0,
        "showPoints": "never",
        "spanNulls": 3000,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if thresholds else "off"},
        "scaleDistribution": {"type": "symlog", "log": 10, "linearThreshold": 1} if log else {"type": "linear"},
        "axisSoftMax": SOFT_MAX.get(unit, 1),
    }
    defaults: dict[str, Any] = {
        "unit": unit,
        "min": 0,
        "custom": custom,
        "color": {"mode": "shades", "fixedColor": GREY},
        "noValue": NO_DATA,
    }
    if top is not None:
        defaults["max"] = top
    if thresholds:
        defaults["thresholds"] = thresholds
    return {
        **_panel("timeseries", title, description, queries, instant=False),
        "fieldConfig": {"defaults": defaults, "overrides": _overrides(colors)},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
    }


def _overrides(colors: Colors) -> list[dict[str, Any]]:
    return [_fixed(legend, color) for legend, color in colors.items()]


def _fixed(legend: str, color: str) -> dict[str, Any]:
    return {
        "matcher": {"id": "byRegexp" if legend.startswith("/") else "byName", "options": legend},
        "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": color}}],
    }


def timeline(
    title: str,
    queries: Queries,
    *,
    unit: str,
    description: str = "",
    mappings: Sequence[Mapping[str, Any]] = (),
    colors: Colors | None = None,
    decimals: int = 0,
) -> Panel:
    """A state timeline: one row per series, one bar per period in one state."""
    defaults: dict[str, Any] = {
        "unit": unit,
        "decimals": decimals,
        "mappings": list(mappings),
        "thresholds": steps((0, DARK)),
        "color": {"mode": "thresholds"},
        "noValue": NO_DATA,
        "custom": {"lineWidth": 0, "fillOpacity": 85, "spanNulls": False},
    }
    return {
        **_panel("state-timeline", title, description, queries, instant=False),
        "fieldConfig": {"defaults": defaults, "overrides": _overrides(colors or {})},
        "options": {
            "mergeValues": True,
            "showValue": "auto",
            "alignValue": "left",
            "rowHeight": 0.86,
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False, "calcs": []},
            "tooltip": {"mode": "single", "sort": "none"},
        },
    }


def bars(
    title: str,
    queries: Queries,
    *,
    unit: str,
    thresholds: Mapping[str, Any],
    description: str = "",
    top: float | None = None,
) -> Panel:
    """One horizontal bar per series, with its current value."""
    defaults: dict[str, Any] = {
        "unit": unit,
        "min": 0,
        "thresholds": thresholds,
        "noValue": NO_DATA,
        "color": {"mode": "thresholds"},
    }
    if top is not None:
        defaults["max"] = top
    return {
        **_panel("bargauge", title, description, queries, instant=True),
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "orientation": "horizontal",
            "displayMode": "basic",
            "valueMode": "color",
            "showUnfilled": True,
            "namePlacement": "left",
            "sizing": "auto",
        },
    }


def table(
    title: str,
    queries: Queries,
    *,
    columns: Sequence[str],
    hide: Sequence[str] = (),
    rename: Mapping[str, str] | None = None,
    units: Mapping[str, str] | None = None,
    colors: Mapping[str, Colors] | None = None,
    widths: Mapping[str, int] | None = None,
    newest: str = "",
    description: str = "",
) -> Panel:
    """The latest values, with labels as columns in the order of `columns`; `rename` replaces the names of values.

    Units are set per column: a unit for the whole table would also be applied to text.
    """
    renamed = dict(rename or {})
    before = {new: old for old, new in renamed.items()}
    order = {before.get(name, name): number for number, name in enumerate(columns)}
    overrides = [
        {"matcher": {"id": "byName", "options": column}, "properties": properties}
        for column in columns
        if (properties := _column(column, units or {}, colors or {}, widths or {}))
    ]
    return {
        **_panel("table", title, description, queries, instant=True),
        "fieldConfig": {"defaults": {"custom": {"align": "left"}}, "overrides": overrides},
        "options": {
            "showHeader": True,
            "cellHeight": "sm",
            **({"sortBy": [{"displayName": newest, "desc": True}]} if newest else {}),
        },
        "transformations": [
            {"id": "merge", "options": {}},
            {
                "id": "organize",
                "options": {
                    "renameByName": renamed,
                    "indexByName": order,
                    "excludeByName": dict.fromkeys(("Time", *hide), True),
                },
            },
        ],
    }


def _column(
    column: str, units: Mapping[str, str], colors: Mapping[str, Colors], widths: Mapping[str, int]
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    if column in units:
        found.append({"id": "unit", "value": units[column]})
    if column in widths:
        found.append({"id": "custom.width", "value": widths[column]})
    if column in colors:
        options = {
            name: {"text": name, "color": color, "index": index}
            for index, (name, color) in enumerate(colors[column].items())
        }
        found += [
            {"id": "mappings", "value": [{"type": "value", "options": options}]},
            {"id": "custom.cellOptions", "value": {"type": "color-text"}},
        ]
    return found


def row(height: int, *panels: Panel, widths: Sequence[int] = ()) -> PanelRow:
    """Panels side by side, of equal width unless `widths` is given.

    Raises:
        ValueError: they do not fill the width.
    """
    widths = widths or [WIDTH // len(panels)] * len(panels)
    if sum(widths) != WIDTH or len(widths) != len(panels):
        raise ValueError(f"row of {[panel['title'] for panel in panels]}: widths {list(widths)} do not fill {WIDTH}")
    return height, widths, panels


def laid_out(rows: Sequence[PanelRow]) -> list[Panel]:
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


def annotation(name: str, expression: str, color: str, title: str, text: str) -> dict[str, Any]:
    """Marks on every time series. The expression's value is the time of the mark, in milliseconds."""
    return {
        "name": name,
        "datasource": DATASOURCE,
        "enable": True,
        "iconColor": color,
        "expr": of_run(expression),
        "step": "1s",
        "titleFormat": title,
        "textFormat": text,
        "useValueForTime": True,
    }


def variable(name: str, query: str, *, default: str) -> dict[str, Any]:
    """A drop-down filled by a query when the dashboard is opened."""
    return {
        "name": name,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"qryType": 1, "query": query, "refId": "PrometheusVariableQueryEditor-VariableQuery"},
        "definition": query,
        "refresh": 1,
        "sort": 1,
        "current": {"text": default, "value": default},
    }


def dashboard(
    uid: str,
    title: str,
    description: str,
    *rows: PanelRow,
    annotations: Sequence[Mapping[str, Any]] = (),
    variables: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """The complete dashboard document; it refreshes every second and uses UTC, like the report."""
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
        "timepicker": {"refresh_intervals": REFRESH},
        "graphTooltip": 1,
        "annotations": {"list": list(annotations)},
        "templating": {"list": [run_variable(), *variables]},
        "links": [
            {
                "title": "Aftershock",
                "type": "dashboards",
                "tags": ["aftershock"],
                "asDropdown": False,
                "keepTime": True,
                "includeVars": True,
            }
        ],
        "panels": laid_out(rows),
    }
