"""The steps of an operation, and the effect of its outcome on the resource."""

from typing import Any

import pytest

from services.provisioner.state import (
    CANCELED,
    CREATE,
    DELETE,
    EXTENSION,
    FAILED,
    OPERATION,
    RESOURCE,
    SCALE_IN,
    SCALE_OUT,
    SUCCEEDED,
    UPDATE,
    VM,
    VMSS,
    JobOutcome,
    ProvisioningJob,
    ProvisioningOperation,
    Resource,
    after,
    plan,
)

RUNNER, SCRIPT = "GitHub.Actions/LargerRunner", "Microsoft.Azure.Extensions/CustomScript"


@pytest.mark.parametrize(
    ("kind", "verb", "options", "steps"),
    [
        (VM, CREATE, {}, ("allocate",)),
        (
            VM,
            CREATE,
            {"packages": (RUNNER,), "identity_calls": 3},
            ("allocate", f"fetch:{RUNNER}", "assign", "token", "token"),
        ),
        (VM, CREATE, {"identity_calls": 1}, ("allocate", "assign")),
        (VMSS, SCALE_OUT, {"packages": (RUNNER, SCRIPT)}, ("allocate", f"fetch:{RUNNER}", f"fetch:{SCRIPT}")),
        (VMSS, SCALE_IN, {"identity_calls": 3}, ("work",)),
        (VM, UPDATE, {"packages": (SCRIPT,), "identity_calls": 3}, ("work", f"fetch:{SCRIPT}")),
        (VM, DELETE, {"identity_calls": 1}, ("work", "unassign")),
        (VM, DELETE, {}, ("work",)),
        (EXTENSION, CREATE, {"packages": (SCRIPT,), "extension_tokens": 1}, (f"fetch:{SCRIPT}", "token")),
        (EXTENSION, DELETE, {"extension_tokens": 1}, ("work",)),
        (VM, "restart", {"identity_calls": 3}, ("work", "token")),
        (VM, "restart", {}, ("work",)),
        (
            VM,
            "reimage",
            {"packages": (RUNNER,), "identity_calls": 2, "fetches": True},
            ("allocate", f"fetch:{RUNNER}", "assign", "token"),
        ),
    ],
)
def test_steps_of_an_operation(kind: str, verb: str, options: dict[str, Any], steps: tuple[str, ...]) -> None:
    assert plan(kind, verb, **options) == steps


def resource(**changes: Any) -> Resource:
    values: dict[str, Any] = {
        "kind": VM,
        "id": "/s/vm1",
        "location": "eastus",
        "tenant": "t",
        "body": {},
        "created": 0.0,
    }
    return Resource(**{**values, "operation": "op1", **changes})


def job(verb: str = CREATE, kind: str = VM, index: int = 0, steps: tuple[str, ...] = ("allocate",)) -> ProvisioningJob:
    return ProvisioningJob(ProvisioningOperation("op1", kind, verb, "/s/vm1", "t", 0.0, steps), index=index)


def version_of(_package: str) -> str:
    return "1.0"


def test_a_created_machine_runs_and_has_what_it_fetched() -> None:
    steps = ("allocate", f"fetch:{RUNNER}", "assign")
    ended = after(resource(), job(index=3, steps=steps), JobOutcome(SUCCEEDED, 7.0), version_of)
    assert ended is not None
    assert (ended.state, ended.power) == (SUCCEEDED, "running")
    assert ended.installed == {RUNNER: {"version": "1.0", "status": SUCCEEDED, "message": "", "time": 7.0}}


def test_a_failed_fetch_is_recorded_with_its_innermost_message_and_later_ones_are_not() -> None:
    steps = ("allocate", f"fetch:{RUNNER}", f"fetch:{SCRIPT}", "fetch:a/b")
    error = {"code": "Outer", "message": "outer", "details": [{"code": "Inner", "message": "inner"}]}
    ended = after(resource(), job(index=2, steps=steps), JobOutcome(FAILED, 7.0, error), version_of)
    assert ended is not None
    assert {name: (row["status"], row["message"]) for name, row in ended.installed.items()} == {
        RUNNER: (SUCCEEDED, ""),
        SCRIPT: (FAILED, "inner"),
    }
    assert (ended.state, ended.power) == (FAILED, "")


def test_the_record_given_is_not_changed() -> None:
    before = resource()
    after(before, job(index=1, steps=(f"fetch:{RUNNER}",)), JobOutcome(SUCCEEDED, 1.0), version_of)
    assert (before.state, before.installed, before.power) == ("Creating", {}, "")


def test_only_a_delete_that_succeeded_removes() -> None:
    assert after(resource(), job(DELETE), JobOutcome(SUCCEEDED, 1.0), version_of) is None
    failed = after(resource(), job(DELETE), JobOutcome(FAILED, 1.0, {"code": "X", "message": "x"}), version_of)
    assert failed is not None
    assert failed.state == FAILED


def test_an_operation_that_a_delete_has_replaced_changes_nothing() -> None:
    replaced = resource(operation="op2", state="Deleting")
    assert after(replaced, job(), JobOutcome(CANCELED, 1.0), version_of) is replaced


@pytest.mark.parametrize(
    ("verb", "power"),
    [("powerOff", "stopped"), ("deallocate", "deallocated"), ("start", "running"), ("reapply", "deallocated")],
)
def test_power_after_a_lifecycle_operation(verb: str, power: str) -> None:
    ended = after(resource(power="deallocated"), job(verb), JobOutcome(SUCCEEDED, 1.0), version_of)
    assert ended is not None
    assert ended.power == power


def test_a_scale_set_has_its_machines_only_when_the_operation_succeeded() -> None:
    wanted = resource(kind=VMSS, body={"sku": {"capacity": 5}}, instances=2)
    grown = after(wanted, job(SCALE_OUT, VMSS), JobOutcome(SUCCEEDED, 1.0), version_of)
    stuck = after(wanted, job(SCALE_OUT, VMSS), JobOutcome(FAILED, 1.0, {"code": "X", "message": "x"}), version_of)
    assert grown is not None
    assert stuck is not None
    assert (grown.instances, stuck.instances) == (5, 2)


def test_records_survive_a_json_round_trip() -> None:
    item = resource(tenant="t", packages={RUNNER: "LargerRunner"}, assigned=True, client_id="c")
    operation = ProvisioningOperation("op1", VM, CREATE, "/s/vm1", "t", 1.5, ("allocate", "assign"))
    assert RESOURCE.read(item.to_json()).to_json() == item.to_json()
    restored = OPERATION.read(operation.to_json())
    assert (restored.steps, restored.to_json()) == (operation.steps, operation.to_json())


def test_progress_survives_a_json_round_trip() -> None:
    moved = job(steps=("allocate", "assign", "token"), index=1)
    moved.tries = 4
    again = job(steps=("allocate", "assign", "token"))
    again.restore(moved.progress())
    assert repr(again) == "<ProvisioningJob vm_create queued at assign, 4 tries>"
