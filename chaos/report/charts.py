"""The charts of a run: load, attempts, success, work, nodes and backlog, with the timeline and alerts."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap

from chaos.record.metric_names import ATTEMPTS, NODE_UP, STARTED, TRIES, WORK
from chaos.record.record import Of, trailing
from chaos.record.series import Array
from chaos.report.canvas import COLOURS, LABEL_SIZE, Canvas, Chart, Curve, Mark, area, line, shares
from chaos.report.words import IncidentCalendar
from chaos.scenarios.moments import DRILL_ROW
from chaos.verdict.view import View

HUES = ("east", "west")
"""Colours of the regions that are shown one by one."""
ACTED = {
    "T01": "policy starts",
    "T06": "canary restored",
    "T07": "stop",
    "T08": "rollback",
    "T09": "restore East",
    "T12": "restore all",
    "T13": "scale-out 1",
    "T14": "scale-out 2",
    "T15": "audit",
    "T16": "drain",
    "T17": "ramp",
    DRILL_ROW: "trigger again",
}
DRILL_READING = (
    f" {DRILL_ROW} is no part of the incident: after it the same trigger comes again, smaller, to test the repairs. "
    "Alerts from there on are the drill's."
)
SEEN = {
    "T02": "detected",
    "T03": "correlated",
    "T04": "limits exceeded",
    "T05": "work begins",
    "T10": "impact rises",
    "T11": "alert",
    "T18": "recovered",
}
MARKED = ("T07", "T09", "T12", "T13", "T14", "T16", "T17", DRILL_ROW)
HEAT = LinearSegmentedColormap.from_list(
    "success", [(0.76, 0.13, 0.13, 1.0), (0.94, 0.5, 0.16, 0.95), (0.97, 0.8, 0.36, 0.8), (0.2, 0.62, 0.5, 0.26)]
)
HEAT_WINDOW_S = 8.0
ROW_IN = 0.15
LANE = 1.55
LANES = {"other": 0.0, "west": 0.22, "east": 0.44}


def charts(view: View, clock: IncidentCalendar) -> list[Chart]:
    """All charts in reading order, including a drill; none for a record without samples."""
    if len(view.record.series.times) < 2:
        return []
    return Charts(view.drilled, clock).all()


class Charts:
    """Draws the charts of one record."""

    def __init__(self, view: View, clock: IncidentCalendar) -> None:
        self._view = view
        self._record = view.record
        self._times = view.record.series.times
        names = {region["name"]: region["display"] for region in view.record.plan.get("regions", ())}
        shown = zip(view.sides.values(), HUES, strict=False)
        self._sides = [(region, hue, names.get(region, region)) for region, hue in shown][::-1]
        acted = [(row, t) for row, t, done in timeline_rows(view) if done and row in MARKED]
        self._has_drill = any(row == DRILL_ROW for row, _ in acted)
        marks: list[Mark] = [(t, f"{row} {ACTED[row]}") for row, t in acted]
        self._canvas = Canvas(view.record.start, view.record.end, clock, marks)

        self._names = " and ".join(label for _, _, label in reversed(self._sides))

    def _hue(self, region: str) -> str:
        return next((hue for name, hue, _ in self._sides if name == region), "other")

    def _timeline_reading(self) -> str:
        colours = {"east": "orange", "west": "blue"}
        shown = ", ".join(f"{colours[hue]} {label}" for _, hue, label in reversed(self._sides))
        return (
            "Dots are actions, diamonds are observations in the report. Bars are alerts that fired in this run: "
            f"{shown}, grey other regions." + (DRILL_READING if self._has_drill else "")
        )

    def all(self) -> list[Chart]:
        return [
            self._timeline(),
            self._rates(),
            self._amplification(),
            self._success(),
            *self._heat(),
            self._work(),
            self._by_side("queue", "Queue", QUEUE_READING, "identity_queue_length", "requests"),
            self._busy(),
            self._nodes(),
            self._backlog(),
        ]

    def _timeline(self) -> Chart:
        rows, bars = timeline_rows(self._view), alert_bars(self._view)
        labels: list[Mark] = [(t, f"{row} {(ACTED if done else SEEN).get(row, '')}".strip()) for row, t, done in rows]
        levels = self._canvas.levels(labels)
        names = list(dict.fromkeys(name for name, *_ in bars))
        top, bottom = max(levels, default=0) + 1.4, -LANE * len(names) - 1.0
        middle = self._canvas.start + (self._canvas.end - self._canvas.start) / 3

        def paint(axes: Axes) -> None:
            axes.set_ylim(bottom, top)
            axes.axhline(0, color=COLOURS["line"], linewidth=0.8)
            for (_, t, done), (_, text), level in zip(rows, labels, levels, strict=True):
                colour = COLOURS["accent"] if done else COLOURS["faint"]
                axes.plot([t, t], [0, level + 0.5], color=COLOURS["line"], linewidth=0.8)
                axes.plot([t], [0], marker="o" if done else "D", markersize=4.4, color=colour, zorder=3)
                axes.annotate(text, (t, level + 0.5), fontsize=LABEL_SIZE, color=colour)
            for name, region, start, end in bars:
                y = -LANE * (names.index(name) + 1) - LANES[self._hue(region)]
                axes.plot([start, end], [y, y], color=COLOURS[self._hue(region)], linewidth=2.0, solid_capstyle="butt")
            for number, name in enumerate(names):
                first = min(start for other, _, start, _ in bars if other == name)
                axes.annotate(
                    f"{name} " if first > middle else f" {name}",
                    (first, -LANE * (number + 1) - (LANES["west"] if first > middle else -0.12)),
                    fontsize=LABEL_SIZE,
                    color=COLOURS["faint"],
                    ha="right" if first > middle else "left",
                    va="center" if first > middle else "bottom",
                )
            axes.set_yticks([])
            axes.spines["left"].set_visible(False)

        height = ROW_IN * (top - bottom)
        return self._canvas.chart(
            "timeline",
            "Timeline and alerts",
            self._timeline_reading(),
            paint,
            height_in=height,
            marks="none",
            grid=False,
        )

    def _rates(self) -> Chart:
        attempts = self._record.rate_curve(ATTEMPTS, 5.0, layer="sdk")
        started = self._record.rate_curve(STARTED, 5.0)

        def paint(axes: Axes) -> None:
            axes.fill_between(*attempts, color=COLOURS["bad"], alpha=0.16, linewidth=0)
            line(axes, attempts, "bad", "attempts")
            line(axes, started, "good", "operations started")
            axes.set_ylim(bottom=0)
            axes.set_ylabel("per second")
            axes.legend(loc="upper left", ncols=2)

        reading = "Operations started by users and provisioning, and the attempts made for them, retries included."
        return self._canvas.chart("rates", "Attempts and operations", reading, paint, height_in=1.5, marks="named")

    def _amplification(self) -> Chart:
        times, values = self._view.amplification_curve(10.0)
        known = values[np.isfinite(values)]

        def paint(axes: Axes) -> None:
            axes.fill_between(times, 1, values, color=COLOURS["bad"], alpha=0.16, linewidth=0)
            line(axes, (times, values), "bad", "attempts per operation")
            axes.axhline(1.0, color=COLOURS["faint"], linewidth=0.7)
            axes.set_ylim(0, max(2.5, float(known.max(initial=0)) * 1.1))
            axes.set_ylabel("times")

        reading = "Attempts per operation started, over 10 s. 1 when healthy; two retry layers allow up to 12."
        return self._canvas.chart("amplification", "Amplification", reading, paint)

    def _success(self) -> Chart:
        others = [self._view.success_curve(region, 10.0)[1] for region in self._view.others]

        def paint(axes: Axes) -> None:
            if others:
                line(axes, (self._times, _lowest(np.array(others))), "other", "worst other region", linewidth=1.2)
            for region, colour, label in self._sides:
                line(axes, self._view.success_curve(region, 10.0), colour, label)
            shares(axes)
            axes.legend(loc="center left")

        reading = "Success ratio of attempts at managed identities, by the callers' region, over 10 s."
        return self._canvas.chart("success", "Success at managed identities", reading, paint)

    def _heat(self) -> list[Chart]:
        regions = self._view.regions
        if not regions:
            return []
        jobs = [self._finished(region) for region in regions]
        tokens = [self._view.success_curve(region, HEAT_WINDOW_S)[1] for region in regions]
        first = "Success ratio of provisioning attempts: the first wave. Green 100 %, red 0 %, blank no attempts."
        second = "Success ratio of attempts at managed identities: the second wave, in two regions."
        return [
            self._heat_strip("heat-storage", "Provisioning by region", first, jobs),
            self._heat_strip("heat-identity", "Managed identities by region", second, tokens),
        ]

    def _finished(self, region: str) -> Array:
        done = Of(TRIES, region=region, result="done")
        return self._record.ratio_curve(done, Of(TRIES, region=region), HEAT_WINDOW_S)[1]

    def _heat_strip(self, key: str, title: str, reading: str, rows: list[Array]) -> Chart:
        names = self._view.regions

        def paint(axes: Axes) -> None:
            axes.imshow(
                np.ma.masked_invalid(np.array(rows)),
                aspect="auto",
                interpolation="nearest",
                cmap=HEAT,
                vmin=0,
                vmax=1,
                extent=(self._canvas.start, self._canvas.end, len(rows), 0),
            )
            axes.set_yticks([number + 0.5 for number in range(len(names))], names, fontsize=LABEL_SIZE)
            axes.tick_params(axis="y", length=0)
            axes.spines["left"].set_visible(False)

        return self._canvas.chart(key, title, reading, paint, height_in=ROW_IN * len(rows), grid=False)

    def _work(self) -> Chart:
        times, useful = self._record.rate_curve(WORK, 10.0, outcome="useful", region=self._view.pair)
        _, wasted = self._record.rate_curve(WORK, 10.0, outcome="wasted", region=self._view.pair)

        def paint(axes: Axes) -> None:
            area(axes, times, [useful, wasted], ["good", "bad"], ["useful", "wasted: the caller had timed out"])
            axes.set_ylabel("per second")
            axes.legend(loc="upper left", ncols=2)

        reading = f"Work finished by the identity nodes of {self._names}. Under overload most of it is wasted."
        return self._canvas.chart("work", "Useful and wasted work", reading, paint)

    def _by_side(self, key: str, title: str, reading: str, name: str, unit: str) -> Chart:
        def paint(axes: Axes) -> None:
            for region, colour, label in self._sides:
                line(axes, self._record.curve(name, region=region), colour, label)
            axes.set_ylim(bottom=0)
            axes.set_ylabel(unit)
            axes.legend(loc="upper left", ncols=2)

        return self._canvas.chart(key, title, reading, paint)

    def _busy(self) -> Chart:
        def paint(axes: Axes) -> None:
            for region, colour, label in self._sides:
                line(axes, _smooth(self._view.busy_curve(region)), colour, label)
            shares(axes)
            axes.legend(loc="upper left", ncols=2)

        reading = "Share of busy workers of the nodes that are up, over 5 s."
        return self._canvas.chart("busy", "Saturation", reading, paint)

    def _nodes(self) -> Chart:
        def paint(axes: Axes) -> None:
            for region, colour, label in self._sides:
                _, values = self._record.series.matrix(NODE_UP, {"region": region})
                exist = np.isfinite(values).sum(axis=1).astype(float)
                line(axes, (self._times, exist), colour, f"{label}, all", linewidth=0.9, linestyle=(0, (4, 2)))
                up = self._record.curve(NODE_UP, region=region)
                line(axes, up, colour, f"{label}, up", drawstyle="steps", linewidth=1.2)
            axes.set_ylim(bottom=0)
            axes.set_ylabel("nodes")
            axes.legend(loc="upper left", ncols=2)

        reading = "Identity nodes that exist (dashed) and that are up. The difference are nodes in crash loops."
        return self._canvas.chart("nodes", "Nodes up", reading, paint)

    def _backlog(self) -> Chart:
        others = [region for region in self._view.regions if region not in self._view.pair]
        sides = list(reversed(self._sides))
        groups = [*(region for region, _, _ in sides), others]
        rows = [self._view.backlog_curve(group)[1] for group in groups]
        hues, labels = [hue for _, hue, _ in sides], [label for _, _, label in sides]

        def paint(axes: Axes) -> None:
            area(axes, self._times, rows, [*hues, "other"], [*labels, "other regions"])
            axes.set_ylabel("jobs")
            axes.legend(loc="upper left", ncols=3)

        reading = "Queued and blocked provisioning jobs: the backlog of the first wave, released by the restore."
        return self._canvas.chart("backlog", "Backlog", reading, paint)


QUEUE_READING = "Requests in the nodes' queues. The wait in a full queue exceeds the client timeout."


def timeline_rows(view: View) -> list[tuple[str, float, bool]]:
    """(row, τ, whether it is an action) of the timeline's rows up to the end of the record."""
    rows: dict[str, tuple[float, bool]] = {}
    for entry in view.record.plan.get("timeline", ()):
        row = str(entry["id"]).partition(".")[0]
        rows.setdefault(row, (float(entry["t"]), entry.get("action") != "note"))
    return [(row, t, done) for row, (t, done) in rows.items() if t <= view.record.end]


def alert_bars(view: View) -> list[tuple[str, str, float, float]]:
    """(alert, region, start, end) of every firing alert."""
    firing: dict[tuple[str, str], float] = {}
    bars: list[tuple[str, str, float, float]] = []
    for event in view.record.events_of("alert"):
        key = (event["name"], event.get("region", ""))
        if event["state"] == "firing":
            firing.setdefault(key, float(event["t"]))
        elif key in firing:
            bars.append((*key, firing.pop(key), float(event["t"])))
    bars += [(*key, start, view.record.end) for key, start in firing.items()]
    return sorted(bars, key=lambda bar: (bar[2], bar[1] in view.pair))


def _lowest(rows: Array) -> Array:
    """The minimum of each column, ignoring NaN."""
    known = np.isfinite(rows)
    lowest: Array = np.where(known.any(axis=0), np.where(known, rows, np.inf).min(axis=0), np.nan)
    return lowest


def _smooth(curve: Curve, window_s: float = 5.0) -> Curve:
    times, values = curve
    step_s = float(np.median(np.diff(times)))
    return times, trailing(times, np.nancumsum(values) * step_s, window_s)
