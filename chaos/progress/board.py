"""Terminal display of a run, drawn with rich: success by region, curves of the last two minutes, events.

A sparkline covers `SPAN_S` whatever its width: on a narrow terminal one character is the mean of several seconds.
Pure rendering from a `Board` to a renderable, so that tests can compare the exact text.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from rich.console import ConsoleDimensions, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from chaos.progress.glance import Glance, Success

SPAN_S = 120
BARS = "▁▂▃▄▅▆▇█"
GOOD_FROM, BAD_BELOW = 0.95, 0.5
AMPLIFIED_FROM = 3.0
REGION_WIDTH = 16
PERCENT_WIDTH = 6
FRAME = 2 * PERCENT_WIDTH + REGION_WIDTH + 12
SPARK_MIN, SPARK_MAX = 8, 60
NARROW_SPARK = 30
HEAD_LINES = 8
TONES = {"bad": "red", "good": "green", "": ""}


@dataclass(frozen=True)
class Board:
    """The data to draw. `past` ends with the current time; `happened` holds (τ, sentence, tone), oldest first."""

    title: str
    clock: str
    phase: str
    displays: Mapping[str, str]
    start_t: float
    end_t: float
    past: Sequence[Glance]
    happened: Sequence[tuple[float, str, str]] = ()


def percent(ratio: float | None) -> str:
    """`9 %`; a dash without attempts."""
    return "–" if ratio is None else f"{ratio * 100:.0f} %"


def shade(ratio: float | None) -> str:
    """The style of a success ratio."""
    if ratio is None:
        return "dim"
    return "green" if ratio >= GOOD_FROM else "red" if ratio < BAD_BELOW else "yellow"


def condensed(times: Sequence[float], values: Sequence[float | None], width: int) -> list[float | None]:
    """At most `width` means of the values over the last `SPAN_S`; None for a period without a value.

    The periods are aligned to τ, so that the past does not flicker while new samples arrive.
    """
    period_s = math.ceil(SPAN_S / width)
    periods: dict[int, list[float]] = {}
    for t, value in zip(times, values, strict=True):
        known = periods.setdefault(math.floor(t / period_s), [])
        if value is not None:
            known.append(value)
    return [fmean(known) if known else None for known in periods.values()][-width:]


def ratio_spark(values: Sequence[float | None]) -> Text:
    """A sparkline of ratios, each in its own colour; a gap without attempts."""
    text = Text()
    for value in values:
        text.append(" " if value is None else _bar(value), style=shade(value))
    return text


def rate_spark(values: Sequence[float | None], top: float, style: str = "") -> Text:
    """A sparkline of values from 0 to `top`."""
    return Text("".join(_bar((value or 0.0) / top if top else 0.0) for value in values), style=style)


def _bar(ratio: float) -> str:
    return BARS[min(len(BARS) - 1, max(0, round(ratio * (len(BARS) - 1))))]


def board(seen: Board, width: int) -> RenderableType:
    """The board of a run in progress, about a dozen lines."""
    spark = max(SPARK_MIN, min(NARROW_SPARK, (width - FRAME) // 2))
    return Group(_head(seen), _regions(seen, spark), _rates(seen, spark), _bar_of_time(seen, min(width, 80)))


def watch_board(seen: Board, size: ConsoleDimensions) -> RenderableType:
    """The board over the full terminal, followed by the newest events that fit."""
    spark = max(SPARK_MIN, min(SPARK_MAX, (size.width - FRAME) // 2))
    room = max(0, size.height - HEAD_LINES - len(seen.displays))
    return Group(
        _head(seen),
        _regions(seen, spark),
        _rates(seen, spark),
        _bar_of_time(seen, size.width),
        Text(),
        *_happened(seen, room),
    )


def _head(seen: Board) -> Text:
    now = seen.past[-1]
    parts = [
        (seen.title, "bold"),
        (f"τ {now.t:.0f} of {seen.end_t:.0f} s", ""),
        (seen.clock, "bold"),
        (seen.phase, "cyan"),
    ]
    text = Text("   ").join(Text(words, style=style) for words, style in parts if words)
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _regions(seen: Board, spark: int) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=REGION_WIDTH, no_wrap=True)
    for _ in range(2):
        table.add_column(width=PERCENT_WIDTH, justify="right", no_wrap=True)
        table.add_column(width=spark, justify="right", no_wrap=True)
    heads = ("last 2 minutes", "", "provisioning", "", "identity")
    table.add_row(*(Text(words, style="dim") for words in heads))
    times = [glance.t for glance in seen.past]
    table.add_row(*_row("all regions", times, [glance.total for glance in seen.past], spark), style="bold")
    for name, display in seen.displays.items():
        table.add_row(*_row(display, times, [glance.regions[name] for glance in seen.past], spark))
    return table


def _row(title: str, times: Sequence[float], past: Sequence[Success], spark: int) -> list[RenderableType]:
    cells: list[RenderableType] = [title]
    for values in ([success.provisioning for success in past], [success.identity for success in past]):
        cells += [
            Text(percent(values[-1]), style=shade(values[-1])),
            ratio_spark(condensed(times, values, spark)),
        ]
    return cells


def _rates(seen: Board, spark: int) -> Table:
    """The rates. Offered, good and wasted have the same scale, to compare them."""
    now = seen.past[-1]
    times = [glance.t for glance in seen.past]
    offered = condensed(times, [glance.offered_per_s for glance in seen.past], spark)
    good = condensed(times, [glance.good_per_s for glance in seen.past], spark)
    wasted = condensed(times, [glance.wasted_per_s for glance in seen.past], spark)
    backlog = condensed(times, [glance.backlog for glance in seen.past], spark)
    top = max(value or 0.0 for value in (*offered, *good, *wasted))
    ampl = now.amplification
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=REGION_WIDTH, no_wrap=True)
    table.add_column(width=PERCENT_WIDTH, justify="right", no_wrap=True)
    table.add_column(width=spark, justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    amplified = Text(
        "attempts per operation –" if ampl is None else f"attempts per operation ×{ampl:.1f}",
        style="bold red" if (ampl or 0.0) >= AMPLIFIED_FROM else "",
    )
    rows = (
        ("attempts / s", now.offered_per_s, offered, top, "cyan", amplified),
        ("good / s", now.good_per_s, good, top, "green", Text(f"{now.nodes_up} identity nodes up")),
        ("wasted / s", now.wasted_per_s, wasted, top, "red", Text()),
        ("jobs waiting", now.backlog, backlog, max(value or 0.0 for value in backlog), "magenta", Text()),
    )
    for title, newest, values, scale, style, aside in rows:
        table.add_row(title, f"{newest:.0f}", rate_spark(values, scale, style), aside)
    return table


def _bar_of_time(seen: Board, width: int) -> ProgressBar:
    done = seen.past[-1].t - seen.start_t
    return ProgressBar(total=seen.end_t - seen.start_t, completed=done, width=width)


def _happened(seen: Board, room: int) -> list[Text]:
    lines = []
    for t, sentence, tone in reversed(seen.happened[-room:] if room else ()):
        text = Text(f"τ {t:5.0f}  {sentence}", style=TONES.get(tone, ""))
        text.no_wrap, text.overflow = True, "ellipsis"
        lines.append(text)
    return lines
