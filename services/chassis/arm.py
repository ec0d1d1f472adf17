"""What all Azure Resource Manager calls of the services share: paths, error format, errors, the version check."""

import re
from collections.abc import Mapping

from aiohttp import web
from pydantic import BaseModel, Field

from services.chassis.errors import ErrorSpec, ServiceError
from services.chassis.routes import JSON, BodyShape, Parameter, ResponseSpec

SUBSCRIPTION = "/subscriptions/{subscription}"
GROUP = f"{SUBSCRIPTION}/resourceGroups/{{group}}"
VERSION_PATTERN = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}(-preview)?$"
API_VERSION = Parameter("api-version", {"type": "string", "pattern": VERSION_PATTERN}, required=True)
SCOPE: Mapping[str, BodyShape] = {
    "subscription": {"type": "string", "pattern": r"^[A-Za-z0-9-]{1,64}$"},
    "group": {"type": "string", "pattern": r"^[A-Za-z0-9._()-]{1,90}$"},
}


class ArmDetail(BaseModel):
    code: str
    message: str = Field(description="one sentence for people")


class ArmErrorDetail(ArmDetail):
    target: str = Field(default="", description="the part of the request that is meant")
    details: list["ArmErrorDetail"] = []


class ArmError(BaseModel):
    """The body of every Resource Manager error."""

    error: ArmErrorDetail


ARM_DIALECT = ResponseSpec("refused", ArmError, JSON)

MISSING_API_VERSION = ErrorSpec(
    "MissingApiVersionParameter", 400, "The api-version query parameter (?api-version=) is required for all requests."
)
INVALID_API_VERSION = ErrorSpec(
    "InvalidApiVersionParameter", 400, "The api-version '{version}' is invalid. It must look like '2023-05-01'."
)
LOCATION_NOT_AVAILABLE = ErrorSpec(
    "LocationNotAvailableForResourceType",
    400,
    "The provided location '{location}' is not available for resource type '{type}'. "
    "List of available regions for the resource type is '{region}'.",
)
RESOURCE_NOT_FOUND = ErrorSpec(
    "ResourceNotFound",
    404,
    "The Resource '{type}/{name}' under resource group '{group}' was not found. "
    "For more details please go to https://aka.ms/ARMResourceNotFoundFix",
)


def check_api_version(request: web.Request) -> None:
    """Accepts any dated version: clients differ, and each service has only one behaviour.

    Raises:
        ServiceError: 400.
    """
    version = request.query.get("api-version", "")
    if not version:
        raise ServiceError(MISSING_API_VERSION)
    if not re.fullmatch(VERSION_PATTERN, version):
        raise ServiceError(INVALID_API_VERSION, target="api-version", version=version)
