"""The model of a fault: a kind with parameters, a target, a probability, and a lease after which it ends by itself.

Two levels. Service-level faults are rules that the services read from the store and let expire themselves.
Instance-level faults act on a process or a network from outside; their records are kept in the store, so that a
restarted controller finds and reverts them.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import Field

from compose.runtime import Runtime
from compose.topology import LOADGEN, InstanceSpec
from services.chassis.settings import Settings

FaultLevel = Literal["service", "instance"]
LEASE_MAX_S = 86_400.0
ACCOUNT_SERVICE = "blobstore"
RUNTIMES = ("virtual", "local", "compose")
PROBABILITY = "that a request (service level) or a target (instance level) is affected; 0 for a control"


class FaultParameters(Settings):
    """Base class of the parameters of a fault; the fields are its API. Strict: services read what is stored."""

    model_config = Settings.model_config | {"strict": True}


class FaultTarget(Settings):
    """Selects the instances of a fault; an empty field matches any. `account` limits blobstore faults to an account."""

    service: str = ""
    region: str = ""
    instance: str = ""
    account: str = ""

    def meets(self, spec: InstanceSpec) -> bool:
        return (
            self.service in ("", spec.service) and self.region in ("", spec.region) and self.instance in ("", spec.name)
        )


class FaultSpec(Settings):
    """A fault as requested by a caller."""

    kind: str
    target: FaultTarget = FaultTarget()
    parameters: dict[str, Any] = {}
    probability: float = Field(default=1.0, ge=0, le=1, description=PROBABILITY)
    lease_s: float = Field(gt=0, le=LEASE_MAX_S)


class Fault(ABC):
    """One kind of fault. Subclasses define `kind`, `summary`, `parameters` and the effect."""

    kind: ClassVar[str]
    summary: ClassVar[str]
    level: ClassVar[FaultLevel] = "service"
    parameters: ClassVar[type[FaultParameters]] = FaultParameters
    runtimes: ClassVar[tuple[str, ...]] = RUNTIMES
    """The runtimes that support it; others refuse it before the start."""

    @classmethod
    def candidates(cls, instances: Sequence[InstanceSpec], _target: FaultTarget) -> list[InstanceSpec]:
        """The instances of the testbed that a fault of this kind can affect."""
        return list(instances)

    @classmethod
    def offered_by(cls, _parameters: Any) -> tuple[str, ...]:
        """The runtimes that support it with these parameters."""
        return cls.runtimes

    @classmethod
    def describe(cls) -> dict[str, Any]:
        """The catalogue entry."""
        return {
            "kind": cls.kind,
            "level": cls.level,
            "summary": cls.summary,
            "runtimes": list(cls.runtimes),
            "parameters": cls.parameters.model_json_schema(),
        }


class ServiceFault(Fault):
    """A rule that the services apply to their own requests; nothing to start or stop besides the rule."""

    @classmethod
    def candidates(cls, instances: Sequence[InstanceSpec], target: FaultTarget) -> list[InstanceSpec]:
        """All instances that serve requests; only blob stores if the target has an account."""
        narrowed = ACCOUNT_SERVICE if target.account else ""
        return [spec for spec in instances if spec.service != LOADGEN and narrowed in ("", spec.service)]


@dataclass(frozen=True)
class Asked:
    """The requirement of one active fault on one instance; `left_s` is the rest of its lease in seconds."""

    id: str
    parameters: Any
    left_s: float


class InstanceFault(Fault):
    """A fault that acts on instances from outside.

    `apply` sets the state of one instance required by all active faults of the kind together; without any, the normal
    state. It is called on every change, and again after a failure.
    """

    level: ClassVar[FaultLevel] = "instance"
    restarts: ClassVar[bool] = False
    """Whether reverting it starts a new process, to which all other active faults have to be applied again."""

    @abstractmethod
    async def apply(self, runtime: Runtime, name: str, asked: Sequence[Asked]) -> None: ...

    def concerns(self, _parameters: Any, _name: str) -> bool:
        """Whether such a fault on another instance has to be applied again after a restart of `name`."""
        return False
