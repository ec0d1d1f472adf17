"""The API's errors, in ARM's format. Messages: docs/azure-api.md §2 and ARM's own."""

import json
from typing import Any

from services.chassis.errors import ErrorSpec, ServiceError
from services.chassis.http import RETRY_AFTER

INVALID_SUBSCRIPTION = ErrorSpec(
    "InvalidSubscriptionId", 400, "The provided subscription identifier '{value}' is malformed or invalid."
)
INVALID_PARAMETER = ErrorSpec("InvalidParameter", 400, "{detail}")
INVALID_SKIP_TOKEN = ErrorSpec("InvalidSkipToken", 400, "The $skiptoken '{value}' was not issued by this service.")
LOCATION_REQUIRED = ErrorSpec("LocationRequired", 400, "The location property is required for this definition.")
PARENT_NOT_FOUND = ErrorSpec(
    "ParentResourceNotFound",
    404,
    "Failed to perform '{action}' on resource(s) of type '{type}', because the parent resource '{parent}' "
    "could not be found.",
)
ARTIFACT_NOT_FOUND = ErrorSpec(
    "ArtifactNotFound",
    404,
    "The VM extension with publisher '{publisher}' and type '{type}' could not be found in location '{location}'.",
)
OPERATION_NOT_FOUND = ErrorSpec("OperationNotFound", 404, "The operation '{operation}' was not found in '{location}'.")
CONFLICT = ErrorSpec(
    "Conflict",
    409,
    "The request failed due to conflict with a concurrent request: operation '{operation}' on '{resource}' is still "
    "in progress.",
)
CHANGE_NOT_ALLOWED = ErrorSpec("PropertyChangeNotAllowed", 409, "Changing property '{property}' is not allowed.")
THROTTLED = ErrorSpec(
    "OperationNotAllowed",
    429,
    "The server rejected the request because too many requests have been received for this subscription.",
)
QUOTA_EXCEEDED = ErrorSpec(
    "QuotaExceeded",
    409,
    "Operation could not be completed as it results in exceeding the approved quota of the location '{location}': "
    "{limit} resources. Delete resources that are no longer needed.",
)
TOO_MANY_OPERATIONS = ErrorSpec(
    "TooManyRequests",
    429,
    "The server rejected the request because {limit} operations are in progress in '{location}'.",
)
STORE_UNAVAILABLE = ErrorSpec(
    "ServiceUnavailable",
    503,
    "The operation could not be recorded and may or may not have been accepted. Please retry later.",
)


def invalid(target: str, rule: str) -> ServiceError:
    """A 400 that names the invalid field and the violated rule."""
    return ServiceError(INVALID_PARAMETER, target=target, detail=f"The value of parameter {target} is invalid: {rule}.")


def body_of(error: ServiceError) -> dict[str, Any]:
    """ARM's error object."""
    detail: dict[str, Any] = {"code": error.spec.code, "message": error.message}
    if error.target:
        detail["target"] = error.target
    if error.spec is THROTTLED:
        cause = {"operationGroup": error.target, "retryAfterS": error.headers.get(RETRY_AFTER)}
        detail["details"] = [
            {"code": "TooManyRequests", "target": error.target, "message": json.dumps(cause, separators=(",", ":"))}
        ]
    return {"error": detail}
