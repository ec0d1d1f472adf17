"""What the controller answers, as models: the schemas of its OpenAPI document come from here.

Handlers answer plain documents; every test that calls the controller compares them with these models.
"""

from typing import Any, Literal

from pydantic import BaseModel, Field

from chaos.faults.model import FaultLevel, FaultTarget
from chaos.verdict.model import ClaimStatus
from chaos.verdict.verdict import Outcome

JsonObject = dict[str, Any]


class ErrorDetail(BaseModel):
    code: str
    message: str
    target: str = Field(default="", description="the field that is meant, where there is one")


class Error(BaseModel):
    """Every error of the controller."""

    error: ErrorDetail


class ControllerAlive(BaseModel):
    status: Literal["alive"]


# --- accounts --------------------------------------------------------------------------------------------


class ListedAccount(BaseModel):
    name: str
    region: str
    public: bool = Field(description="allowBlobPublicAccess")
    exempt: bool = Field(description="anonymous reads are intended")


class AccountList(BaseModel):
    accounts: list[ListedAccount]


class AccessChanged(BaseModel):
    enabled: bool
    accounts: list[str]


# --- the policy job --------------------------------------------------------------------------------------


class FailureThreshold(BaseModel):
    percentage: float


class DeploymentStatus(BaseModel):
    totalDeployments: int
    successfulDeployments: int
    failedDeployments: int


class RemediationStatus(BaseModel):
    """The properties that Microsoft.PolicyInsights shows of a remediation."""

    policyAssignmentId: str
    resourceDiscoveryMode: str
    resourceCount: int
    parallelDeployments: int
    failureThreshold: FailureThreshold
    provisioningState: str
    statusMessage: str
    deploymentStatus: DeploymentStatus
    correlationId: str
    createdOn: str
    lastUpdatedOn: str


class Locations(BaseModel):
    locations: list[str]


class RemediationProperties(RemediationStatus):
    """The same, with what the caller set besides."""

    policyDefinitionReferenceId: str = ""
    filters: Locations = Locations(locations=[])


class RemediationResource(BaseModel):
    id: str
    name: str
    type: str
    properties: RemediationProperties


class RemediationList(BaseModel):
    value: list[RemediationResource]


# --- faults ----------------------------------------------------------------------------------------------


class FaultKindView(BaseModel):
    kind: str
    level: FaultLevel
    summary: str
    runtimes: list[str] = Field(description="where it is offered")
    parameters: JsonObject = Field(description="JSON schema of the parameters")


class FaultCatalogue(BaseModel):
    faults: list[FaultKindView]


class FaultSummary(BaseModel):
    """A fault under way."""

    id: str
    kind: str
    target: FaultTarget
    parameters: JsonObject
    probability: float
    lease_s: float
    level: FaultLevel
    expires_at: float = Field(description="Unix time")
    instances: list[str]
    effects: int = Field(description="requests changed, or instances touched, so far")
    unmet: list[str] = Field(description="what it asks for and could not have, each `instance: reason`")


class FaultView(FaultSummary):
    left_s: float = Field(description="until its lease is over")


class FaultList(BaseModel):
    faults: list[FaultView]


class FaultPreview(BaseModel):
    """Whom the fault would meet; nothing was started."""

    dry_run: Literal[True]
    instances: list[str]


class FaultEnded(BaseModel):
    id: str
    state: Literal["ended"]


class FaultsEnded(BaseModel):
    ended: int


class Calm(BaseModel):
    faults_ended: int
    took_s: float


# --- operations ------------------------------------------------------------------------------------------


class Restored(BaseModel):
    restored: list[str]


class Scaled(BaseModel):
    region: str
    nodes: list[str] = Field(description="added or removed")


class RegionTrafficChanged(BaseModel):
    region: str
    mode: Literal["open", "drain", "ramp"]


class Repaired(BaseModel):
    instance: str
    state: Literal["restarted", "down"] = Field(description="`down`: a fault keeps it down; `unmet` names it")
    unmet: list[str] = Field(description="faults that go on meeting the instance")


class LoadChanged(BaseModel):
    region: str
    factor: float


class AuditSummary(BaseModel):
    accounts: int
    public_exempt: int
    private_exempt: int


# --- mitigations -----------------------------------------------------------------------------------------


class MitigationView(BaseModel):
    id: str
    title: str
    source: str
    attacks: list[str]
    changes: str
    kinds: list[str]
    switchable: bool = Field(description="whether it can be switched while services run")
    overlay: JsonObject
    on: bool


class MitigationList(BaseModel):
    mitigations: list[MitigationView]


class MitigationSwitched(BaseModel):
    id: str
    on: bool
    all_on: list[str]


# --- scenarios and runs ----------------------------------------------------------------------------------


class ScenarioSummary(BaseModel):
    name: str
    title: str
    duration_s: float
    source: str


class ScenarioList(BaseModel):
    scenarios: list[ScenarioSummary]


class RunView(BaseModel):
    """The run under way, or the last one."""

    id: str
    scenario: str
    seed: int
    mitigations: list[str]
    runtime: str = Field(description="virtual: apart from the testbed, in virtual time; else on the testbed")
    state: Literal["starting", "running", "settling", "judging", "done", "failed", "aborted"]
    why: str
    duration_s: float
    zero_epoch_s: float
    now: JsonObject = Field(description="what the last tick showed; empty before the first")


class RunSummary(BaseModel):
    id: str
    status: str = Field(description="of its verdict; or `not judged`, or `unreadable`")
    why: str = Field(default="", description="what is wrong with the record of an unreadable run")


class RunList(BaseModel):
    runs: list[RunSummary]


class JudgedClaim(BaseModel):
    id: str
    status: ClaimStatus
    statement: str
    predicate: str
    measured: JsonObject
    window: list[float] | None
    kind: str
    source: str
    rests_on: str
    control: str
    note: str


class VerdictView(BaseModel):
    scenario: str
    seed: int
    runtime: str
    status: Outcome
    why: str
    figures: JsonObject
    claims: list[JudgedClaim]


class ComparisonView(BaseModel):
    """Pairs are [left, right]."""

    same: bool
    left: Outcome
    right: Outcome
    plan: dict[str, list[Any]]
    figures: dict[str, list[Any]]
    claims: dict[str, list[ClaimStatus]]


# --- moments ---------------------------------------------------------------------------------------------


class SuccessView(BaseModel):
    """Shares of what was tried in the last seconds; null where nothing was."""

    provisioning: float | None
    identity: float | None


class Tick(BaseModel):
    """The testbed at one second."""

    at: float = Field(description="Unix time")
    source: str
    kind: Literal["tick"]
    run: str = Field(description="the run under way; empty while there is none")
    t: float = Field(description="bench seconds since the incident began; without a run, of a clock of its own")
    clock: str = Field(description="the incident's calendar, in scenarios that keep its pace")
    phase: str = Field(description="what was done last")
    total: SuccessView
    regions: dict[str, SuccessView]
    asked_per_s: float = Field(description="identity operations that callers began")
    offered_per_s: float = Field(description="attempts that became of them")
    good_per_s: float = Field(description="work that nodes finished for somebody who waited")
    wasted_per_s: float = Field(description="work that nodes finished for nobody")
    amplification: float | None = Field(description="attempts for each operation begun")
    backlog: int = Field(description="provisioning jobs that wait")
    nodes_up: int


class Ticks(BaseModel):
    ticks: list[Tick]


class SessionOpened(BaseModel):
    reads: str = Field(description="the path below which the cookie is good for reading")


# --- alerts and status -----------------------------------------------------------------------------------


class Received(BaseModel):
    received: int


class TargetGroup(BaseModel):
    """A group of Prometheus' HTTP service discovery."""

    targets: list[str]
    labels: dict[str, str]


class RegionStatus(BaseModel):
    name: str
    display: str
    reachable: bool
    exempt_public: int
    exempt_private: int
    traffic: str
    nodes: int
    urls: dict[str, str]


class Remedy(BaseModel):
    """The operation that ends it."""

    label: str
    method: str
    path: str


class BannerView(BaseModel):
    """What is wrong with the testbed, and since when."""

    kind: Literal["collapse", "stall"]
    since: str
    text: str
    remedy: Remedy | None


class LoadView(BaseModel):
    """What the users of the idle testbed send."""

    profile: Literal["base", "rest"]


class TestbedStatus(BaseModel):
    __test__ = False  # a name that pytest would take for a test class

    banner: BannerView | None
    load: LoadView
    regions: list[RegionStatus]
    run: RunView | None
    remediation: RemediationStatus | None
    faults: list[FaultSummary]
    mitigations: list[str]
