"""Bodies that are accepted, and what is kept of them. (Those refused: tests/contract/test_provisioner_arm.py.)"""

import pytest

from services.provisioner.arm.validation import clean, merged, packages_of, tenant_of
from services.provisioner.ids import Ref, parent_key
from services.provisioner.settings import ProvisionerSettings
from services.provisioner.state import EXTENSION, VM, VMSS

PACKAGES = ProvisionerSettings().packages
MACHINE = Ref("sub", "rg", VM, "vm1")
SET = Ref("sub", "rg", VMSS, "agents")
SCRIPT = Ref("sub", "rg", EXTENSION, "script", "vm1")


@pytest.mark.parametrize("location", ["eastus", "East US", "EAST US", "eastUS"])
def test_a_region_is_known_by_all_its_spellings(location: str) -> None:
    assert clean(MACHINE, {"location": location}, "eastus", PACKAGES, partial=False)["location"] == location


def test_what_the_service_owns_is_dropped_and_null_means_absent() -> None:
    body = {
        "id": "mine",
        "name": "mine",
        "type": "mine",
        "location": "eastus",
        "plan": None,
        "zones": ["1"],
        "properties": {"provisioningState": "Succeeded", "vmId": "x", "licenseType": None, "userData": "e30="},
    }
    assert clean(MACHINE, body, "eastus", PACKAGES, partial=False) == {
        "location": "eastus",
        "zones": ["1"],
        "properties": {"userData": "e30="},
    }


def test_a_scale_set_is_read_through_its_profile() -> None:
    item = {"name": "agent", "properties": {"publisher": "Microsoft.Azure.Extensions", "type": "CustomScript"}}
    body = {
        "location": "eastus",
        "tags": {"aftershock-tenant": "ado", "aftershock-extension": "Microsoft.AKS/LinuxNode"},
        "sku": {"name": "D2", "capacity": 3},
        "properties": {"virtualMachineProfile": {"extensionProfile": {"extensions": [item]}}},
    }
    kept = clean(SET, body, "eastus", PACKAGES, partial=False)
    assert tenant_of(kept) == "ado"
    assert packages_of(SET, kept) == {
        "Microsoft.AKS/LinuxNode": "LinuxNode",
        "Microsoft.Azure.Extensions/CustomScript": "agent",
    }


def test_a_patch_may_leave_out_everything() -> None:
    for ref in (MACHINE, SET, SCRIPT):
        assert clean(ref, {}, "eastus", PACKAGES, partial=True) == {}


def test_a_patch_merges_objects_replaces_tags_and_removes_by_null() -> None:
    before = {
        "tags": {"a": "1"},
        "sku": {"name": "D2", "capacity": 1},
        "properties": {"x": {"y": 1, "z": 2}},
        "zones": [],
    }
    patch = {"tags": {"b": "2"}, "sku": {"capacity": 5}, "properties": {"x": {"y": None}}, "zones": None}
    assert merged(before, patch) == {
        "tags": {"b": "2"},
        "sku": {"name": "D2", "capacity": 5},
        "properties": {"x": {"z": 2}},
    }
    assert before["sku"] == {"name": "D2", "capacity": 1}
    assert merged(before, {})["tags"] == {"a": "1"}


def test_ids_compare_without_case_and_know_their_parents() -> None:
    assert SCRIPT.id == (
        "/subscriptions/sub/resourceGroups/rg/providers/Microsoft.Compute/virtualMachines/vm1/extensions/script"
    )
    assert SCRIPT.key == Ref("SUB", "RG", EXTENSION, "Script", "VM1").key
    assert parent_key(SCRIPT.key) == MACHINE.key
    assert parent_key(MACHINE.key) == ""
