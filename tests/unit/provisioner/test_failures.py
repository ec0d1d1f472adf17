"""Error codes and messages of failed operations."""

from typing import Any

import pytest

from services.chassis.http import HttpReply
from services.provisioner.failures import error_of, storage_message
from services.provisioner.jobs.packages import judge
from services.provisioner.state import EXTENSION, VM, VMSS, ProvisioningOperation, Resource, Stop

RUNNER = "GitHub.Actions/LargerRunner"
BODY = b"<Error><Message>Public access is not permitted on this storage account.\nRequestId:1</Message></Error>"
DENIED = Stop("denied", 409, BODY)
STEPS = ("allocate", f"fetch:{RUNNER}", "assign")


def told(stop: Stop, kind: str = VM, index: int = 1, **options: bool) -> dict[str, Any]:
    resource = Resource(kind, "/s/rg/runner", "eastus", "t", {}, 0.0, packages={RUNNER: "LargerRunner"})
    return error_of(
        stop, ProvisioningOperation("op", kind, "create", "/s/rg/runner", "t", 0.0, STEPS), resource, index, **options
    )


def test_a_refused_package_is_told_as_users_saw_it() -> None:
    assert told(DENIED) == {
        "code": "VMExtensionProvisioningError",
        "message": "VM has reported a failure when processing extension 'LargerRunner' (publisher 'GitHub.Actions' and "
        "type 'LargerRunner'). Error message: 'The Extension failed to execute: HTTP Error 409: Public access is not "
        "permitted on this storage account.'.",
    }


def test_an_extension_is_called_by_its_own_name() -> None:
    assert "processing extension 'runner' (publisher" in told(DENIED, EXTENSION)["message"]


def test_a_scale_set_wraps_the_machines_error() -> None:
    wrapped = told(DENIED, VMSS)
    assert wrapped["code"] == "ResourceOperationFailure"
    assert wrapped["message"] == "The resource operation completed with terminal provisioning state 'Failed'."
    assert wrapped["details"] == [told(DENIED)]


@pytest.mark.parametrize(
    ("stop", "index", "timed_out", "code"),
    [
        (DENIED, 1, True, "VMExtensionProvisioningTimeout"),
        (Stop("repository", detail="timeout"), 1, True, "VMExtensionProvisioningTimeout"),
        (Stop("repository", detail="timeout"), 1, False, "VMArtifactRepositoryInternalError"),
        (Stop("identity", 503), 2, False, "FailedIdentityOperation"),
        (Stop("identity", 503), 2, True, "FailedIdentityOperation"),
        (Stop("internal", detail="ValueError"), 0, False, "InternalExecutionError"),
    ],
)
def test_codes(stop: Stop, index: int, timed_out: bool, code: str) -> None:
    assert told(stop, index=index, timed_out=timed_out)["code"] == code


def test_an_internal_error_does_not_reveal_its_cause() -> None:
    assert "ValueError" not in told(Stop("internal", detail="ValueError"), index=0)["message"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (BODY, "Public access is not permitted on this storage account."),
        (b"<Message>short</Message>", "short"),
        (b"<Message>cut off", "cut off"),
        (b"not xml", ""),
        (b"", ""),
        (b"<Message>\xff</Message>", "\ufffd"),
    ],
)
def test_the_first_line_of_a_storage_error(body: bytes, message: str) -> None:
    assert storage_message(body) == message


GOOD_MD5 = "kAFQmDzST7DWlj99KOF/cg=="  # of b"abc"


@pytest.mark.parametrize(
    ("reply", "cause"),
    [
        (HttpReply(200, {"Content-MD5": GOOD_MD5}, b"abc"), None),
        (HttpReply(200, {}, b"abc"), None),
        (HttpReply(200, {"Content-MD5": GOOD_MD5}, b"abd"), "repository"),
        (HttpReply(409, {}, BODY), "denied"),
        (HttpReply(404, {}, b""), "denied"),
        (HttpReply(429, {}, b""), "repository"),
        (HttpReply(500, {}, b""), "repository"),
        (HttpReply(503, {}, b""), "repository"),
        (HttpReply(206, {}, b"a"), "repository"),
        (HttpReply(0, {}, b"", "timeout"), "repository"),
    ],
)
def test_what_counts_as_a_whole_package(reply: HttpReply, cause: str | None) -> None:
    stop = judge(reply)
    assert (stop.cause if stop else None) == cause
