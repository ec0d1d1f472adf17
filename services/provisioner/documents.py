"""Request and response bodies of the API, for its OpenAPI document.

Requests are described as far as `validation.py` checks them. Fields that are only stored (disks, networks, images) are
open, and are returned in responses.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.chassis.arm import ArmErrorDetail
from services.chassis.routes import Schema
from services.provisioner.arm.validation import CAPACITY_MAX, IDENTITY_TYPES

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}


class _Open(BaseModel):
    model_config = ConfigDict(extra="allow")


class ResourceProperties(_Open):
    provisioningState: str


class ComputeResource(_Open):
    """A machine, a scale set or an extension, with all stored fields."""

    id: str
    name: str
    type: str
    location: str
    properties: ResourceProperties


class ComputeResourceList(BaseModel):
    value: list[ComputeResource]
    nextLink: str = Field(default="", description="the next page, if there is one")


class InstanceViewStatus(BaseModel):
    code: str
    level: str = ""
    displayStatus: str = ""
    time: str = ""
    message: str = ""


class StatusCount(BaseModel):
    code: str
    count: int


class StatusesSummary(BaseModel):
    statusesSummary: list[StatusCount]


class ExtensionInstanceView(BaseModel):
    """A machine has `statuses`, a scale set `statusesSummary`."""

    name: str
    type: str = ""
    typeHandlerVersion: str = ""
    statuses: list[InstanceViewStatus] = []
    statusesSummary: list[StatusCount] = []


class Agent(BaseModel):
    vmAgentVersion: str
    statuses: list[InstanceViewStatus]


class MachineInstanceView(BaseModel):
    statuses: list[InstanceViewStatus]
    extensions: list[ExtensionInstanceView]
    vmAgent: Agent | None = None


class ScaleSetInstanceView(BaseModel):
    statuses: list[InstanceViewStatus]
    extensions: list[ExtensionInstanceView]
    virtualMachine: StatusesSummary


class OperationStatus(BaseModel):
    """The response to a poll."""

    id: str
    name: str
    status: Literal["InProgress", "Succeeded", "Failed", "Canceled"]
    startTime: str
    percentComplete: float
    endTime: str = ""
    error: ArmErrorDetail | None = None


def _object(properties: Schema, *required: str) -> Schema:
    return {"type": "object", "properties": properties} | ({"required": list(required)} if required else {})


_EXTENSION_PROPERTIES: Schema = {
    "publisher": TEXT,
    "type": TEXT,
    "typeHandlerVersion": {"type": "string", "pattern": r"^\d+(\.\d+){0,3}$"},
    "autoUpgradeMinorVersion": FLAG,
    "enableAutomaticUpgrade": FLAG,
    "suppressFailures": FLAG,
    "settings": {"type": "object"},
    "provisionAfterExtensions": {"type": "array", "items": TEXT},
    "forceUpdateTag": TEXT,
}
_TAGS: Schema = {"type": "object", "additionalProperties": {"type": "string", "maxLength": 256}}
_COMMON: Schema = {
    "location": TEXT,
    "tags": _TAGS,
    "identity": _object({"type": {"type": "string", "enum": list(IDENTITY_TYPES)}}, "type"),
}
_MACHINE: Schema = {
    **_COMMON,
    "properties": _object({"hardwareProfile": _object({"vmSize": TEXT}), "osProfile": {"type": "object"}}),
}
_SCALE_SET: Schema = {
    **_COMMON,
    "sku": _object({"name": TEXT, "capacity": {"type": "integer", "minimum": 0, "maximum": CAPACITY_MAX}}),
    "properties": _object({"virtualMachineProfile": _object({"osProfile": {"type": "object"}})}),
}
_EXTENSION: Schema = {
    "location": TEXT,
    "tags": _TAGS,
    "properties": _object(_EXTENSION_PROPERTIES, "publisher", "type"),
}

REQUESTS: dict[str, tuple[Schema, Schema]] = {
    "virtual_machine": (_object(_MACHINE, "location"), _object(_MACHINE)),
    "scale_set": (_object(_SCALE_SET, "location"), _object(_SCALE_SET)),
    "extension": (_object(_EXTENSION, "location", "properties"), _object(_EXTENSION)),
}
"""Kind → bodies of PUT and PATCH."""

INSTANCE_VIEWS: dict[str, Any] = {"virtual_machine": MachineInstanceView, "scale_set": ScaleSetInstanceView}
