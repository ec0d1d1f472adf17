"""What all Azure Resource Manager calls share, for the route tables of the services that implement them."""

from collections.abc import Mapping

from pydantic import BaseModel, Field

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
