"""Response models of the controller, for the schemas of its OpenAPI document.

Handlers return plain documents; every test that calls the controller validates them against these models.
"""

from typing import Literal

from pydantic import BaseModel, Field

from chaos.controller.run_documents import JsonObject, RunView
from chaos.faults.model import FaultLevel, FaultTarget


class ErrorDetail(BaseModel):
    code: str
    message: str
    target: str = Field(default="", description="the field concerned, if any")


class Error(BaseModel):
    """The error response of all calls."""

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
    """Properties of a remediation, as in Microsoft.PolicyInsights."""

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
    """The same, with the properties set by the caller."""

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
    runtimes: list[str] = Field(description="the runtimes that support it")
    parameters: JsonObject = Field(description="JSON schema of the parameters")


class FaultCatalogue(BaseModel):
    faults: list[FaultKindView]


class FaultSummary(BaseModel):
    """An active fault."""

    id: str
    kind: str
    target: FaultTarget
    parameters: JsonObject
    probability: float
    lease_s: float
    level: FaultLevel
    expires_at: float = Field(description="Unix time")
    instances: list[str]
    effects: int = Field(description="requests or instances affected so far")
    unmet: list[str] = Field(description="what could not be applied, as `instance: reason`")


class FaultView(FaultSummary):
    left_s: float = Field(description="remaining lease in seconds")


class FaultList(BaseModel):
    faults: list[FaultView]


class FaultPreview(BaseModel):
    """The instances that the fault would affect; nothing was started."""

    dry_run: Literal[True]
    instances: list[str]


class FaultEnded(BaseModel):
    id: str
    state: Literal["ended"]


class FaultsEnded(BaseModel):
    ended: int
    unmet: list[str] = Field(description="faults that could not be ended now, as `id: reason`; they stay listed")


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
    unmet: list[str] = Field(description="faults still active on the instance")


class LoadChanged(BaseModel):
    region: str
    factor: float


class AuditSummary(BaseModel):
    accounts: int
    public_exempt: int
    private_exempt: int
    unreachable: list[str] = Field(description="regions whose accounts could not be listed")


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


# --- moments ---------------------------------------------------------------------------------------------


class SuccessView(BaseModel):
    """Success ratios over the last seconds; null without attempts."""

    provisioning: float | None
    identity: float | None


class Tick(BaseModel):
    """The key figures of the testbed at one second."""

    at: float = Field(description="Unix time")
    source: str
    kind: Literal["tick"]
    run: str = Field(description="the run in progress; empty without one")
    t: float = Field(
        description="bench seconds since the start of the scenario; without a run, of the controller's clock"
    )
    clock: str = Field(description="incident time, in scenarios with the incident's pace")
    phase: str = Field(description="the last action")
    total: SuccessView
    regions: dict[str, SuccessView]
    asked_per_s: float = Field(description="identity operations started by callers")
    offered_per_s: float = Field(description="attempts made for them")
    good_per_s: float = Field(description="work finished before the caller's timeout")
    wasted_per_s: float = Field(description="work finished after the caller's timeout")
    amplification: float | None = Field(description="attempts per operation started")
    backlog: int = Field(description="queued and blocked provisioning jobs")
    nodes_up: int


class Ticks(BaseModel):
    ticks: list[Tick]


class SessionOpened(BaseModel):
    reads: str = Field(description="the path below which the cookie allows reading")


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
    down_since: str | None = Field(description="start of the collapse, ISO 8601; null during a run")
    traffic: str
    nodes: int
    urls: dict[str, str]


class Remedy(BaseModel):
    """The API call that ends the problem."""

    label: str
    method: str
    path: str


class BannerView(BaseModel):
    """The current problem of the testbed, or a run of another process, and its start."""

    kind: Literal["collapse", "stall", "run"]
    since: str
    text: str
    remedy: Remedy | None


class LoadView(BaseModel):
    """The load of the idle testbed."""

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
