"""Charts drawn with matplotlib, with colours set by the page.

Every colour is a placeholder that becomes a CSS variable, so that one drawing works in light, dark and print. All
charts have the same time axis and margins, so that simultaneous events are aligned.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from chaos.record.series import Array
from chaos.report.words import IncidentCalendar

COLOURS = {
    "ink": "#010101",
    "faint": "#020202",
    "line": "#030303",
    "east": "#040404",
    "west": "#050505",
    "other": "#060606",
    "good": "#070707",
    "bad": "#080808",
    "accent": "#090909",
}
WIDTH_IN, PLOT_IN, BELOW_IN, ABOVE_IN = 11.0, 1.3, 0.26, 0.16
LEFT, RIGHT = 0.085, 0.985
POINTS_PER_IN = 72
LABEL_SIZE, CHARACTER = 7.2, 0.56
LEVEL_IN = 0.125
TICKS_MAX = 14
STEPS_S = (5, 10, 15, 30, 60, 120, 240, 480)
STYLE = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.edgecolor": COLOURS["line"],
    "axes.labelcolor": COLOURS["faint"],
    "text.color": COLOURS["ink"],
    "xtick.color": COLOURS["faint"],
    "ytick.color": COLOURS["faint"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": COLOURS["line"],
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "legend.borderaxespad": 0.1,
}

Curve = tuple[Array, Array]
Paint = Callable[[Axes], None]
Mark = tuple[float, str]


@dataclass(frozen=True)
class Chart:
    """A drawing with its title and one sentence on how to read it."""

    key: str
    title: str
    reading: str
    svg: str


class Canvas:
    """Draws charts over one time span. `marks` are the operator actions shown in every chart."""

    def __init__(self, start: float, end: float, clock: IncidentCalendar, marks: Sequence[Mark]) -> None:
        self.start, self.end = start, end
        self._clock = clock
        self._marks = marks

    def chart(
        self,
        key: str,
        title: str,
        reading: str,
        paint: Paint,
        *,
        height_in: float = PLOT_IN,
        marks: Literal["named", "numbered", "none"] = "numbered",
        grid: bool = True,
    ) -> Chart:
        marked = self._marks if marks == "named" else [(t, text.partition(" ")[0]) for t, text in self._marks]
        shown = [] if marks == "none" else marked
        levels = self.levels(shown)
        above = ABOVE_IN + LEVEL_IN * max(levels, default=0)
        total = height_in + above + BELOW_IN
        with mpl.rc_context({**STYLE, "svg.hashsalt": key}):
            figure = Figure(figsize=(WIDTH_IN, total))
            axes = figure.add_axes((LEFT, BELOW_IN / total, RIGHT - LEFT, height_in / total))
            self._time_axis(axes, grid)
            paint(axes)
            for (t, text), level in zip(shown, levels, strict=True):
                self._mark(axes, t, text, level)
            return Chart(key, title, reading, svg_of(figure, title))

    def levels(self, labels: Sequence[Mark], *, centred: bool = False) -> list[int]:
        """The line on which each label is placed, so that labels do not overlap."""
        scale = (self.end - self.start) / (WIDTH_IN * (RIGHT - LEFT) * POINTS_PER_IN)
        taken: list[float] = []
        found = []
        for t, text in labels:
            width = (len(text) + 1.0) * LABEL_SIZE * CHARACTER * scale
            left = t - width / 2 if centred else t
            level = next((n for n, right in enumerate(taken) if right <= left), len(taken))
            if level == len(taken):
                taken.append(0.0)
            taken[level] = left + width
            found.append(level)
        return found

    def _time_axis(self, axes: Axes, grid: bool) -> None:
        axes.set_xlim(self.start, self.end)
        ticks = self._ticks()
        axes.set_xticks(ticks, [self._clock.hour(t) for t in ticks])
        axes.tick_params(length=2.5, width=0.6)
        axes.set_axisbelow(True)
        if grid:
            axes.grid(True, axis="y")

    def _ticks(self) -> list[float]:
        """Round incident times, at most `TICKS_MAX`."""
        step = next((s for s in STEPS_S if (self.end - self.start) / s <= TICKS_MAX), 960)
        before = self._clock.midnight_s()
        first = np.ceil((self.start + before) / step) * step - before
        return [float(t) for t in np.arange(first, self.end + 0.1, step)]

    def _mark(self, axes: Axes, t: float, text: str, level: int) -> None:
        axes.axvline(t, color=COLOURS["accent"], linewidth=0.8, linestyle=(0, (2, 2)), alpha=0.8, zorder=4)
        axes.annotate(
            text,
            (t, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(0.5, 2.5 + level * LEVEL_IN * POINTS_PER_IN),
            textcoords="offset points",
            fontsize=LABEL_SIZE,
            color=COLOURS["accent"],
            annotation_clip=False,
        )


def line(axes: Axes, curve: Curve, colour: str, label: str, **style: Any) -> None:
    axes.plot(curve[0], curve[1], color=COLOURS[colour], label=label, **style)


def area(axes: Axes, times: Array, rows: Sequence[Array], colours: Sequence[str], labels: Sequence[str]) -> None:
    hues = [COLOURS[colour] for colour in colours]
    stacked = [np.nan_to_num(row) for row in rows]
    axes.stackplot(times, stacked, colors=hues, labels=labels, alpha=0.72, linewidth=0)
    axes.set_ylim(bottom=0)


def shares(axes: Axes) -> None:
    """A y axis from 0 to 100 %."""
    axes.set_ylim(-0.03, 1.08)
    axes.set_yticks([0, 0.5, 1], ["0", "50 %", "100 %"])


def svg_of(figure: Figure, title: str) -> str:
    """The figure as an SVG element, drawn in the style in force."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return inline(buffer.getvalue(), title)


def inline(svg: str, title: str) -> str:
    """The SVG for inlining: without XML header, with CSS variables for colours and a name for screen readers.

    Unreferenced ids are removed: the drawings share one page, and matplotlib uses the same ids in all of them.
    """
    svg = svg[svg.index("<svg") :]
    for name, placeholder in COLOURS.items():
        svg = svg.replace(placeholder, f"var(--{name})")
    head, rest = svg.split(">", 1)
    head = re.sub(r' (?:width|height)="[^"]*"', "", head)
    rest = re.sub(r"<metadata>.*?</metadata>", "", rest, flags=re.DOTALL)
    rest = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font: \1px var(--sans)", rest)
    used = set(re.findall(r"#([\w.-]+)", rest))
    rest = re.sub(r' id="([^"]*)"', lambda found: found.group(0) if found.group(1) in used else "", rest)
    return head.replace("<svg", f'<svg role="img" aria-label="{title}"', 1) + ">" + rest
