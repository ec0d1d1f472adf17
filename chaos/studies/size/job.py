"""One run of the size study: the incident, or a calm region that is watched until it tips by itself."""

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from chaos.experiment.experiment import Experiment
from chaos.experiment.plan import Plan, make_plan
from chaos.experiment.runs import TransportName, carry_out, quiet_libraries
from chaos.record.record import RunRecord
from chaos.scenarios.drill import without_drill
from chaos.scenarios.loader import load
from chaos.scenarios.model import Scenario
from chaos.scenarios.restrict import restrict
from chaos.studies.cache import Codec, Figure
from chaos.studies.map.probe import BASE_S, TIPPED_MAX, read
from chaos.verdict.claim_set import view_of
from chaos.verdict.verdict import judge

TRANSPORT: TransportName = "direct"
COLLAPSED = "CollapsedInWarmup"


@dataclass(frozen=True)
class SizeRun:
    """A scenario at a size with a seed."""

    scenario: str
    size: float
    seed: int
    calm_s: float = 0.0
    """Instead of the incident, East US alone at base load, watched for at most this long."""
    load: float = 1.0
    """Factor on the base load of a calm region."""

    def plan(self) -> Plan:
        """The plan of the run.

        Raises:
            ScenarioError, SettingsError: invalid input, such as a size that the scenario cannot have.
        """
        scenario = without_drill(load(self.scenario, size=self.size))
        return make_plan(calm(scenario, self.calm_s, self.load) if self.calm_s else scenario, self.seed)


def calm(scenario: Scenario, calm_s: float, factor: float) -> Scenario:
    """The first region that fails over (East US), alone for that long; nothing happens to it."""
    alone = restrict(scenario, [next(region.name for region in scenario.regions if region.pair)])
    load_there = {
        name: rates.model_copy(
            update={
                "token_rate_per_s": rates.token_rate_per_s * factor,
                "job_rate_per_s": rates.job_rate_per_s * factor,
            }
        )
        for name, rates in alone.load.items()
    }
    return alone.model_copy(update={"timeline": (), "duration_s": calm_s, "load": load_there})


@dataclass(frozen=True)
class SizeFinding:
    """Figures of one run."""

    values: dict[str, Figure] = field(default_factory=dict)
    problem: str = ""


def perform(job: SizeRun) -> SizeFinding:
    """Runs the job in this process, in virtual time."""
    quiet_libraries()
    return _watch(job) if job.calm_s else _incident(job)


def _incident(job: SizeRun) -> SizeFinding:
    finished = carry_out(job.plan(), transport=TRANSPORT)
    if finished.recorder is None or finished.problem or finished.interrupted:
        return SizeFinding(problem=finished.problem or "no record")
    return measured(RunRecord.from_memory(finished.plan, finished.recorder))


def measured(record: RunRecord) -> SizeFinding:
    """Expectations, 1 if they hold; delays of the collapses from the start of the wave; the amplification."""
    verdict, view = judge(record), view_of(record)
    wave = view.at.wave
    values: dict[str, float | None] = {
        fact.id: _flag(fact.status, "reproduced", "contradicted") for fact in verdict.expected
    }
    for name, region in view.sides.items():
        collapsed = view.collapse_t(region, wave)
        values[f"{name}_delay_s"] = None if collapsed is None or wave is None else collapsed - wave
    peak = verdict.figures["peak_amplification"]
    return SizeFinding({**values, "peak_amplification": peak if isinstance(peak, int | float) else None})


def _flag(status: str, yes: str, no: str) -> float | None:
    return {yes: 1.0, no: 0.0}.get(status)


class _Tipped(Exception):
    """Raised to end the run."""


class _Watch:
    """An observer that ends the run when the region has tipped."""

    def __init__(self) -> None:
        self.tipped_t: float | None = None

    def __call__(self, experiment: Experiment, t: float) -> None:
        if t < 0 or experiment.recorder is None:
            return
        if read(experiment.recorder, t - BASE_S, t).success <= TIPPED_MAX:
            self.tipped_t = t
            raise _Tipped


def _watch(job: SizeRun) -> SizeFinding:
    """How long the region was watched, and whether it tipped, in the warm-up too."""
    watch = _Watch()
    with suppress(_Tipped):
        finished = carry_out(job.plan(), transport=TRANSPORT, observers=[watch])
        events = finished.recorder.events if finished.recorder is not None else []
        if any(event["kind"] == "baseline" and event.get("reason") == COLLAPSED for event in events):
            watch.tipped_t = 0.0
        elif finished.problem or finished.interrupted:
            return SizeFinding(problem=finished.problem or "interrupted")
    watched = job.calm_s if watch.tipped_t is None else watch.tipped_t
    return SizeFinding({"watched_s": watched, "tipped": float(watch.tipped_t is not None)})


def _decides(job: SizeRun) -> dict[str, Any]:
    return {"calm_s": job.calm_s, **job.plan().document("virtual", TRANSPORT, "")}


CODEC = Codec("size", SizeFinding, _decides, lambda _job, text: SizeFinding(problem=text))
