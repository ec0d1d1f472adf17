"""Everything a scenario can make happen: a closed set of operator and world actions, one model each.

There is no action that names a result. What saturates, fails, fires or recovers follows from the services; a test
holds this set and its fields to the list below.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from chaos.faults.model import LEASE_MAX_S, FaultSpec, FaultTarget
from chaos.remediation.settings import POLICY, GateSettings, InventorySettings
from loadgen.settings import FACTOR_MAX

RegionName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]{1,23}$")]
AccountGlob = Annotated[str, StringConstraints(pattern=r"^[a-z0-9*?]{1,24}$")]
MitigationId = Literal["R1", "R2", "R3", "R4", "R5", "R6", "R7", "X1", "X2", "X3", "X4", "X5", "X6"]
LONGEST_S = 86_400.0
"""A day of bench time is two months of incident."""

Seconds = Annotated[float, Field(gt=0, le=LONGEST_S, allow_inf_nan=False)]
Pause = Annotated[float, Field(ge=0, le=LONGEST_S, allow_inf_nan=False)]
Fraction = Annotated[float, Field(gt=0, le=2, allow_inf_nan=False)]
Regions = Annotated[tuple[RegionName, ...], Field(min_length=1)]
FaultKind = Literal[
    "latency",
    "http_error",
    "fail_first",
    "throttle",
    "connection_reset",
    "blackhole",
    "crash",
    "freeze",
    "cpu_limit",
    "partition",
    "redis_stall",
]


class Action(BaseModel):
    """Base of all actions. `do` is the name in the file."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def parameters(self) -> dict[str, Any]:
        """The parameters, for plan and event log."""
        return self.model_dump(mode="json", exclude={"do"}, exclude_none=True, by_alias=True)

    def named_regions(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """Where this action names a region, and which."""
        for field in ("regions", "nodes"):
            for position, name in _places(getattr(self, field, ())):
                yield (field, position), name
        region = getattr(self, "region", None)
        if region is not None:
            yield ("region",), region


def _places(value: Any) -> Iterator[tuple[str | int, str]]:
    if isinstance(value, dict):
        yield from ((name, name) for name in value)
    else:
        yield from enumerate(value)


class StartRemediation(Action):
    """The policy job starts, and runs again on its period. What is not given here is the scenario's `remediation`."""

    do: Literal["start_remediation"]
    policy: Literal["storage-account-disable-public-blob-access"] = POLICY
    period_s: Annotated[float, Field(ge=0.5, le=LONGEST_S)] | None = None
    parallel: Annotated[int, Field(ge=1, le=30)] | None = None
    gate: GateSettings | None = None
    inventory: InventorySettings | None = None

    def parameters(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude={"do"}, exclude_unset=True)


class CancelRemediation(Action):
    """An operator disables the policy job and stops what it is doing."""

    do: Literal["cancel_remediation"]


class RestoreAccounts(Action):
    """Operators make exempt accounts public again, in the order given."""

    do: Literal["restore_accounts"]
    regions: Regions
    accounts: Annotated[tuple[AccountGlob, ...], Field(min_length=1)] = ("*",)
    spacing_s: Pause = 0.0


class DisableAccounts(Action):
    """Somebody makes exempt accounts private, as the policy job did: a drill, or the trigger once more."""

    do: Literal["disable_accounts"]
    regions: Regions
    accounts: Annotated[tuple[AccountGlob, ...], Field(min_length=1)]


class AuditAccounts(Action):
    """Operators compare all accounts with what they should be."""

    do: Literal["audit_accounts"]


class ScaleIdentity(Action):
    """Nodes are added to the identity service; `nodes` is how many more, by region."""

    do: Literal["scale_identity"]
    nodes: Annotated[dict[RegionName, Annotated[int, Field(ge=1, le=200)]], Field(min_length=1)]


class Drain(Action):
    """The routers of these regions admit nothing."""

    do: Literal["drain"]
    regions: Regions


class Ramp(Action):
    """Admission rises from one fraction of nominal capacity to another, in each region by itself."""

    do: Literal["ramp"]
    regions: Regions
    from_fraction: Fraction = 0.1
    to_fraction: Fraction = 0.85
    over_s: Seconds
    hold_s: Pause = 0.0

    @model_validator(mode="after")
    def _rises(self) -> "Ramp":
        if self.to_fraction < self.from_fraction:
            raise ValueError("to_fraction must not be below from_fraction")
        return self


class Open(Action):
    """The routers of these regions admit everything again."""

    do: Literal["open"]
    regions: Regions


class SetLoad(Action):
    """Users of a region send `factor` times the usual; for ever, or for a while."""

    do: Literal["set_load"]
    region: RegionName
    factor: Annotated[float, Field(ge=0, le=FACTOR_MAX)]
    for_s: Seconds | None = None


class InjectFault(Action):
    """A leased fault begins. It ends by `end_fault` naming this entry, or when the lease is over."""

    do: Literal["inject_fault"]
    kind: FaultKind
    target: FaultTarget = FaultTarget()
    fault_parameters: dict[str, str | int | float | bool] = Field(default={}, alias="parameters")
    probability: Annotated[float, Field(ge=0, le=1)] = 1.0
    lease_s: Annotated[float, Field(gt=0, le=LEASE_MAX_S)]

    @property
    def spec(self) -> FaultSpec:
        """The fault as the registry knows it."""
        return FaultSpec(
            kind=self.kind,
            target=self.target,
            parameters=self.fault_parameters,
            probability=self.probability,
            lease_s=self.lease_s,
        )


class EndFault(Action):
    """Ends the fault that an earlier entry began; `fault` is that entry's id."""

    do: Literal["end_fault"]
    fault: str


class Mitigate(Action):
    """Operators switch mitigations on or off."""

    do: Literal["mitigate"]
    on: tuple[MitigationId, ...] = ()
    off: tuple[MitigationId, ...] = ()

    @model_validator(mode="after")
    def _names_something(self) -> "Mitigate":
        if not self.on and not self.off:
            raise ValueError("needs `on` or `off`")
        both = set(self.on) & set(self.off)
        if both:
            raise ValueError(f"cannot be both on and off: {', '.join(sorted(both))}")
        return self


class Note(Action):
    """Nothing happens. `observe` is what the report says of this moment; the run does not read it."""

    do: Literal["note"]
    observe: Annotated[str, Field(min_length=1, max_length=500)]


AnyAction = Annotated[
    StartRemediation
    | CancelRemediation
    | RestoreAccounts
    | DisableAccounts
    | AuditAccounts
    | ScaleIdentity
    | Drain
    | Ramp
    | Open
    | SetLoad
    | InjectFault
    | EndFault
    | Mitigate
    | Note,
    Field(discriminator="do"),
]

ACTIONS: tuple[type[Action], ...] = (
    StartRemediation,
    CancelRemediation,
    RestoreAccounts,
    DisableAccounts,
    AuditAccounts,
    ScaleIdentity,
    Drain,
    Ramp,
    Open,
    SetLoad,
    InjectFault,
    EndFault,
    Mitigate,
    Note,
)
