"""Resource ids and their paths. Azure compares ids case-insensitively and returns its own spelling."""

from dataclasses import dataclass

from services.provisioner.state import EXTENSION, VM, VMSS

PROVIDER = "Microsoft.Compute"
TYPES = {VM: "virtualMachines", VMSS: "virtualMachineScaleSets", EXTENSION: "virtualMachines/extensions"}


@dataclass(frozen=True, slots=True)
class Ref:
    """A resource named by a request; it may not exist."""

    subscription: str
    group: str
    kind: str
    name: str
    parent: str = ""
    """Name of the machine of an extension."""

    @property
    def id(self) -> str:
        names = f"{self.parent}/extensions/{self.name}" if self.parent else self.name
        return f"{self.group_id}/providers/{PROVIDER}/{TYPES[self.kind].partition('/')[0]}/{names}"

    @property
    def group_id(self) -> str:
        return f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"

    @property
    def key(self) -> str:
        return self.id.lower()

    @property
    def type(self) -> str:
        return f"{PROVIDER}/{TYPES[self.kind]}"

    @property
    def long_name(self) -> str:
        return f"{self.parent}/{self.name}" if self.parent else self.name

    def parent_ref(self) -> "Ref":
        return Ref(self.subscription, self.group, VM, self.parent)


def parent_key(key: str) -> str:
    """The key of an extension's machine; empty for other resources."""
    parent, found, _ = key.rpartition("/extensions/")
    return parent if found else ""


def operation_path(subscription: str, region: str, operation_id: str) -> str:
    return f"/subscriptions/{subscription}/providers/{PROVIDER}/locations/{region}/operations/{operation_id}"


def subscription_of(resource_key: str) -> str:
    return resource_key.split("/", 3)[2]
