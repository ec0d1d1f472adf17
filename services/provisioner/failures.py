"""Why a try stopped, and Azure's error message for it.

Messages are built only when they are read: during the outage forty tries a second stop, and nearly all of them are
repeated. Messages: docs/azure-api.md §2; the 409 text: its §1.
"""

from __future__ import annotations

from services.provisioner.state import (
    EXTENSION,
    FETCH,
    VMSS,
    Cause,
    OperationError,
    ProvisioningOperation,
    Resource,
    Stop,
)

EXTENSION_ERROR = "VMExtensionProvisioningError"
EXTENSION_TIMEOUT = "VMExtensionProvisioningTimeout"
REPOSITORY_ERROR = "VMArtifactRepositoryInternalError"
IDENTITY_ERROR = "FailedIdentityOperation"
INTERNAL_ERROR = "InternalExecutionError"
SCALE_SET_ERROR = "ResourceOperationFailure"

CODES: dict[Cause, str] = {
    "denied": EXTENSION_ERROR,
    "repository": REPOSITORY_ERROR,
    "identity": IDENTITY_ERROR,
    "internal": INTERNAL_ERROR,
}


def sentence(stop: Stop) -> str:
    """The error of the called service, on one line."""
    return storage_message(stop.body) or stop.detail or f"HTTP status {stop.status}"


def storage_message(body: bytes) -> str:
    """The first line of `<Message>` in a storage error; the others are request id and time."""
    _, found, rest = body.partition(b"<Message>")
    if not found:
        return ""
    return rest.partition(b"</Message>")[0].partition(b"\n")[0].decode("utf-8", "replace").strip()


def error_of(
    stop: Stop, operation: ProvisioningOperation, resource: Resource, index: int, *, timed_out: bool = False
) -> OperationError:
    """The `error` of a failed operation. That of a scale set wraps the machine's error."""
    error = _machine_error(stop, operation, resource, index, timed_out)
    if operation.kind != VMSS:
        return error
    message = "The resource operation completed with terminal provisioning state 'Failed'."
    return {"code": SCALE_SET_ERROR, "message": message, "details": [error]}


def _machine_error(
    stop: Stop, operation: ProvisioningOperation, resource: Resource, index: int, timed_out: bool
) -> OperationError:
    step, _, package = operation.steps[index].partition(":")
    if step == FETCH and timed_out:
        return {"code": EXTENSION_TIMEOUT, "message": _timeout_message(resource, package)}
    if stop.cause == "denied":
        return {"code": EXTENSION_ERROR, "message": _denied_message(stop, operation, resource, package)}
    if stop.cause == "repository":
        return {
            "code": REPOSITORY_ERROR,
            "message": "An error occurred while communicating with the artifact repository to retrieve VM artifact "
            f"details: {sentence(stop)}",
        }
    if stop.cause == "identity":
        return {
            "code": IDENTITY_ERROR,
            "message": f"Identity operation for resource '{resource.id}' failed with error 'Failed to perform resource "
            f"identity operation. Status: '{stop.status or stop.detail}'.'.",
        }
    return {"code": INTERNAL_ERROR, "message": "An internal execution error occurred. Please retry later."}


def _timeout_message(resource: Resource, package: str) -> str:
    return (
        f"Provisioning of VM extension {resource.packages.get(package, package)} has timed out. "
        "Extension provisioning has taken too long to complete."
    )


def _denied_message(stop: Stop, operation: ProvisioningOperation, resource: Resource, package: str) -> str:
    publisher, _, type_ = package.partition("/")
    name = resource.name if operation.kind == EXTENSION else resource.packages.get(package, type_)
    return (
        f"VM has reported a failure when processing extension '{name}' (publisher '{publisher}' and type '{type_}'). "
        f"Error message: 'The Extension failed to execute: HTTP Error {stop.status}: {sentence(stop)}'."
    )
