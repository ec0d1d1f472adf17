"""Machines and scale sets of a customer: created, scaled, changed, restarted, deleted.

An operation takes a ready machine and returns it on success, so no machine has two operations at once. If none is
ready, the user creates one instead.
"""

from collections.abc import Coroutine
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from loadgen.journeys.base import BaseJourneyParameters
from loadgen.machines import Extension, Machine, MachineKind, Machines, outcome
from loadgen.site import JourneyOutcome, Site, Steps
from services.clients.arm import Ended

ProvisionOperation = Literal[
    "create", "delete", "restart", "reimage", "resize", "scale_out", "configure", "install_extension"
]
ONLY_FOR: dict[str, MachineKind] = {
    "restart": "vm",
    "reimage": "vm",
    "resize": "vm",
    "install_extension": "vm",
    "scale_out": "vmss",
    "configure": "vmss",
}
NEEDS_EXTRA = ("configure", "install_extension")


class ProvisionParameters(BaseJourneyParameters):
    kind: Literal["provision"]
    machine: MachineKind
    extension: Extension
    """The platform extension that provisioning fetches."""
    operations: dict[ProvisionOperation, Annotated[float, Field(gt=0)]]
    """Relative weight of each operation."""
    identity: bool = True
    """Whether the machines are created with a managed identity."""
    extra_extension: Extension | None = None
    """The extension that `configure` and `install_extension` add."""
    patience_mean_s: Annotated[float, Field(gt=0)] | None = None
    """Default: the setting of the same name."""

    @model_validator(mode="after")
    def _possible(self) -> "ProvisionParameters":
        for name in self.operations:
            if ONLY_FOR.get(name, self.machine) != self.machine:
                raise ValueError(f"operations.{name}: not an operation of a {self.machine}")
            if name in NEEDS_EXTRA and self.extra_extension is None:
                raise ValueError(f"extra_extension: required by operations.{name}")
        if "create" not in self.operations:
            raise ValueError("operations.create: required: the others need a machine")
        return self


class ProvisionJourney:
    """One customer's machines in one region."""

    def __init__(self, site: Site, parameters: ProvisionParameters) -> None:
        self._site = site
        self._parameters = parameters
        self._extra = parameters.extra_extension or ""
        self._weights = {str(name): weight for name, weight in parameters.operations.items()}
        self._machines = Machines(site, parameters.machine, parameters.extension, identity=parameters.identity)

    def setup(self) -> Steps:
        if len(self._weights) == 1:
            return []
        return [self._prepare] * self._site.tools.settings.ready_machines

    async def _prepare(self) -> None:
        await self._run(None, "create", self._deadline(self._site.tools.now))

    def _deadline(self, planned: float) -> float:
        return planned + self._site.patience(self._parameters.patience_mean_s)

    def start(self, planned: float) -> Coroutine[Any, Any, JourneyOutcome] | None:
        operation = self._site.choose(self._weights)
        deadline = self._deadline(planned)
        machine = None if operation == "create" else self._take(operation)
        return self._run(machine, operation if machine else "create", deadline)

    def _take(self, operation: str) -> Machine | None:
        """A ready machine that `operation` would change, or None: a configuration change has an effect only once."""
        if operation == "configure":
            return self._machines.take(lambda machine: self._extra not in machine.extras)
        return self._machines.take()

    async def _run(self, machine: Machine | None, operation: str, deadline: float) -> JourneyOutcome:
        machine = machine or self._machines.new()
        ended = await self._operate(machine, operation, deadline)
        if ended.ok and operation != "delete":
            extras = (*machine.extras, self._extra) if operation == "configure" else machine.extras
            changes = machine.changes + (operation in ("scale_out", "resize"))
            self._machines.keep(machine._replace(changes=changes, extras=extras))
        return outcome(ended, operation)

    async def _operate(self, machine: Machine, operation: str, deadline: float) -> Ended:
        machines = self._machines
        match operation:
            case "create":
                return await machines.create(machine, deadline)
            case "delete":
                return await machines.delete(machine, deadline)
            case "resize":
                return await machines.resize(machine, deadline)
            case "scale_out":
                return await machines.scale_out(machine, deadline)
            case "configure":
                return await machines.configure(machine, self._extra, deadline)
            case "install_extension":
                return await machines.install(machine, self._extra, deadline)
            case _:
                return await machines.act(machine, operation, deadline)
