"""What a fault is: a kind with parameters, a target, a probability, and a lease after which it is over by itself.

Two families. Service-level faults are rules that the services themselves read and let expire, so nobody is needed to
end them. Instance-level faults are done to a process or a network from outside; the controller keeps their record in
the store, so that a controller that was killed finds and reverts them when it is back.
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
PROBABILITY = "of each request (service level) or each target (instance level) to be met; 0 is a control"


class FaultParameters(Settings):
    """Base of every fault's parameters; the fields are its API."""


class FaultTarget(Settings):
    """Whom a fault meets; an empty field means any. `account` narrows blobstore faults to one storage account."""

    service: str = ""
    region: str = ""
    instance: str = ""
    account: str = ""

    def meets(self, spec: InstanceSpec) -> bool:
        return (
            self.service in ("", spec.service) and self.region in ("", spec.region) and self.instance in ("", spec.name)
        )


class FaultSpec(Settings):
    """A fault as a caller asks for it."""

    kind: str
    target: FaultTarget = FaultTarget()
    parameters: dict[str, Any] = {}
    probability: float = Field(default=1.0, ge=0, le=1, description=PROBABILITY)
    lease_s: float = Field(gt=0, le=LEASE_MAX_S)


class Fault(ABC):
    """One kind of fault. Subclasses state `kind`, `summary`, `parameters`, and how it starts and ends."""

    kind: ClassVar[str]
    summary: ClassVar[str]
    level: ClassVar[FaultLevel] = "service"
    parameters: ClassVar[type[FaultParameters]] = FaultParameters
    runtimes: ClassVar[tuple[str, ...]] = RUNTIMES
    """Where it is offered; elsewhere it is refused before anything is done."""

    @classmethod
    def candidates(cls, instances: Sequence[InstanceSpec], _target: FaultTarget) -> list[InstanceSpec]:
        """Those of the testbed's instances that a fault of this kind can meet."""
        return list(instances)

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
    """A rule that the services carry out on their own requests; nothing to start or stop beyond the rule itself."""

    @classmethod
    def candidates(cls, instances: Sequence[InstanceSpec], target: FaultTarget) -> list[InstanceSpec]:
        """All that take requests; an account is a matter of blob stores only."""
        narrowed = ACCOUNT_SERVICE if target.account else ""
        return [spec for spec in instances if spec.service != LOADGEN and narrowed in ("", spec.service)]


@dataclass(frozen=True)
class Asked:
    """What one active fault asks of one instance."""

    id: str
    parameters: Any
    left_s: float


class InstanceFault(Fault):
    """Something done to instances from outside.

    `apply` makes one instance suffer what all active faults of the kind ask of it together, and nothing when none
    does. It is called whenever that changes, and again after a failure.
    """

    level: ClassVar[FaultLevel] = "instance"
    restarts: ClassVar[bool] = False
    """Whether lifting it starts a new process, to which everything else that is still asked has to be done anew."""

    @abstractmethod
    async def apply(self, runtime: Runtime, name: str, asked: Sequence[Asked]) -> None: ...

    def concerns(self, _parameters: Any, _name: str) -> bool:
        """Whether such a fault on another instance has to be applied anew when `name` has been started again."""
        return False
