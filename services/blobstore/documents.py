"""Response bodies of the operator API and the storage Resource Manager, for the OpenAPI document."""

from typing import Any

from pydantic import BaseModel

from services.blobstore.state import AccessLevel
from services.chassis.routes import Schema

BYTES: Schema = {"type": "string", "format": "binary"}
BLOB_ERROR: Schema = {
    "type": "object",
    "required": ["Code", "Message"],
    "properties": {"Code": {"type": "string"}, "Message": {"type": "string"}},
    "xml": {"name": "Error"},
}


class Sku(BaseModel):
    name: str
    tier: str


class AccountResource(BaseModel):
    id: str
    name: str
    type: str
    location: str
    kind: str
    sku: Sku
    tags: dict[str, str]
    properties: dict[str, Any]


class AccountResourceList(BaseModel):
    value: list[AccountResource]


class ContainerResource(BaseModel):
    id: str
    name: str
    type: str
    etag: str
    properties: dict[str, Any]


class ContainerResourceList(BaseModel):
    value: list[ContainerResource]


class NameAnswer(BaseModel):
    nameAvailable: bool
    reason: str = ""
    message: str = ""


class ContainerSummary(BaseModel):
    name: str
    access: AccessLevel
    blobs: int
    size_bytes: int


class AccountSummary(BaseModel):
    """An account in the operator API."""

    name: str
    resource_group: str
    public: bool
    effective: bool
    exempt: bool
    tags: dict[str, str]
    containers: list[ContainerSummary]


class AccountSummaryList(BaseModel):
    value: list[AccountSummary]


class ContainerStored(BaseModel):
    name: str
    access: AccessLevel
    etag: str


class BlobStored(BaseModel):
    name: str
    size_bytes: int
    etag: str
    md5: str
