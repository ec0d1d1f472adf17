"""The short scenario through the controller, in real time, watched from outside: what was asked, said and left behind.

While the incident is at its height every query of every dashboard is put to Prometheus, and one harmless fault (a
millisecond, in a region that is not part of it) gives the panels about faults something to show.
"""

import asyncio
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from chaos.experiment.baseline import MachineStalled
from chaos.experiment.plan import make_plan
from chaos.experiment.runs import carry_out
from chaos.record.record import RunRecord
from chaos.scenarios.loader import load
from chaos.scenarios.restrict import restrict
from chaos.verdict.claim_sets.fnj8_vqz.view import IncidentView
from chaos.verdict.verdict import judge
from compose.render import REGIONS
from tests.system.system_desk import ALERTS_END_S, Desk, copy_run, dashboard_queries
from tests.system.system_testbed import ROOT
from tests.words.operator import eventually

SCENARIO = "azure-fnj8-vqz-short"
HEIGHT_T = (82.0, 150.0)
ASK_EVERY_S = 8.0
HARMLESS = {"service": "blobstore", "region": "northeurope"}
STATES_OF_END = ("done", "failed", "aborted")


@dataclass
class Incident:
    """One run. `answered` tells for each query how often it gave data, of the `asked` times it was put."""

    seed: int
    why: str = ""
    asked: int = 0
    answered: dict[tuple[str, str], int] = field(default_factory=dict)
    zero_epoch_s: float = 0.0
    record: RunRecord | None = None

    @property
    def too_slow(self) -> bool:
        """What the run's own guard said; no fact decides this."""
        return self.why.startswith(MachineStalled.__name__)

    @property
    def view(self) -> IncidentView:
        assert self.record is not None
        return IncidentView(self.record)

    def at(self, t: float) -> float:
        """τ as Unix time."""
        return self.zero_epoch_s + t


async def watch_incident(desk: Desk, seed: int, into: Path) -> Incident:
    """Starts the run, looks on until it is judged, and fetches the record."""
    seen = Incident(seed, answered=dict.fromkeys(dashboard_queries(ROOT), 0))
    await eventually(desk.no_alert_fires, within_s=ALERTS_END_S, what="no alert fires")
    run = await desk.done("POST", "/v1/runs", {"scenario": SCENARIO, "seed": seed})
    next_t = HEIGHT_T[0]
    while True:
        await asyncio.sleep(1.0)
        now = await desk.done("GET", "/v1/runs/current")
        if now["state"] in STATES_OF_END:
            break
        t = now["now"].get("t", -1.0)
        if next_t <= t <= HEIGHT_T[1]:
            await _ask_everything(desk, seen)
            next_t = t + ASK_EVERY_S
    seen.why, seen.zero_epoch_s = now["why"], now["zero_epoch_s"]
    if now["state"] == "done":
        seen.record = RunRecord.load(await asyncio.to_thread(copy_run, run["id"], into))
    elif not seen.too_slow:
        raise AssertionError(f"run {run['id']} {now['state']}: {now['why']}")
    return seen


async def _ask_everything(desk: Desk, seen: Incident) -> None:
    if not seen.asked:
        await desk.inject("latency", HARMLESS, 60.0, parameters={"delay_s": 0.001})
    seen.asked += 1
    for name, expression in seen.answered:
        seen.answered[name, expression] += bool(await desk.query(expression))


@cache
def virtual_run(seed: int) -> IncidentView:
    """The same plan in virtual time."""
    plan = make_plan(restrict(load(SCENARIO), REGIONS), seed)
    finished = carry_out(plan, transport="direct")
    assert finished.recorder is not None
    assert not finished.problem
    return IncidentView(RunRecord.from_memory(finished.plan, finished.recorder))


def phases(view: IncidentView) -> list[str]:
    """Unscheduled events and operator actions, in order of time."""
    at = view.at
    figures = judge(view.record).figures
    moments = {
        "the first exempt account is switched off": min(view.first_off.values()),
        "the policy job is cancelled": view.canceled_t,
        "East US is restored": at.restore_east,
        "East US collapses": view.collapse_t("eastus", at.restore_east),
        "West US collapses": view.collapse_t("westus", at.restore_east),
        "the first nodes are added": at.scale_1,
        "all traffic is removed": at.drain,
        "traffic comes back": at.ramp,
        "recovered": figures["recovered_t"],
    }
    assert None not in moments.values(), moments
    return sorted(moments, key=lambda name: moments[name] or 0.0)
