"""Live progress of a run: one line on a terminal that keeps changing, plain lines anywhere else.

Reads the recorder, never the services, like everything people see.
"""

from dataclasses import dataclass
from datetime import timedelta

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, ProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from chaos.experiment import Experiment
from loadgen.recorder import Recorder

WINDOW_S = 5.0
PLAIN_EVERY_S = 30
ATTEMPTS = "identity_client_attempts_total"
STARTED = "identity_client_operations_started_total"


def counting() -> tuple[ProgressColumn, ...]:
    """The columns of the bar that counts many runs."""
    return TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()


@dataclass(frozen=True)
class Glance:
    """The run at one moment, in the words of the dashboard."""

    t: float
    incident_clock: str
    phase: str
    attempts_per_s: float
    amplification: float
    success: dict[str, float]
    backlog: int
    nodes_up: int


def glance(experiment: Experiment, t: float) -> Glance:
    recorder = experiment.recorder
    if recorder is None:
        raise RuntimeError("the run has not started")
    attempts = recorder.increase(ATTEMPTS, {"layer": "sdk"}, t - WINDOW_S, t, by=("region", "outcome"))
    started = recorder.increase(STARTED, {}, t - WINDOW_S, t) or 0.0
    total = sum(attempts.values())
    moment = experiment.plan.starts_at + timedelta(minutes=t * experiment.plan.minutes_per_s)
    return Glance(
        t=t,
        incident_clock=f"{moment:%d %b %H:%M} UTC",
        phase=phase(experiment, t),
        attempts_per_s=total / WINDOW_S,
        amplification=total / started if started else 1.0,
        success=_success(attempts),
        backlog=_backlog(recorder),
        nodes_up=int(recorder.last("identity_node_up", {}) or 0),
    )


def _success(attempts: dict[tuple[str, ...], float]) -> dict[str, float]:
    regions = sorted({region for region, _ in attempts})
    sums = {r: sum(v for (region, _), v in attempts.items() if region == r) for r in regions}
    return {region: attempts.get((region, "ok"), 0.0) / count for region, count in sums.items() if count}


def _backlog(recorder: Recorder) -> int:
    return int(recorder.last("provisioner_jobs", {"state": ("queued", "blocked")}) or 0)


def phase(experiment: Experiment, t: float) -> str:
    """The last thing an operator or the world did."""
    if t < 0:
        return "warm-up"
    past = [entry for entry in experiment.plan.timeline if entry.t <= t]
    return f"{past[-1].id} {past[-1].action.do.replace('_', ' ')}" if past else "calm"


class Progress:
    """An observer of an experiment; use it as a context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, refresh_per_second=8, transient=True) if console.is_terminal else None

    def __enter__(self) -> "Progress":
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, experiment: Experiment, t: float) -> None:
        if self._live is not None:
            self._live.update(_panel(experiment, glance(experiment, t)))
        elif int(t) % PLAIN_EVERY_S == 0:
            self._console.print(_line(glance(experiment, t)), highlight=False, soft_wrap=True)


def _line(now: Glance) -> str:
    success = " ".join(f"{region} {ratio:.0%}" for region, ratio in now.success.items())
    return (
        f"τ={now.t:4.0f}  {now.incident_clock}  {now.phase[:34]:34}  {now.attempts_per_s:5.0f} att/s  "
        f"×{now.amplification:4.1f}  backlog {now.backlog:4d}  nodes {now.nodes_up:2d}  {success}"
    )


def _panel(experiment: Experiment, now: Glance) -> Group:
    plan = experiment.plan
    table = Table.grid(padding=(0, 3))
    table.add_row(
        Text(now.incident_clock, style="bold"),
        Text(now.phase, style="cyan"),
        f"{now.attempts_per_s:.0f} attempts/s",
        Text(f"×{now.amplification:.1f}", style="bold red" if now.amplification > 3 else "green"),
        f"backlog {now.backlog}",
        f"{now.nodes_up} nodes up",
    )
    cells = [
        Text(f"{region} {ratio:.0%}", style="green" if ratio > 0.95 else "red" if ratio < 0.5 else "yellow")
        for region, ratio in now.success.items()
    ]
    regions = Table.grid(padding=(0, 2))
    regions.add_row(*cells)
    bar = ProgressBar(total=plan.duration_s + plan.warmup_s, completed=now.t + plan.warmup_s, width=60)
    return Group(table, regions, bar)
