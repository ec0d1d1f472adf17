"""The routes of an identity node: the public identity API and the operator call that crashes the node."""

from typing import Literal

from pydantic import BaseModel

from services.chassis.arm import MISSING_API_VERSION
from services.chassis.errors import ErrorSpec
from services.chassis.identity_api import HandlerOf, dialect, identity_routes
from services.chassis.openapi import Api
from services.chassis.routes import Handler, ResponseSpec, Route
from services.identity import errors

TITLE = "Aftershock managed identity (IMDS, App Service, Microsoft.ManagedIdentity)"
OVERLOAD = (errors.NODE_OVERLOADED, errors.TENANT_THROTTLED, errors.DEADLINE_EXCEEDED)
BAD_QUESTION = (
    errors.API_VERSION_MISSING,
    errors.RESOURCE_MISSING,
    errors.IDENTITY_NOT_FOUND,
    errors.IDENTITY_AMBIGUOUS,
)
VERSION, UNKNOWN, WRONG = MISSING_API_VERSION, errors.ARM_NOT_FOUND, errors.ARM_INVALID
REFUSALS: dict[str, tuple[ErrorSpec, ...]] = {
    "get_token": (errors.METADATA_MISSING, *BAD_QUESTION, *OVERLOAD),
    "get_app_service_token": (errors.SECRET_MISMATCH, *BAD_QUESTION, *OVERLOAD),
    "get_keys": (),
    "create_identity": (VERSION, WRONG, errors.ARM_QUOTA_EXCEEDED, *OVERLOAD),
    "update_identity": (VERSION, WRONG, UNKNOWN, *OVERLOAD),
    "get_identity": (VERSION, UNKNOWN),
    "delete_identity": (VERSION, *OVERLOAD),
    "list_identities_of_group": (VERSION,),
    "list_identities": (VERSION,),
}


class Crashed(BaseModel):
    status: Literal["crashed"]


def api(handler_of: HandlerOf, crash: Handler) -> Api:
    """The route table of a node."""
    operator = Route(
        "POST",
        "/admin/crash",
        "crash",
        "Crash the node, as an operator error would",
        crash,
        "project",
        {200: ResponseSpec("it has crashed", Crashed)},
        tag="operator",
    )
    return Api(TITLE, (*identity_routes(handler_of, lambda row: REFUSALS[row]), operator), dialect)
