"""Everything at once with no seam of ours: credential, management clients over HTTP, storage, extension, instance view.

The second half is the incident as a user met it: the same program, with anonymous reads switched off.
"""

from collections.abc import Iterator
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.identity import ManagedIdentityCredential
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.storage import StorageManagementClient
from azure.storage.blob import BlobClient

from tests.clients.client_bench import Bench, wait_until

GROUP = "chain"
INSECURE: dict[str, Any] = {"enforce_https": False}
ACCOUNT = "vmextlinuxeastus"
PACKAGE = "Microsoft.Azure.Extensions.CustomScript/1.0/package.zip"
MACHINE: dict[str, Any] = {
    "location": "eastus",
    "identity": {"type": "SystemAssigned"},
    "properties": {"hardwareProfile": {"vmSize": "Standard_D2s_v3"}},
}
EXTENSION: dict[str, Any] = {
    "location": "eastus",
    "properties": {"publisher": "Microsoft.Azure.Extensions", "type": "CustomScript", "typeHandlerVersion": "2.1"},
}


@pytest.fixture
def credential(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[ManagedIdentityCredential]:
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", bench.url("router"))
    with ManagedIdentityCredential() as made:
        yield made


@pytest.fixture
def compute(bench: Bench, credential: ManagedIdentityCredential) -> Iterator[ComputeManagementClient]:
    with ComputeManagementClient(
        credential, bench.subscription, base_url=bench.url("provisioner"), polling_interval=1
    ) as made:
        yield made


@pytest.fixture
def storage(bench: Bench, credential: ManagedIdentityCredential) -> Iterator[StorageManagementClient]:
    with StorageManagementClient(credential, bench.subscription, base_url=bench.url("blobstore")) as made:
        yield made


def provision(compute: ComputeManagementClient, name: str) -> Any:
    """A machine with an extension; what polling says in the end."""
    machine = compute.virtual_machines.begin_create_or_update(GROUP, name, MACHINE, **INSECURE).result()
    assert machine.identity.principal_id
    poller = compute.virtual_machine_extensions.begin_create_or_update(GROUP, name, "script", EXTENSION, **INSECURE)
    return poller.result()


def extension_status(compute: ComputeManagementClient, name: str) -> Any:
    view = compute.virtual_machines.instance_view(GROUP, name, **INSECURE)
    return next(one for one in view.extensions if one.name == "script").statuses[0]


def switch(bench: Bench, storage: StorageManagementClient, allowed: bool) -> None:
    """As the policy job does it, with the public client."""
    found = next(one for one in storage.storage_accounts.list(**INSECURE) if one.name == ACCOUNT)
    group = found.id.split("/")[4]
    body = {"properties": {"allowBlobPublicAccess": allowed}}
    storage.storage_accounts.update(group, ACCOUNT, body, **INSECURE)
    wait_until(lambda: bench.admin("GET", ACCOUNT)["effective"] == allowed, "the switch took effect")


def test_before_during_and_after_the_outage(
    bench: Bench, compute: ComputeManagementClient, storage: StorageManagementClient
) -> None:
    package = BlobClient(f"{bench.url('blobstore')}/{ACCOUNT}", "packages", PACKAGE)
    assert provision(compute, "before").provisioning_state == "Succeeded"
    assert extension_status(compute, "before").code == "ProvisioningState/succeeded"
    assert package.download_blob().readall()

    switch(bench, storage, False)
    try:
        with pytest.raises(HttpResponseError) as denied:
            package.download_blob()
        assert (denied.value.status_code, denied.value.error_code) == (409, "PublicAccessNotPermitted")
        with pytest.raises(HttpResponseError) as failed:
            provision(compute, "during")
        assert failed.value.error.code == "VMExtensionProvisioningError"
        assert "Public access is not permitted on this storage account." in failed.value.error.message
        status = extension_status(compute, "during")
        assert (status.code.split("/")[1], status.level) == ("failed", "Error")
        assert extension_status(compute, "before").code == "ProvisioningState/succeeded", "what runs goes on"
    finally:
        switch(bench, storage, True)

    extensions = compute.virtual_machine_extensions
    again = extensions.begin_create_or_update(GROUP, "during", "script", EXTENSION, **INSECURE).result()
    assert again.provisioning_state == "Succeeded", "the same request, once the account is restored"
    package.close()
    for name in ("before", "during"):
        compute.virtual_machines.begin_delete(GROUP, name, polling=False, **INSECURE)
