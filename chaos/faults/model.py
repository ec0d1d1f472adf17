"""What a fault is: a kind with parameters, a target, a probability, and a lease after which it is over by itself.

Two families. Service-level faults are rules that the services themselves read and let expire, so nobody is needed to
end them. Instance-level faults are done to a process or a network from outside; the controller keeps their record in
the store, so that a controller that was killed finds and reverts them when it is back.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field

from compose.runtime import Runtime
from compose.topology import InstanceSpec
from services.chassis.settings import Settings

Level = Literal["service", "instance"]
LEASE_MAX_S = 86_400.0
PROBABILITY = "of each request (service level) or each target (instance level) to be met; 0 is a control"


class Parameters(Settings):
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
    level: ClassVar[Level] = "service"
    parameters: ClassVar[type[Parameters]] = Parameters

    @classmethod
    def describe(cls) -> dict[str, Any]:
        """The catalogue entry."""
        return {
            "kind": cls.kind,
            "level": cls.level,
            "summary": cls.summary,
            "parameters": cls.parameters.model_json_schema(),
        }


class ServiceFault(Fault):
    """A rule that the services carry out on their own requests; nothing to start or stop beyond the rule itself."""


class InstanceFault(Fault):
    """Something done to instances from outside.

    `stop` undoes it, and may be called again after a failure. `lease_s` is for what can end by itself where it happens.
    """

    level: ClassVar[Level] = "instance"

    @abstractmethod
    async def start(
        self, runtime: Runtime, targets: Sequence[InstanceSpec], parameters: Any, lease_s: float
    ) -> None: ...

    @abstractmethod
    async def stop(self, runtime: Runtime, targets: Sequence[InstanceSpec], parameters: Any) -> None: ...


async def on_each(targets: Sequence[InstanceSpec], act: Callable[[str], Awaitable[object]]) -> None:
    """Acts on all at once and to the end, then raises the first failure: one bad instance does not keep the others."""
    results = await asyncio.gather(*(act(spec.name) for spec in targets), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
