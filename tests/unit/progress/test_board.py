"""The board on a terminal, to the character, from a doctored table."""

import io
from dataclasses import replace
from typing import cast

from rich.console import Console, ConsoleDimensions, RenderableType

from chaos.progress.board import Board, board, condensed, percent, ratio_spark, watch_board
from chaos.progress.glance import Glance, glance
from tests.unit.progress.progress_bench import CALM, DISPLAYS, FIRST_WAVE, REGIONS, SECOND_WAVE, table

PARTS = ((20, CALM), (20, FIRST_WAVE), (20, SECOND_WAVE))


def moment(t: int) -> Glance:
    """As it was when `t` had just been sampled: gauges are read from the newest sample."""
    starts = (0, 20, 40)
    sampled = [(min(20, t + 1 - start), part) for start, (_, part) in zip(starts, PARTS, strict=True) if start <= t]
    return glance(table(*sampled), REGIONS, float(t))


def past(until: int) -> list[Glance]:
    return [moment(t) for t in range(until + 1)]


def seen(until: int) -> Board:
    return Board(
        title="mini",
        clock="",
        phase="T07 cancel the policy job",
        displays=DISPLAYS,
        start_t=0.0,
        end_t=80.0,
        past=past(until),
    )


def drawn(what: RenderableType, width: int = 80, height: int = 24) -> list[str]:
    console = Console(width=width, height=height, color_system=None, file=io.StringIO())
    console.print(what)
    return [text.rstrip() for text in cast(io.StringIO, console.file).getvalue().splitlines()]


def test_the_first_wave_is_seen_while_identity_is_well() -> None:
    assert drawn(board(seen(39), 80)) == [
        "mini   τ 39 of 80 s   T07 cancel the policy job",
        "last 2 minutes                    provisioning                      identity",
        "all regions         18 %               ███▆▃▂▂   100 %               ███████",
        "East US             10 %               ███▆▂▂▂   100 %               ███████",
        "North Europe       100 %               ███████   100 %               ███████",
        "attempts / s          12               ▅██████  attempts per operation ×1.0",
        "good / s              12               ▅██████  6 identity nodes up",
        "wasted / s             0               ▁▁▁▁▁▁▁",
        "jobs waiting         120               ▁▁▁▆███",
        "━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━",
    ]


def test_the_second_wave_is_seen_and_the_regions_keep_their_lines() -> None:
    assert drawn(board(seen(59), 80)) == [
        "mini   τ 59 of 80 s   T07 cancel the policy job",
        "last 2 minutes                    provisioning                      identity",
        "all regions         17 %            ███▆▃▂▂▂▂▂     2 %            ██████▆▁▁▁",
        "East US              0 %            ███▆▂▂▂▁▁▁     1 %            ██████▆▁▁▁",
        "North Europe       100 %            ██████████   100 %            ██████████",
        "attempts / s         200            ▁▁▁▁▁▁▂▇██  attempts per operation ×10.0",
        "good / s               4            ▁▁▁▁▁▁▁▁▁▁  4 identity nodes up",
        "wasted / s            60            ▁▁▁▁▁▁▁▃▃▃",
        "jobs waiting         300            ▁▁▁▃▄▄▅███",
        "━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━",
    ]


def test_two_minutes_fit_into_any_width_and_the_past_stands_still() -> None:
    times = [float(t) for t in range(121)]
    values = [None if 50 <= t < 60 else t for t in times]
    then = condensed(times[:120], values[:120], 12)
    assert then == [4.5, 14.5, 24.5, 34.5, 44.5, None, 64.5, 74.5, 84.5, 94.5, 104.5, 114.5]
    assert condensed(times, values, 12)[:-1] == then[1:]
    assert condensed(times, values, 200)[-2:] == [119.0, 120.0]


def test_a_gap_is_drawn_where_nothing_was_tried() -> None:
    assert ratio_spark([1.0, None, 0.0, 0.5]).plain == "█ ▁▅"
    assert percent(None) == "–"
    assert percent(0.0) == "0 %"


def test_colours_show_health() -> None:
    styles = [str(span.style) for span in ratio_spark([1.0, 0.7, 0.2, None]).spans]
    assert styles == ["green", "yellow", "red", "dim"]


def test_watching_fills_the_terminal_with_the_newest_happenings_and_no_line_more() -> None:
    happened = [(float(t), f"operators: act {t}", "") for t in range(50)]
    lines = drawn(watch_board(replace(seen(59), happened=happened), ConsoleDimensions(100, 20)), 100, 20)
    assert len(lines) == 20
    assert lines[-1] == "τ    40  operators: act 40"
    assert lines[10] == "τ    49  operators: act 49"
