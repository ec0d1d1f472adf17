"""One run of a campaign, as a picklable job and result."""

from dataclasses import dataclass, field
from typing import Any

from chaos.experiment.plan import Plan, make_plan
from chaos.experiment.runs import TransportName, carry_out, quiet_libraries
from chaos.mitigations import bundle_name
from chaos.record.record import RunRecord
from chaos.scenarios.drill import without_drill
from chaos.scenarios.loader import load
from chaos.scenarios.model import Scenario
from chaos.scenarios.whatif import rearrange
from chaos.scenarios.without import without_drain
from chaos.studies.cache import Codec
from chaos.studies.campaign.defended import judge_defended
from chaos.studies.campaign.perturb import perturbation
from chaos.verdict.claim_set import ClaimSet, claim_set, view_of
from chaos.verdict.verdict import judge
from services.chassis.settings import SettingsError


@dataclass(frozen=True)
class CampaignRun:
    """A scenario with a seed: unchanged, perturbed, as a control, or with mitigations."""

    scenario: str
    seed: int
    perturb: float = 0.0
    control: str = ""
    transport: TransportName = "direct"
    mitigations: tuple[str, ...] = ()
    size: float | None = None
    """Instead of the scenario's."""
    drops: tuple[str, ...] = ()
    changes: tuple[str, ...] = ()
    """Another timeline: entries that are left out, and values of entries (`chaos/scenarios/whatif.py`)."""

    @property
    def group(self) -> str:
        if self.control:
            return f"control {self.control}"
        other = ", ".join([*(f"without {entry}" for entry in self.drops), *self.changes])
        shaken = f"±{self.perturb:.0%} perturbed" if self.perturb else ""
        name = ", ".join(filter(None, (other, shaken))) or "as it was"
        return f"{bundle_name(self.mitigations)}, {name}" if self.mitigations else name

    def plan(self) -> Plan:
        """The plan of the run; with mitigations without a drain, which they are to make needless.

        Raises:
            ScenarioError, SettingsError: invalid input.
        """
        scenario, overlays = rearrange(load(self.scenario, size=self.size), (), self.drops, self.changes), []
        if self.control:
            changed = claims_of(scenario).variant(self.control, scenario)
            scenario, overlays = changed.scenario, [changed.overlay]
        if self.mitigations:
            scenario = without_drain(scenario)
        if self.mitigations or self.perturb:
            scenario = without_drill(scenario)
        if self.perturb:
            overlays.append(perturbation(scenario, self.perturb, self.seed))
        return make_plan(scenario, self.seed, overlays=overlays, mitigations=self.mitigations)


def claims_of(scenario: Scenario) -> ClaimSet:
    """The claim set that the scenario names, which has the controls.

    Raises:
        SettingsError: it names none.
    """
    if scenario.claims is None:
        raise SettingsError(f"claims: {scenario.name} names no claim set, so it has no controls")
    return claim_set(scenario.claims)


@dataclass(frozen=True)
class CampaignResult:
    """The result. `holds`: all expectations hold, or the control or the mitigations show the expected result."""

    job: CampaignRun
    holds: bool
    failed: tuple[str, ...] = ()
    note: str = ""
    figures: dict[str, Any] = field(default_factory=dict)
    claims: dict[str, str] = field(default_factory=dict)
    details: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Measured values and note by claim, for unchanged runs of the incident."""


def perform(job: CampaignRun) -> CampaignResult:
    """Runs the job in this process, in virtual time, and judges its record."""
    quiet_libraries()
    finished = carry_out(job.plan(), transport=job.transport)
    if finished.recorder is None or finished.problem:
        return CampaignResult(job, False, ("baseline",), finished.problem or "no record")
    record = RunRecord.from_memory(finished.plan, finished.recorder)
    verdict = judge(record)
    claims = {claim.id: claim.status for claim in verdict.claims}
    if job.control:
        finding = claims_of(load(job.scenario)).judge_control(job.control, record)
        return CampaignResult(
            job, finding.holds, () if finding.holds else (job.control,), finding.note, verdict.figures, claims
        )
    if job.mitigations:
        defended = judge_defended(view_of(record))
        return CampaignResult(
            job, defended.holds, defended.failed, defended.note, {**verdict.figures, **defended.figures}
        )
    failed = tuple(one.id for one in verdict.expected if one.status != "reproduced")
    details = {} if job.perturb else {c.id: {"measured": c.measured, "note": c.note} for c in verdict.claims}
    return CampaignResult(job, not failed, failed, verdict.why, verdict.figures, claims, details)


def _decides(job: CampaignRun) -> dict[str, Any]:
    """The plan plus what it does not contain: the perturbation and by which control the run is judged."""
    return {"judged_as": job.control, "perturb": job.perturb, **job.plan().document("virtual", job.transport, "")}


CODEC = Codec("campaign", CampaignResult, _decides, lambda job, text: CampaignResult(job, False, ("run",), text))
