"""The observer itself, over a real run in virtual time: on a terminal, on a second screen, and into a file."""

import io
from contextlib import ExitStack

import pytest
from rich.console import Console

from chaos.experiment.plan import Plan, make_plan
from chaos.experiment.runs import carry_out
from chaos.progress.progress import Progress
from chaos.scenarios.loader import load
from chaos.scenarios.restrict import restrict
from chaos.scenarios.size import sized

Shown = dict[str, str]


def plan() -> Plan:
    scenario = restrict(load("azure-fnj8-vqz-short"), ["eastus", "westus"])
    short = scenario.model_copy(update={"duration_s": 5.0, "timeline": scenario.timeline[:1]})
    return make_plan(sized(short, 0.5), 1)


@pytest.fixture(scope="module")
def shown() -> Shown:
    """One run, watched in four ways."""
    ways = {
        f"{'terminal' if t else 'file'}{' watch' if w else ''}": (t, w) for t in (False, True) for w in (False, True)
    }
    files = {name: io.StringIO() for name in ways}
    with ExitStack() as stack:
        observers = [
            stack.enter_context(
                Progress(
                    Console(file=files[name], force_terminal=terminal, width=100, height=24, color_system=None),
                    watch=watch,
                )
            )
            for name, (terminal, watch) in ways.items()
        ]
        carry_out(plan(), transport="direct", observers=observers)
    return {name: file.getvalue() for name, file in files.items()}


def test_without_a_terminal_there_are_lines_with_and_without_watching(shown: Shown) -> None:
    lines = shown["file"].splitlines()
    assert lines[0] == "     τ  provis  identity  att/s   ampl  backlog  nodes   eastus   westus  last action"
    assert lines[1].startswith("τ=   0   100 %     100 %")
    assert len(lines) == 2
    assert shown["file watch"] == shown["file"]


def test_a_terminal_gets_a_board_with_sparklines_and_keeps_its_screen(shown: Shown) -> None:
    assert "provisioning" in shown["terminal"]
    assert "█" in shown["terminal"]
    assert "\x1b[?1049h" not in shown["terminal"]


def test_watching_uses_the_whole_screen_lists_events_and_restores_it(shown: Shown) -> None:
    text = shown["terminal watch"]
    assert text.index("\x1b[?1049h") < text.index("operators: T01 start the policy job") < text.rindex("\x1b[?1049l")
    assert "policy job: run 1 starts" in text
