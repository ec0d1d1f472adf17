"""The map as one HTML page with a matplotlib chart."""

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from chaos.report.canvas import COLOURS, STYLE, svg_of
from chaos.studies.map import words
from chaos.studies.map.points import Map, MapCell, MapKind
from chaos.studies.page import page
from chaos.studies.words import span

FILLS: dict[MapKind, tuple[str, float]] = {
    "stable": (COLOURS["good"], 0.35),
    "vulnerable": (COLOURS["accent"], 0.35),
    "metastable": (COLOURS["bad"], 0.35),
    "overloaded": (COLOURS["bad"], 0.85),
    "unmeasured": (COLOURS["line"], 0.5),
}
CELL_IN, MARGIN_IN = (1.35, 0.62), (1.15, 0.62)


def render(one: Map) -> str:
    values = {
        "map": one,
        "headline": words.headline(one),
        "legend": words.legend(one),
        "picture": picture(one),
        "rules": (words.TIPPED, words.BACK),
        "meanings": words.MEANINGS,
        "say": words.cell,
        "command": words.map_command(one),
        "command_of": lambda at: words.point_command(one, at),
    }
    return page("map.html.j2", values)


def picture(one: Map) -> str:
    """The grid as an SVG element; the colour shows the class, the number the escape threshold."""
    across, down = len(one.x.values), len(one.y.values)
    width, height = MARGIN_IN[0] + CELL_IN[0] * across, MARGIN_IN[1] + CELL_IN[1] * down
    with mpl.rc_context({**STYLE, "svg.hashsalt": "map"}):
        figure = Figure(figsize=(width, height))
        left, bottom = MARGIN_IN[0] / width, MARGIN_IN[1] / height
        axes = figure.add_axes((left, bottom, 1 - left, 1 - bottom))
        axes.set_xlim(0, across)
        axes.set_ylim(0, down)
        axes.set_xticks([column + 0.5 for column in range(across)], one.x.values)
        axes.set_yticks([row + 0.5 for row in range(down)], one.y.values)
        axes.set_xlabel(one.x.label)
        axes.set_ylabel(one.y.label)
        axes.tick_params(length=0)
        for row, y in enumerate(one.y.values):
            for column, x in enumerate(one.x.values):
                cell = one.cell(x, y)
                if cell.kind is None:
                    continue
                colour, alpha = FILLS[cell.kind]
                field = Rectangle((column + 0.02, row + 0.03), 0.96, 0.94, color=colour, alpha=alpha, linewidth=0)
                axes.add_patch(field)
                axes.text(column + 0.5, row + 0.5, _caption(cell), ha="center", va="center", color=COLOURS["ink"])
        return svg_of(figure, f"Map of {one.x.label} against {one.y.label}")


def _caption(cell: MapCell) -> str:
    return f"{cell.kind}\n{span(cell.thresholds_s)} s" if cell.thresholds_s else str(cell.kind)
