"""Virtual machines, scale sets and extensions as a user manages them: send the request, then poll the operation.

A user that gives up deletes the resource: an accepted request cannot be withdrawn in another way.
"""

from collections import deque
from collections.abc import Callable
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from loadgen.leftovers import Leftover
from loadgen.site import ABANDONED, FAILED, SUCCESS, JourneyOutcome, Site
from services.clients.arm import WAITING, Ended

MachineKind = Literal["vm", "vmss"]
Extension = Annotated[str, Field(pattern=r"^[A-Za-z][\w.]*/[A-Za-z]\w*$")]
"""`publisher/type`, the provisioner's name of a package."""

COLLECTIONS = {"vm": "virtualMachines", "vmss": "virtualMachineScaleSets"}
TENANT_TAG, EXTENSION_TAG = "aftershock-tenant", "aftershock-extension"
GAVE_UP = "PatienceExhausted"
SIZES = ("Standard_D2s_v5", "Standard_D4s_v5")


class MachineNeeds(BaseModel):
    """What the provisioning of a machine depends on."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    extension: Extension
    """The platform extension that provisioning fetches."""
    identity: bool = True
    """Whether the machine is created with a managed identity of its region."""


class Machine(NamedTuple):
    """A machine or scale set.

    `changes` counts changes of size, `extras` are its extensions beyond the tenant's own, `born` is in clock seconds.
    """

    path: str
    changes: int = 0
    extras: tuple[str, ...] = ()
    born: float = 0.0


class Machines:
    """The compute resources of one site. `ready` holds those that a later operation may use, oldest first.

    With an empty `extension` the machines have no package (servers that existed before).
    """

    def __init__(self, site: Site, kind: MachineKind, extension: str, *, identity: bool = True) -> None:
        self._site = site
        self._kind = kind
        self._extension = extension
        self._identity = identity
        self.ready: deque[Machine] = deque()
        self._site.tools.leftovers.hold(lambda: map(self.leftover, self.ready))

    def keep(self, machine: Machine) -> None:
        """Keeps a machine for later operations, unless there are too many or it is too old.

        Machines that are not kept are deleted with the leftovers. Age is bounded because every use adds something to a
        machine: an extension, or an instance of a scale set.
        """
        tools = self._site.tools
        young = tools.now - machine.born < tools.settings.machine_age_max_s
        if young and len(self.ready) < tools.settings.machines_max:
            self.ready.append(machine)

    def leftover(self, machine: Machine) -> Leftover:
        return self._site.leftover("machine", machine.path)

    def take(self, suits: Callable[[Machine], bool] = lambda _machine: True) -> Machine | None:
        """Removes and returns the oldest ready machine that suits, or None; the caller may `keep` it again."""
        for machine in self.ready:
            if suits(machine):
                self.ready.remove(machine)
                return machine
        return None

    def new(self) -> Machine:
        """A new machine, not yet created; it is recorded for deletion, whatever the outcome of its journey."""
        name = self._site.new_name(self._kind)
        machine = Machine(f"{self._site.arm.group}/{COLLECTIONS[self._kind]}/{name}", born=self._site.tools.now)
        self._site.tools.leftovers.note(self.leftover(machine))
        return machine

    async def create(self, machine: Machine, deadline: float) -> Ended:
        """Provisions `machine`."""
        return await self._operate("PUT", machine.path, self._body(), deadline, machine.path)

    async def act(self, machine: Machine, action: str, deadline: float) -> Ended:
        """A lifecycle action by its ARM name, e.g. `restart`."""
        return await self._operate("POST", f"{machine.path}/{action}", None, deadline, machine.path)

    async def resize(self, machine: Machine, deadline: float) -> Ended:
        size = {"hardwareProfile": {"vmSize": SIZES[(machine.changes + 1) % len(SIZES)]}}
        return await self._operate("PATCH", machine.path, {"properties": size}, deadline, machine.path)

    async def scale_out(self, machine: Machine, deadline: float) -> Ended:
        """Adds one instance; the new capacity is derived from earlier changes to the set."""
        body = {"sku": {"capacity": machine.changes + 2}}
        return await self._operate("PATCH", machine.path, body, deadline, machine.path)

    async def configure(self, machine: Machine, extension: str, deadline: float) -> Ended:
        """Changes the configuration of a scale set: adds an extension to its profile."""
        extensions = [_profile(name) for name in (*machine.extras, extension)]
        profile = {"virtualMachineProfile": {"extensionProfile": {"extensions": extensions}}}
        return await self._operate("PATCH", machine.path, {"properties": profile}, deadline, machine.path)

    async def install(self, machine: Machine, extension: str, deadline: float) -> Ended:
        """Adds an extension to a machine; giving up removes only the extension."""
        path = f"{machine.path}/extensions/{self._site.new_name(extension.partition('/')[2])}"
        body = {"location": self._site.region, "tags": {TENANT_TAG: self._site.tenant}, **_extension(extension)}
        return await self._operate("PUT", path, body, deadline, path)

    async def delete(self, machine: Machine, deadline: float) -> Ended:
        return await self._operate("DELETE", machine.path, None, deadline, "")

    async def discard(self, machine: Machine) -> None:
        """Requests deletion without waiting for its end."""
        await self._site.arm.send("DELETE", machine.path)

    async def _operate(self, method: str, path: str, body: Any, deadline: float, undo: str) -> Ended:
        arm = self._site.arm
        ended = await arm.follow(await arm.send(method, path, body), deadline)
        if ended.status != WAITING:
            return ended
        if undo:
            await arm.send("DELETE", undo)
        return Ended(WAITING, GAVE_UP)

    def _body(self) -> dict[str, Any]:
        tags = {TENANT_TAG: self._site.tenant}
        body: dict[str, Any] = {"location": self._site.region, "tags": tags}
        if self._extension:
            tags[EXTENSION_TAG] = self._extension
            body["identity"] = {"type": "SystemAssigned" if self._identity else "None"}
        if self._kind == "vmss":
            body["sku"] = {"name": SIZES[0], "tier": "Standard", "capacity": 1}
        else:
            body["properties"] = {"hardwareProfile": {"vmSize": SIZES[0]}}
        return body

    def __repr__(self) -> str:
        return f"<Machines {self._kind} of {self._site.tenant} in {self._site.region}, {len(self.ready)} ready>"


def _extension(extension: str) -> dict[str, Any]:
    publisher, _, type_ = extension.partition("/")
    return {"properties": {"publisher": publisher, "type": type_, "typeHandlerVersion": "1.0"}}


def _profile(extension: str) -> dict[str, Any]:
    return {"name": extension.partition("/")[2], **_extension(extension)}


def outcome(ended: Ended, operation: str) -> JourneyOutcome:
    """The outcome of a journey whose operation ended this way."""
    if ended.ok:
        return JourneyOutcome(SUCCESS, operation)
    if ended.status == WAITING:
        return JourneyOutcome(ABANDONED, operation, ended.code)
    return JourneyOutcome(FAILED, operation, ended.code)
