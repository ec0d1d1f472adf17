"""Virtual machines, scale sets and extensions as a user manages them: PUT, PATCH, DELETE, and wait for the end.

Whoever runs out of patience deletes what was asked for: that is the only way to take an accepted request back.
"""

from collections import deque
from typing import Any, Literal, NamedTuple

from loadgen.arm import WAITING, Ended
from loadgen.site import ABANDONED, FAILED, SUCCESS, Outcome, Site

MachineKind = Literal["vm", "vmss"]
COLLECTIONS = {"vm": "virtualMachines", "vmss": "virtualMachineScaleSets"}
TENANT_TAG, EXTENSION_TAG = "aftershock-tenant", "aftershock-extension"
GAVE_UP = "PatienceExhausted"
EXTENSION_PATTERN = r"^[A-Za-z][\w.]*/[A-Za-z]\w*$"
SIZES = ("Standard_D2s_v5", "Standard_D4s_v5")


class Machine(NamedTuple):
    """A machine or scale set that exists; `changes` counts what was done to it since."""

    path: str
    changes: int = 0


class Machines:
    """The compute resources of one site. `ready` are those that a later operation may use, oldest first."""

    def __init__(self, site: Site, kind: MachineKind, extension: str) -> None:
        self._site = site
        self._kind = kind
        self._extension = extension
        self.ready: deque[Machine] = deque()

    def keep(self, machine: Machine) -> None:
        """Remembers a machine for later operations; beyond `machines_max` its owner simply leaves it alone."""
        if len(self.ready) < self._site.tools.settings.machines_max:
            self.ready.append(machine)

    async def create(self, deadline: float, machine: Machine | None = None) -> tuple[Machine, Ended]:
        """A new machine with the tenant's extension, or what became of the attempt."""
        made = machine or self.new()
        return made, await self._operate("PUT", made.path, self._body(), deadline)

    def new(self) -> Machine:
        """A machine that does not exist yet."""
        name = self._site.new_name(self._kind)
        return Machine(f"{self._site.arm.group}/{COLLECTIONS[self._kind]}/{name}")

    async def resize(self, machine: Machine, deadline: float) -> Ended:
        size = SIZES[(machine.changes + 1) % len(SIZES)]
        return await self._operate("PATCH", machine.path, {"properties": {"hardwareProfile": {"vmSize": size}}}, deadline)

    async def scale_out(self, machine: Machine, deadline: float) -> Ended:
        return await self._operate("PATCH", machine.path, {"sku": {"capacity": machine.changes + 2}}, deadline)

    async def configure(self, machine: Machine, deadline: float) -> Ended:
        profile = {"hardwareProfile": {"vmSize": SIZES[(machine.changes + 1) % len(SIZES)]}}
        return await self._operate("PATCH", machine.path, {"properties": {"virtualMachineProfile": profile}}, deadline)

    async def install(self, machine: Machine, deadline: float, extension: str = "") -> Ended:
        """One more extension on a machine that exists; giving up removes only the extension."""
        publisher, type_ = (extension or self._extension).split("/")
        body = {
            "location": self._site.region,
            "tags": {TENANT_TAG: self._site.tenant},
            "properties": {
                "publisher": publisher,
                "type": type_,
                "typeHandlerVersion": "1.0",
                "autoUpgradeMinorVersion": True,
            },
        }
        path = f"{machine.path}/extensions/{self._site.new_name(type_)}"
        return await self._operate("PUT", path, body, deadline)

    async def delete(self, machine: Machine, deadline: float) -> Ended:
        return await self._site.arm.follow(await self._site.arm.send("DELETE", machine.path), deadline)

    async def discard(self, machine: Machine) -> None:
        """Deletes without waiting for the end, as the owner of a used-up machine does."""
        await self._site.arm.send("DELETE", machine.path)

    async def _operate(self, method: str, path: str, body: dict[str, Any], deadline: float) -> Ended:
        arm = self._site.arm
        ended = await arm.follow(await arm.send(method, path, body), deadline)
        if ended.status == WAITING:
            await arm.send("DELETE", path)
            return Ended(WAITING, GAVE_UP)
        return ended

    def _body(self) -> dict[str, Any]:
        tags = {TENANT_TAG: self._site.tenant, EXTENSION_TAG: self._extension}
        body: dict[str, Any] = {
            "location": self._site.region,
            "tags": tags,
            "identity": {"type": "SystemAssigned"},
            "properties": {},
        }
        if self._kind == "vmss":
            body["sku"] = {"name": SIZES[0], "tier": "Standard", "capacity": 1}
        else:
            body["properties"] = {"hardwareProfile": {"vmSize": SIZES[0]}}
        return body


def outcome(ended: Ended, operation: str) -> Outcome:
    """A journey's outcome from how its operation ended."""
    if ended.ok:
        return Outcome(SUCCESS, operation)
    if ended.status == WAITING:
        return Outcome(ABANDONED, operation, ended.code)
    return Outcome(FAILED, operation, ended.code)
