"""The curves of a run as inline SVG, drawn by matplotlib in colours that the page decides.

Every colour here is a placeholder that becomes a CSS variable, so one drawing serves light, dark and paper. All charts
share one time axis and the same margins: what stands above each other happened together.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from chaos.claims.view import ATTEMPTS, EAST, PAIR, STARTED, WEST, WORK, View
from chaos.record import Of, trailing
from chaos.report.words import Clock
from loadgen.series import Array

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
SIZE_IN = (11.0, 1.75)
LEFT, RIGHT = 0.085, 0.985
ACTIONS = {
    "T06": "canary",
    "T07": "stop",
    "T08": "rollback",
    "T09": "restore East",
    "T12": "restore rest",
    "T13": "scale 1",
    "T14": "scale 2",
    "T16": "drain",
    "T17": "ramp",
}
HEAT = LinearSegmentedColormap.from_list(
    "success", [(0.78, 0.12, 0.12, 1.0), (0.95, 0.55, 0.15, 0.95), (0.98, 0.82, 0.35, 0.8), (0.2, 0.62, 0.5, 0.28)]
)
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
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": COLOURS["line"],
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
}


@dataclass(frozen=True)
class Chart:
    """A drawing with its title and one sentence on how to read it."""

    key: str
    title: str
    reading: str
    svg: str


class Charts:
    """Draws the charts of one record."""

    def __init__(self, view: View, clock: Clock) -> None:
        self._view = view
        self._record = view.record
        self._clock = clock
        self._times = view.record.series.times
        self._actions = _actions(view)

    def all(self) -> list[Chart]:
        """In reading order."""
        if len(self._times) < 2:
            return []
        drawn = (
            self._timeline(),
            self._rates(),
            self._amplification(),
            self._success(),
            self._heat(),
            self._work(),
            self._queue(),
            self._busy(),
            self._nodes(),
            self._backlog(),
        )
        return [chart for chart in drawn if chart is not None]

    # Drawing

    def _draw(self, key: str, title: str, reading: str, paint: Any, height: float = 1.0, **options: Any) -> Chart:
        with mpl.rc_context({**STYLE, "svg.hashsalt": key}):
            figure = Figure(figsize=(SIZE_IN[0], SIZE_IN[1] * height))
            axes = figure.add_axes((LEFT, 0.19 / height, RIGHT - LEFT, 1 - 0.33 / height))
            self._axis(axes, **options)
            paint(axes)
            buffer = io.StringIO()
            figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        return Chart(key, title, reading, _inline(buffer.getvalue(), title))

    def _axis(self, axes: Axes, *, labels: bool = False, grid: bool = True) -> None:
        axes.set_xlim(float(self._times[0]), float(self._times[-1]))
        ticks = self._ticks()
        axes.set_xticks(ticks, [self._clock.hour(t) for t in ticks])
        axes.tick_params(length=2.5, width=0.6)
        axes.grid(grid, axis="y")
        for row, t, label in self._actions:
            axes.axvline(t, color=COLOURS["accent"], linewidth=0.8, linestyle=(0, (2, 2)), alpha=0.75, zorder=0)
            text = f"{row} {label}" if labels else row
            axes.annotate(
                text,
                (t, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(1.5, 2.5),
                textcoords="offset points",
                fontsize=6.8,
                color=COLOURS["accent"],
                annotation_clip=False,
            )

    def _ticks(self) -> list[float]:
        """Whole hours of the incident, or what fits a shorter run."""
        start, end = float(self._times[0]), float(self._times[-1])
        step = next(s for s in (5, 10, 15, 30, 60, 120, 240, 480, 1e9) if (end - start) / s <= 14)
        offset = self._clock.moment(0.0).minute % step if step <= 60 else self._clock.moment(0.0).minute
        first = np.ceil((start + offset) / step) * step - offset
        return [float(t) for t in np.arange(first, end + 0.1, step)]

    def _line(self, axes: Axes, curve: tuple[Array, Array], colour: str, label: str, **style: Any) -> None:
        axes.plot(curve[0], curve[1], color=COLOURS[colour], label=label, **style)

    # The charts

    def _timeline(self) -> Chart:
        rows, bars = _told(self._view), _alert_bars(self._view)

        def paint(axes: Axes) -> None:
            names = list(dict.fromkeys(name for name, *_ in bars))
            axes.set_ylim(-len(names) - 0.6, 2.6)
            for number, (row, t, acted) in enumerate(rows):
                y = 1.9 if number % 2 else 0.7
                axes.plot([t, t], [0, y - 0.12], color=COLOURS["line"], linewidth=0.8)
                colour = COLOURS["accent"] if acted else COLOURS["faint"]
                axes.plot([t], [0], marker="o" if acted else "D", markersize=4.2, color=colour, zorder=3)
                axes.annotate(row, (t, y), ha="center", fontsize=7.6, color=colour)
            axes.axhline(0, color=COLOURS["line"], linewidth=0.8)
            for name, region, start, end in bars:
                y = -1.0 - names.index(name)
                axes.plot(
                    [start, end], [y, y], color=COLOURS[_hue(region)], linewidth=3.2, solid_capstyle="butt", alpha=0.85
                )
            axes.set_yticks([-1.0 - i for i in range(len(names))], names, fontsize=7)
            axes.spines["left"].set_visible(False)
            axes.tick_params(axis="y", length=0)

        reading = (
            "Dots are what operators and the world did, diamonds what the report says was seen. Bars are alerts of this "
            "run while they fired: orange East US, blue West US, grey elsewhere."
        )
        names = len({name for name, *_ in bars})
        with mpl.rc_context(STYLE):
            return self._strip("timeline", "Timeline and alerts", reading, paint, 0.62 + 0.11 * names)

    def _strip(self, key: str, title: str, reading: str, paint: Any, height: float) -> Chart:
        actions, self._actions = self._actions, []
        try:
            return self._draw(key, title, reading, paint, height, grid=False)
        finally:
            self._actions = actions

    def _rates(self) -> Chart:
        attempts = self._record.rate_curve(ATTEMPTS, 5.0, layer="sdk")
        started = self._record.rate_curve(STARTED, 5.0)

        def paint(axes: Axes) -> None:
            axes.fill_between(*attempts, color=COLOURS["bad"], alpha=0.16, linewidth=0)
            self._line(axes, attempts, "bad", "attempts")
            self._line(axes, started, "good", "operations begun")
            axes.set_ylim(bottom=0)
            axes.set_ylabel("per second")
            axes.legend(loc="upper left", ncols=2)

        reading = "What users and provisioning asked for, and what the network carried because they asked again."
        return self._draw("rates", "Attempts and operations", reading, paint, 1.15, labels=True)

    def _amplification(self) -> Chart:
        curve = self._view.amplification_curve(10.0)

        def paint(axes: Axes) -> None:
            axes.fill_between(curve[0], 1, curve[1], color=COLOURS["bad"], alpha=0.16, linewidth=0)
            self._line(axes, curve, "bad", "attempts per operation")
            axes.axhline(1.0, color=COLOURS["faint"], linewidth=0.7)
            axes.set_ylim(0, max(2.5, float(np.nanmax(curve[1])) * 1.1) if np.isfinite(curve[1]).any() else 2.5)
            axes.set_ylabel("×")

        reading = "Attempts for each operation begun. One when all is well; four tries in three layers make twelve."
        return self._draw("amplification", "Amplification", reading, paint)

    def _success(self) -> Chart:
        others = [self._view.success_curve(region, 10.0)[1] for region in self._view.others]

        def paint(axes: Axes) -> None:
            if others:
                rows = np.array(others)
                worst = np.full(rows.shape[1], np.nan)
                seen = np.isfinite(rows).any(axis=0)
                worst[seen] = np.nanmin(rows[:, seen], axis=0)
                self._line(axes, (self._times, worst), "other", "worst other region")
            self._line(axes, self._view.success_curve(WEST, 10.0), "west", "West US")
            self._line(axes, self._view.success_curve(EAST, 10.0), "east", "East US")
            axes.set_ylim(-0.03, 1.06)
            axes.set_yticks([0, 0.5, 1], ["0", "50 %", "100 %"])
            axes.legend(loc="center left", ncols=1)

        reading = "Share of attempts at managed identities that succeeded, by the callers' region, over 10 s."
        return self._draw("success", "Success at managed identities", reading, paint, 1.1)

    def _heat(self) -> Chart | None:
        regions = self._view.regions
        tries = "provisioner_job_tries_total"
        jobs = [
            self._record.ratio_curve(Of(tries, region=r, result="done"), Of(tries, region=r), 8.0)[1] for r in regions
        ]
        tokens = [self._view.success_curve(region, 8.0)[1] for region in regions]
        if not regions:
            return None
        grid = np.array([*jobs, np.full(len(self._times), np.nan), *tokens])
        names = [f"{region}" for region in regions]

        def paint(axes: Axes) -> None:
            axes.imshow(
                np.ma.masked_invalid(grid),
                aspect="auto",
                interpolation="nearest",
                cmap=HEAT,
                vmin=0,
                vmax=1,
                extent=(float(self._times[0]), float(self._times[-1]), len(grid), 0),
            )
            count = len(names)
            places = [i + 0.5 for i in range(count)] + [count + 1 + i + 0.5 for i in range(count)]
            axes.set_yticks(places, names * 2, fontsize=7)
            axes.tick_params(axis="y", length=0)
            axes.text(float(self._times[0]), count + 0.78, " identity attempts", fontsize=7.4, color=COLOURS["faint"])
            axes.spines["left"].set_visible(False)

        reading = (
            "Rows are regions. Above: provisioning tries that finished (the first wave). Below: identity attempts that "
            "succeeded (the second). Green all, red none, blank nothing to judge."
        )
        return self._draw("heat", "Success by region", reading, paint, 0.5 + 0.11 * (2 * len(regions) + 1), grid=False)

    def _work(self) -> Chart:
        useful = self._record.rate_curve(WORK, 10.0, outcome="useful", region=PAIR)
        wasted = self._record.rate_curve(WORK, 10.0, outcome="wasted", region=PAIR)

        def paint(axes: Axes) -> None:
            axes.stackplot(
                useful[0],
                useful[1],
                wasted[1],
                colors=[COLOURS["good"], COLOURS["bad"]],
                labels=["useful", "wasted: the caller had left"],
                alpha=0.7,
                linewidth=0,
            )
            axes.set_ylim(bottom=0)
            axes.set_ylabel("per second")
            axes.legend(loc="upper left", ncols=2)

        reading = "What the identity nodes of East US and West US finished. They stay busy while nobody is served."
        return self._draw("work", "Useful and wasted work", reading, paint)

    def _pair_chart(self, key: str, title: str, reading: str, name: str, unit: str) -> Chart:
        def paint(axes: Axes) -> None:
            for region, colour, label in ((WEST, "west", "West US"), (EAST, "east", "East US")):
                self._line(axes, self._record.curve(name, region=region), colour, label)
            axes.set_ylim(bottom=0)
            axes.set_ylabel(unit)
            axes.legend(loc="upper left", ncols=2)

        return self._draw(key, title, reading, paint)

    def _queue(self) -> Chart:
        reading = "Requests that wait in the nodes' queues. A full queue is longer than any caller's patience."
        return self._pair_chart("queue", "Queue", reading, "identity_queue_length", "requests")

    def _busy(self) -> Chart:
        def paint(axes: Axes) -> None:
            for region, colour, label in ((WEST, "west", "West US"), (EAST, "east", "East US")):
                times, busy = self._view.busy_curve(region)
                self._line(axes, (times, _smooth(times, busy)), colour, label)
            axes.set_ylim(0, 1.08)
            axes.set_yticks([0, 0.5, 1], ["0", "50 %", "100 %"])
            axes.legend(loc="upper left", ncols=2)

        reading = "Busy workers over workers, of the nodes that are up, over 5 s."
        return self._draw("busy", "Saturation", reading, paint)

    def _nodes(self) -> Chart:
        def paint(axes: Axes) -> None:
            for region, colour, label in ((WEST, "west", "West US"), (EAST, "east", "East US")):
                _, values = self._record.series.matrix("identity_node_up", {"region": region})
                exist = np.isfinite(values).sum(axis=1)
                axes.plot(self._times, exist, color=COLOURS[colour], linewidth=0.9, linestyle=(0, (4, 2)), alpha=0.8)
                self._line(
                    axes, self._record.curve("identity_node_up", region=region), colour, label, drawstyle="steps"
                )
            axes.set_ylim(bottom=0)
            axes.set_ylabel("nodes")
            axes.legend(loc="upper left", ncols=2)

        reading = "Identity nodes that are up; dashed, how many exist. The gap is crash loops."
        return self._draw("nodes", "Nodes up", reading, paint)

    def _backlog(self) -> Chart:
        others = [region for region in self._view.regions if region not in PAIR]

        def paint(axes: Axes) -> None:
            rows = [self._view.backlog_curve(group)[1] for group in (EAST, WEST, others)]
            axes.stackplot(
                self._times,
                [np.nan_to_num(row) for row in rows],
                colors=[COLOURS["east"], COLOURS["west"], COLOURS["other"]],
                labels=["East US", "West US", "elsewhere"],
                alpha=0.7,
                linewidth=0,
            )
            axes.set_ylim(bottom=0)
            axes.set_ylabel("jobs")
            axes.legend(loc="upper left", ncols=3)

        reading = (
            "Provisioning jobs that wait or are blocked. What the first wave piled up, the second could not clear."
        )
        return self._draw("backlog", "Backlog", reading, paint)


def _actions(view: View) -> list[tuple[str, float, str]]:
    """(row, τ, label) of the operator actions that the curves are annotated with."""
    first: dict[str, float] = {}
    for entry in view.record.plan.get("timeline", ()):
        row = str(entry["id"]).partition(".")[0]
        if row in ACTIONS and entry.get("action") != "note":
            first.setdefault(row, float(entry["t"]))
    shown = [(row, t, ACTIONS[row]) for row, t in first.items() if t <= view.record.end]
    return [item for item in shown if item[0] not in ("T06", "T08")] if len(shown) > 7 else shown


def _told(view: View) -> Sequence[tuple[str, float, bool]]:
    """(row, τ, whether something was done) for each row of the timeline."""
    rows: dict[str, tuple[float, bool]] = {}
    for entry in view.record.plan.get("timeline", ()):
        row = str(entry["id"]).partition(".")[0]
        acted = entry.get("action") != "note"
        if row not in rows:
            rows[row] = (float(entry["t"]), acted)
    return [(row, t, acted) for row, (t, acted) in rows.items() if t <= view.record.end]


def _alert_bars(view: View) -> list[tuple[str, str, float, float]]:
    """(alert, region, from, to) while it fired."""
    open_: dict[tuple[str, str], float] = {}
    bars: list[tuple[str, str, float, float]] = []
    for event in view.record.events_of("alert"):
        key = (event["name"], event.get("region", ""))
        if event["state"] == "firing":
            open_.setdefault(key, float(event["t"]))
        elif key in open_:
            bars.append((*key, open_.pop(key), float(event["t"])))
    bars += [(*key, start, view.record.end) for key, start in open_.items()]
    return sorted(bars, key=lambda bar: bar[2])


def _hue(region: str) -> str:
    return {EAST: "east", WEST: "west"}.get(region, "other")


def _smooth(times: Array, values: Array, window_s: float = 5.0) -> Array:
    return trailing(times, np.nancumsum(values) * float(np.median(np.diff(times))), window_s)


def _inline(svg: str, title: str) -> str:
    """The drawing without its XML head, its placeholders turned into CSS variables, with a name for screen readers."""
    svg = svg[svg.index("<svg") :]
    for name, placeholder in COLOURS.items():
        svg = svg.replace(placeholder, f"var(--{name})")
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font: \1px var(--sans)", svg)
    return svg.replace("<svg", f'<svg role="img" aria-label="{title}"', 1)


def names(items: Iterable[Chart]) -> list[str]:
    return [item.key for item in items]
