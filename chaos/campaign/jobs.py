"""One run of a campaign, as a value that can be sent to another process and back."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from multiprocessing import get_context

from chaos.campaign.controls import variant
from chaos.campaign.perturb import perturbation
from chaos.claims.controls import judge_control
from chaos.claims.verdict import FACTS, judge
from chaos.plan import make_plan
from chaos.record import Record
from chaos.runs import TransportName, carry_out, quiet_libraries
from chaos.scenarios.loader import load


@dataclass(frozen=True)
class Job:
    """A scenario with a seed; perturbed, or changed into a control, or as it is."""

    scenario: str
    seed: int
    perturb: float = 0.0
    control: str = ""
    transport: TransportName = "direct"

    @property
    def group(self) -> str:
        if self.control:
            return f"control {self.control}"
        return f"±{self.perturb:.0%} perturbed" if self.perturb else "as it was"


@dataclass(frozen=True)
class Result:
    """How the job ended. `holds` is all five facts, or what the control must show."""

    job: Job
    holds: bool
    failed: tuple[str, ...] = ()
    note: str = ""
    figures: dict[str, float | None] = field(default_factory=dict)
    claims: dict[str, str] = field(default_factory=dict)


def perform(job: Job) -> Result:
    """Carries the job out in this process, in virtual time, and judges its record."""
    quiet_libraries()
    scenario, overlays = load(job.scenario), []
    if job.control:
        changed = variant(job.control, scenario)
        scenario, overlays = changed.scenario, [changed.overlay]
    if job.perturb:
        overlays.append(perturbation(scenario, job.perturb, job.seed))
    finished = carry_out(make_plan(scenario, job.seed, overlays=overlays), transport=job.transport)
    if finished.recorder is None or finished.problem:
        return Result(job, False, ("baseline",), finished.problem or "no record")
    record = Record.from_memory(finished.plan, finished.recorder)
    verdict = judge(record)
    claims = {claim.id: claim.status for claim in verdict.claims}
    if job.control:
        finding = judge_control(job.control, record)
        return Result(
            job, finding.holds, () if finding.holds else (job.control,), finding.note, verdict.figures, claims
        )
    failed = tuple(fact for fact in FACTS if claims[fact] != "reproduced")
    return Result(job, not failed, failed, verdict.why, verdict.figures, claims)


def perform_all(jobs: Sequence[Job], processes: int) -> Iterator[Result]:
    """Results as they come. Processes are spawned fresh: a virtual world must not inherit a half-used one."""
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for future in as_completed([pool.submit(perform, job) for job in jobs]):
            yield future.result()
