"""The actions of a scenario: a closed set of operator and world actions, one model each.

No action sets an outcome: saturation, failures, alerts and recovery follow from the services. A test pins this set and
its fields.
"""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from chaos.faults.desk import ACTION
from chaos.faults.model import LEASE_MAX_S, FaultSpec, FaultTarget
from chaos.faults.registry import known
from chaos.remediation.settings import POLICY, GateSettings, InventorySettings
from loadgen.settings import FACTOR_MAX
from services.parts.loading import build

RegionName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]{1,23}$")]
AccountGlob = Annotated[str, StringConstraints(pattern=r"^[a-z0-9*?]{1,24}$")]
MitigationId = Literal["R1", "R2", "R3", "R4", "R5", "R6", "R7", "X1", "X2", "X3", "X4", "X5", "X6"]
LONGEST_S = 86_400.0
"""Maximum duration: a day of bench time is two months of incident time."""

Seconds = Annotated[float, Field(gt=0, le=LONGEST_S, allow_inf_nan=False)]
Pause = Annotated[float, Field(ge=0, le=LONGEST_S, allow_inf_nan=False)]
Fraction = Annotated[float, Field(gt=0, le=2, allow_inf_nan=False)]
Regions = Annotated[tuple[RegionName, ...], Field(min_length=1)]
FaultName = Annotated[str, AfterValidator(lambda name: known(name) and name)]
"""A kind of the catalogue, or a fault of the user's own."""


class Action(BaseModel):
    """Base class of all actions. `do` is the name in the file."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def parameters(self) -> dict[str, Any]:
        """The parameters, for the plan and the event log."""
        return self.model_dump(mode="json", exclude={"do"}, exclude_none=True, by_alias=True)

    def named_regions(self) -> Iterator[tuple[tuple[str | int, ...], str]]:
        """The regions named by this action, each with its field path."""
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
    """Starts the policy job, which runs periodically. Omitted fields come from the scenario's `remediation`."""

    do: Literal["start_remediation"]
    policy: Literal["storage-account-disable-public-blob-access"] = POLICY
    period_s: Annotated[float, Field(ge=0.5, le=LONGEST_S)] | None = None
    parallel: Annotated[int, Field(ge=1, le=30)] | None = None
    gate: GateSettings | None = None
    inventory: InventorySettings | None = None

    def parameters(self) -> dict[str, Any]:
        return self.model_dump(mode="json", exclude={"do"}, exclude_unset=True)


class CancelRemediation(Action):
    """An operator disables the policy job and cancels its current run."""

    do: Literal["cancel_remediation"]


class RestoreAccounts(Action):
    """Operators make exempt accounts public again, in the order given."""

    do: Literal["restore_accounts"]
    regions: Regions
    accounts: Annotated[tuple[AccountGlob, ...], Field(min_length=1)] = ("*",)
    spacing_s: Pause = 0.0


class DisableAccounts(Action):
    """Makes exempt accounts private, as the policy job did, for a drill or a replay of the trigger."""

    do: Literal["disable_accounts"]
    regions: Regions
    accounts: Annotated[tuple[AccountGlob, ...], Field(min_length=1)]


class AuditAccounts(Action):
    """Operators compare the state of all accounts with the intended state."""

    do: Literal["audit_accounts"]


class ScaleIdentity(Action):
    """Adds nodes to the identity service; `nodes` is the number of additional nodes by region."""

    do: Literal["scale_identity"]
    nodes: Annotated[dict[RegionName, Annotated[int, Field(ge=1, le=200)]], Field(min_length=1)]


class Drain(Action):
    """The routers of these regions admit nothing."""

    do: Literal["drain"]
    regions: Regions


class Ramp(Action):
    """Admission ramps from one fraction of nominal capacity to another, in each region separately."""

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
    """Sets the load of a region to `factor` times its base load, permanently or for `for_s` seconds.

    A later entry for the region replaces it, and its end with it.
    """

    do: Literal["set_load"]
    region: RegionName
    factor: Annotated[float, Field(ge=0, le=FACTOR_MAX)]
    for_s: Seconds | None = None


class InjectFault(Action):
    """Starts a fault. It ends with an `end_fault` that names this entry, or with its lease."""

    do: Literal["inject_fault"]
    kind: FaultName
    target: FaultTarget = FaultTarget()
    fault_parameters: dict[str, str | int | float | bool] = Field(default={}, alias="parameters")
    probability: Annotated[float, Field(ge=0, le=1)] = 1.0
    lease_s: Annotated[float, Field(gt=0, le=LEASE_MAX_S)]

    @property
    def spec(self) -> FaultSpec:
        """The fault specification for the registry."""
        return FaultSpec(
            kind=self.kind,
            target=self.target,
            parameters=self.fault_parameters,
            probability=self.probability,
            lease_s=self.lease_s,
        )


class EndFault(Action):
    """Ends the fault started by an earlier entry; `fault` is that entry's id."""

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


class Own(Action):
    """An action of the user's own; the part performs it through an `OperatorDesk`."""

    do: Literal["own"]
    part: Annotated[str, Field(min_length=1, max_length=200)]
    options: dict[str, str | int | float | bool] = {}

    @model_validator(mode="after")
    def _is_built(self) -> "Own":
        build(ACTION, self.part, self.options)
        return self


class Note(Action):
    """No effect. `observe` is the statement of the report for this time; the run does not use it."""

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
    | Own
    | Note,
    Field(discriminator="do"),
]

ACTIONS: tuple[type[Action], ...] = get_args(get_args(AnyAction)[0])
