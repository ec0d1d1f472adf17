"""Live progress of a run: a board on a terminal, otherwise a line every 30 s.

Reads the recorder, never the services.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, TextColumn, TimeElapsedColumn

from chaos.experiment.experiment import Experiment
from chaos.experiment.plan import Plan
from chaos.progress.board import SPAN_S, Board, board, percent, watch_board
from chaos.progress.glance import Glance, Success, glance
from chaos.progress.happenings import action_words, happening
from chaos.scenarios.times import incident_time

PLAIN_EVERY_S = 30
HAPPENINGS_KEPT = 200
REFRESH_PER_S = 8
CALM, WARM_UP = "calm", "warm-up"


def counting() -> tuple[ProgressColumn, ...]:
    """The columns of the progress bar of studies."""
    return TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()


def now_of(experiment: Experiment, t: float) -> Glance:
    """The key figures of the run at τ = `t`. Raises RuntimeError before the start of the run."""
    if experiment.recorder is None:
        raise RuntimeError("the run has not started")
    return glance(experiment.recorder, experiment.plan.topology.names, t)


def phase(plan: Plan, t: float) -> str:
    """The last action before `t`, with its row."""
    return " ".join(filter(None, last_action(plan, t)))


def last_action(plan: Plan, t: float) -> tuple[str, str]:
    """Row and words of the last action before `t`, without notes."""
    if t < 0:
        return "", WARM_UP
    past = [entry for entry in plan.timeline if entry.t <= t and entry.action.do != "note"]
    if not past:
        return "", CALM
    action = past[-1].action
    return past[-1].row, action_words(action.do, action.parameters(), plan.scenario.displays)


def clock(plan: Plan, t: float) -> str:
    """The incident time; empty for a scenario with another pace than the incident's."""
    keeps_pace = plan.scenario.detection_pace == 1.0
    return f"{incident_time(t, plan.starts_at):%d %b %H:%M} UTC" if keeps_pace else ""


class Progress:
    """An observer of an experiment, used as a context manager. `watch` uses the full screen."""

    def __init__(self, console: Console, *, watch: bool = False) -> None:
        self._console = console
        self._watch = watch
        self._past: deque[Glance] = deque(maxlen=SPAN_S)
        self._happened: deque[tuple[float, str, str]] = deque(maxlen=HAPPENINGS_KEPT)
        self._listening = False
        self._headed = False
        self._live = (
            Live(console=console, refresh_per_second=REFRESH_PER_S, screen=watch, transient=not watch)
            if console.is_terminal
            else None
        )

    def __enter__(self) -> "Progress":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._live is not None:
            self._live.refresh()  # a full screen is drawn by a thread only, too late for what a fast run said last
            self._live.stop()

    def __call__(self, experiment: Experiment, t: float) -> None:
        if self._live is None:
            if int(t) % PLAIN_EVERY_S == 0:
                self._print_line(experiment, t)
            return
        self._listen(experiment)
        self._past.append(now_of(experiment, t))
        seen = self._board(experiment.plan, t)
        self._live.update(watch_board(seen, self._console.size) if self._watch else board(seen, self._console.width))

    def _board(self, plan: Plan, t: float) -> Board:
        return Board(
            title=plan.scenario.name,
            clock=clock(plan, t),
            phase=phase(plan, t),
            displays=plan.scenario.displays,
            start_t=-plan.warmup_s,
            end_t=plan.duration_s,
            past=list(self._past),
            happened=list(self._happened),
        )

    def _print_line(self, experiment: Experiment, t: float) -> None:
        plan = experiment.plan
        lines = [line(now_of(experiment, t), clock(plan, t), phase(plan, t))]
        if not self._headed:
            lines.insert(0, head(plan.topology.names, bool(clock(plan, t))))
            self._headed = True
        for text in lines:
            self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def _listen(self, experiment: Experiment) -> None:
        """Subscribes to the event lines of the recorder, once."""
        recorder = experiment.recorder
        if self._listening or recorder is None:
            return
        self._listening = True
        names, zero_epoch_s = experiment.plan.scenario.displays, experiment.runtime.clock.epoch() - recorder.t()

        def take(event: Mapping[str, Any]) -> None:
            said = happening(event, names)
            if said is not None:
                text = f"{said.row} {said.text}".strip()
                self._happened.append((event["at"] - zero_epoch_s, f"{said.by}: {text}", said.tone))

        recorder.watchers.append(take)


def head(regions: Iterable[str], has_clock: bool) -> str:
    """The header of the progress lines; the column of a region shows provisioning/identity."""
    titles = "  ".join(f"{name:>{_width(name)}}" for name in regions)
    calendar = f"{'clock':16}  " if has_clock else ""
    return f"     τ  {calendar}provis  identity  att/s   ampl  backlog  nodes  {titles}  last action"


def line(now: Glance, calendar: str, doing: str) -> str:
    """One progress line with fixed columns."""
    ampl = "–" if now.amplification is None else f"×{now.amplification:.1f}"
    cells = "  ".join(f"{_pair(seen):>{_width(name)}}" for name, seen in now.regions.items())
    calendar = f"{calendar:16}  " if calendar else ""
    return (
        f"τ={now.t:4.0f}  {calendar}{percent(now.total.provisioning):>6}  {percent(now.total.identity):>8}  "
        f"{now.offered_per_s:5.0f}  {ampl:>5}  {now.backlog:7d}  {now.nodes_up:5d}  {cells}  {doing}"
    )


def _pair(seen: Success) -> str:
    both = (seen.provisioning, seen.identity)
    return "/".join("–" if ratio is None else f"{ratio * 100:.0f}" for ratio in both)


def _width(region: str) -> int:
    return max(len(region), len("100/100"))
