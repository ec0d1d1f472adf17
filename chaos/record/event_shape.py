"""The shape of an event on disk: what every reader of a record relies on, checked where it is read.

Only the kinds that some reader looks into have a shape. Other kinds, and fields that no reader needs, may be anything:
a later version may add some.
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from chaos.record.shape import LONGEST_S
from services.chassis.settings import explain

EventTime = Annotated[float, Field(ge=-LONGEST_S, le=LONGEST_S)]
EventSeconds = Annotated[float, Field(ge=0, le=LONGEST_S)]


class _Event(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    t: EventTime
    kind: str
    source: str = ""


class _Regional(_Event):
    region: str


class _AccountChanged(_Regional):
    account: str
    actor: str
    exempt: bool
    public: bool


class _Performed(_Event):
    action: str
    id: str = ""
    parameters: dict[str, Any] = {}


class _ActionFailed(_Event):
    error: str
    id: str = ""


class _Alert(_Event):
    name: str
    state: str
    region: str = ""
    regions: list[str] = []


class _Audit(_Event):
    private_exempt: int
    public_exempt: int
    unreachable: list[str] = []


class _Baseline(_Event):
    ok: bool
    success_ratio: float
    why: str = ""


class _FaultStarted(_Event):
    id: str
    fault: str
    lease_s: float
    target: dict[str, Any] = {}


class _FaultEnded(_Event):
    id: str
    why: str = ""


class _Observed(BaseModel):
    failure_ratio: float | None = None


class _GateDecision(_Regional):
    run: str
    decision: str
    reason: str
    observed: _Observed = _Observed()


class _IdentityScaled(_Regional):
    count: int
    id: str = ""


class _JobFinished(_Regional):
    result: str


class _MachineStalled(_Event):
    stalled_s: EventSeconds


class _NodeCrashed(_Regional):
    reason: str


class _Operation(_Regional):
    tenant: str
    operation: str
    result: str
    code: str
    duration_s: EventSeconds
    runner: str = ""


class _RemediationRun(_Event):
    run: str
    period: int


class _RemediationFinished(_Event):
    result: str
    reason: str = ""


class _RemediationSnapshot(_Event):
    records: int
    exemptions_missing: int
    age_s: float


class _RemediationWave(_Regional):
    run: str
    targets: list[str]


class _Run(_Event):
    state: str
    why: str = ""


class _TrafficChanged(_Regional):
    mode: str


SHAPES: dict[str, type[_Event]] = {
    "account_changed": _AccountChanged,
    "action": _Performed,
    "action_failed": _ActionFailed,
    "alert": _Alert,
    "audit": _Audit,
    "baseline": _Baseline,
    "collapse_began": _Regional,
    "collapse_ended": _Regional,
    "fault_ended": _FaultEnded,
    "fault_started": _FaultStarted,
    "gate_decision": _GateDecision,
    "identity_scaled": _IdentityScaled,
    "job_finished": _JobFinished,
    "machine_stalled": _MachineStalled,
    "node_crashed": _NodeCrashed,
    "operation": _Operation,
    "remediation_finished": _RemediationFinished,
    "remediation_snapshot": _RemediationSnapshot,
    "remediation_started": _RemediationRun,
    "remediation_wave_started": _RemediationWave,
    "run": _Run,
    "traffic_changed": _TrafficChanged,
}


def why_no_event(value: Any) -> str:
    """What is wrong with a line of the event log, with field and rule; empty if nothing is."""
    if not isinstance(value, dict):
        return "`t` and `kind` are needed"
    kind = value.get("kind")
    shape = SHAPES.get(kind, _Event) if isinstance(kind, str) else _Event
    try:
        shape.model_validate(value)
    except ValidationError as error:
        return explain(error)
    return ""
