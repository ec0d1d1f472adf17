"""ARM request bodies with full validation, and the resources in responses.

Properties that have no effect here are stored and returned. Members that Azure does not define are refused: a
misspelt `allowBlobPublicAccess`, silently ignored, would falsify an experiment.
"""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.blobstore import errors
from services.blobstore.state import BlobContainer, StorageAccount
from services.chassis.clock import iso
from services.chassis.errors import ServiceError

ACCOUNT_TYPE = "Microsoft.Storage/storageAccounts"
CONTAINER_TYPE = f"{ACCOUNT_TYPE}/blobServices/containers"


_NOT_KEPT = {
    "allowBlobPublicAccess",
    "creationTime",
    "primaryEndpoints",
    "primaryLocation",
    "provisioningState",
    "statusOfPrimary",
}


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class AccountProperties(_Body):
    """Properties of create and update requests (api-version 2026-09-01).

    All but the first are stored without effect. The last five are read-only and ignored, so that a resource can be
    written back as it was read.
    """

    allowBlobPublicAccess: bool | None = None
    accessTier: Any = None
    allowCrossTenantDelegationSas: Any = None
    allowCrossTenantReplication: Any = None
    allowSharedKeyAccess: Any = None
    allowSharedKeyAccessForServices: Any = None
    allowedCopyScope: Any = None
    azureFilesIdentityBasedAuthentication: Any = None
    customDomain: Any = None
    dataCollaborationPolicyProperties: Any = None
    defaultToOAuthAuthentication: Any = None
    dnsEndpointType: Any = None
    dualStackEndpointPreference: Any = None
    enableExtendedGroups: Any = None
    encryption: Any = None
    geoPriorityReplicationStatus: Any = None
    immutableStorageWithVersioning: Any = None
    isHnsEnabled: Any = None
    isLocalUserEnabled: Any = None
    isNfsV3Enabled: Any = None
    isSftpEnabled: Any = None
    keyPolicy: Any = None
    largeFileSharesState: Any = None
    minimumTlsVersion: Any = None
    networkAcls: Any = None
    publicNetworkAccess: Any = None
    routingPreference: Any = None
    sasPolicy: Any = None
    supportsHttpsTrafficOnly: Any = None
    turboTier: Any = None
    creationTime: Any = None
    primaryEndpoints: Any = None
    primaryLocation: Any = None
    provisioningState: Any = None
    statusOfPrimary: Any = None


Tags = Annotated[
    dict[Annotated[str, Field(max_length=128)], Annotated[str, Field(max_length=256)]], Field(max_length=15)
]


class SkuBody(_Body):
    name: Literal[
        "Standard_LRS",
        "Standard_GRS",
        "Standard_RAGRS",
        "Standard_ZRS",
        "Standard_GZRS",
        "Standard_RAGZRS",
        "Premium_LRS",
        "Premium_ZRS",
    ]
    tier: Literal["Standard", "Premium"] | None = None


AccountKind = Literal["Storage", "StorageV2", "BlobStorage", "FileStorage", "BlockBlobStorage"]


class AccountUpdate(_Body):
    """PATCH: missing members stay unchanged."""

    properties: AccountProperties | None = None
    tags: Tags | None = None
    sku: SkuBody | None = None
    kind: AccountKind | None = None
    identity: Any = None
    zones: Any = None
    placement: Any = None
    id: Any = None
    name: Any = None
    type: Any = None


class AccountCreate(AccountUpdate):
    """PUT. Unlike in Azure, `sku` and `kind` are optional: they have no effect here."""

    location: str
    extendedLocation: Any = None


class ContainerProperties(_Body):
    publicAccess: Literal["None", "Blob", "Container"] | None = None
    metadata: dict[str, str] | None = None
    defaultEncryptionScope: Any = None
    denyEncryptionScopeOverride: Any = None
    enableNfsV3RootSquash: Any = None
    enableNfsV3AllSquash: Any = None
    immutableStorageWithVersioning: Any = None


class ContainerBody(_Body):
    properties: ContainerProperties | None = None


class NameQuestion(_Body):
    name: str
    type: Literal["Microsoft.Storage/storageAccounts"]


B = TypeVar("B", bound=_Body)


def parse(model: type[B], body: object) -> B:
    """Validates `body` as `model`.

    Raises:
        ServiceError: 400 for an unknown, missing or mistyped member, with its path as target.
    """
    if not isinstance(body, dict):
        detail = "The request body must be a JSON object."
        raise ServiceError(errors.ARM_INVALID_PROPERTY, target="body", detail=detail)
    try:
        return model.model_validate(body)
    except ValidationError as error:
        finding = error.errors(include_url=False)[0]
        path = ".".join(map(str, finding["loc"]))
        if finding["type"] == "extra_forbidden":
            raise ServiceError(errors.ARM_UNKNOWN_MEMBER, target=path, name=path) from error
        detail = f"The value of '{path}' is invalid: {finding['msg']}."
        raise ServiceError(errors.ARM_INVALID_PROPERTY, target=path, detail=detail) from error


def switch_of(body: AccountUpdate) -> bool | None:
    """`allowBlobPublicAccess`, or None if the body does not contain it."""
    return body.properties.allowBlobPublicAccess if body.properties else None


def kept_of(body: AccountUpdate) -> dict[str, Any]:
    """The properties that are stored without effect."""
    return body.properties.model_dump(exclude_none=True, exclude=_NOT_KEPT) if body.properties else {}


def account_id(subscription: str, account: StorageAccount) -> str:
    return (
        f"/subscriptions/{subscription}/resourceGroups/{account.resource_group}/providers/{ACCOUNT_TYPE}/{account.name}"
    )


def account_view(account: StorageAccount, subscription: str, region: str, url: str) -> dict[str, Any]:
    """The account as an ARM resource. `allowBlobPublicAccess` is the accepted value, not the one in effect."""
    return {
        "id": account_id(subscription, account),
        "name": account.name,
        "type": ACCOUNT_TYPE,
        "location": region,
        "kind": account.kind,
        "sku": {"name": account.sku, "tier": account.sku.split("_", 1)[0]},
        "tags": account.tags,
        "properties": {
            "accessTier": "Hot",
            "supportsHttpsTrafficOnly": False,
            **account.properties,
            "allowBlobPublicAccess": account.switch.accepted,
            "provisioningState": "Succeeded",
            "creationTime": iso(account.created_at),
            "primaryLocation": region,
            "statusOfPrimary": "available",
            "primaryEndpoints": {"blob": f"{url}/{account.name}/"},
        },
    }


def container_view(account_id_: str, container: BlobContainer) -> dict[str, Any]:
    return {
        "id": f"{account_id_}/blobServices/default/containers/{container.name}",
        "name": container.name,
        "type": CONTAINER_TYPE,
        "etag": container.etag,
        "properties": {
            "publicAccess": container.level,
            "lastModifiedTime": iso(container.modified_at),
            "leaseStatus": "Unlocked",
            "leaseState": "Available",
            "hasImmutabilityPolicy": False,
            "hasLegalHold": False,
            "metadata": container.metadata,
        },
    }
