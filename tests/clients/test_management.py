"""The management packages: storage, compute, managed identities and policy remediations, over plain HTTP."""

from typing import Any

import pytest
import requests
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.mgmt.compute import ComputeManagementClient
from azure.mgmt.msi import ManagedServiceIdentityClient
from azure.mgmt.policyinsights import PolicyInsightsClient
from azure.mgmt.policyinsights.models import Remediation, RemediationFilters
from azure.mgmt.storage import StorageManagementClient

from tests.clients.client_bench import GROUP, TOKENS, Bearer, Bench, Counting, wait_until

POLICY = "storage-account-disable-public-blob-access"
ASSIGNMENT = f"/providers/Microsoft.Authorization/policyAssignments/{POLICY}"
OPERATOR = {"Authorization": f"Bearer {TOKENS.operate}"}
MACHINE: dict[str, Any] = {"location": "eastus", "properties": {"hardwareProfile": {"vmSize": "Standard_D2s_v3"}}}


def extension(publisher: str = "Microsoft.Azure.Extensions", type_: str = "CustomScript") -> dict[str, Any]:
    properties = {"publisher": publisher, "type": type_, "typeHandlerVersion": "2.1", "settings": {"script": "true"}}
    return {"location": "eastus", "properties": properties}


def compute(bench: Bench, **options: Any) -> ComputeManagementClient:
    """Without a bearer: over plain HTTP the client would refuse to send one."""
    settings = {"authentication_policy": SansIOHTTPPolicy(), "transport": Counting(), **options}
    return ComputeManagementClient(Bearer("unused"), bench.subscription, base_url=bench.url("provisioner"), **settings)


def msi(bench: Bench) -> ManagedServiceIdentityClient:
    return ManagedServiceIdentityClient(
        Bearer("unused"),
        bench.subscription,
        base_url=bench.url("router"),
        authentication_policy=SansIOHTTPPolicy(),
    )


def policy(bench: Bench) -> PolicyInsightsClient:
    return PolicyInsightsClient(Bearer(TOKENS.operate), bench.subscription, base_url=bench.controller)


def arm_token(bench: Bench) -> str:
    url = f"{bench.url('router')}/metadata/identity/oauth2/token?api-version=2018-02-01"
    answer = requests.get(
        url, params={"resource": "https://management.azure.com"}, headers={"Metadata": "true"}, timeout=5
    )
    return str(answer.json()["access_token"])


# --- storage ---------------------------------------------------------------------------------------------


def test_storage_accounts_list_get_update(bench: Bench) -> None:
    insecure = {"enforce_https": False}
    with StorageManagementClient(
        Bearer(arm_token(bench)), bench.subscription, base_url=bench.url("blobstore")
    ) as client:
        names = [account.name for account in client.storage_accounts.list(**insecure)]
        assert names == sorted(names)
        assert {"vmextmieastus", "mslogseastus"} <= set(names)
        found = next(one for one in client.storage_accounts.list(**insecure) if one.name == "mslogseastus")
        group = found.id.split("/")[4]
        for allowed in (False, True):
            changed = client.storage_accounts.update(
                group, "mslogseastus", {"properties": {"allowBlobPublicAccess": allowed}}, **insecure
            )
            assert changed.allow_blob_public_access is allowed
            again = client.storage_accounts.get_properties(group, "mslogseastus", **insecure)
            assert (again.allow_blob_public_access, again.location) == (allowed, "eastus")
        with pytest.raises(ResourceNotFoundError):
            client.storage_accounts.get_properties(group, "nobody", **insecure)


@pytest.mark.parametrize("service", ["blobstore", "provisioner", "router"])
def test_arm_without_api_version_is_azures_400(bench: Bench, service: str) -> None:
    types = {
        "blobstore": "Microsoft.Storage/storageAccounts",
        "provisioner": "Microsoft.Compute/virtualMachines",
        "router": "Microsoft.ManagedIdentity/userAssignedIdentities",
    }
    headers = {"Authorization": f"Bearer {arm_token(bench)}"}
    url = bench.url(service) + bench.group_path(types[service])
    refused = requests.get(url, headers=headers, timeout=5)
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "MissingApiVersionParameter")
    for version in ("2015-06-15", "2026-04-01", "2031-01-01-preview"):
        assert requests.get(f"{url}?api-version={version}", headers=headers, timeout=5).ok


# --- compute ---------------------------------------------------------------------------------------------


def test_a_machine_with_an_extension_from_creation_to_deletion(bench: Bench) -> None:
    transport = Counting()
    with compute(bench, transport=transport) as client:
        machines, extensions = client.virtual_machines, client.virtual_machine_extensions
        made = machines.begin_create_or_update(GROUP, "vm-a", MACHINE).result()
        assert (made.name, made.provisioning_state) == ("vm-a", "Succeeded")
        added = extensions.begin_create_or_update(GROUP, "vm-a", "script", extension()).result()
        assert added.provisioning_state == "Succeeded"
        view = machines.instance_view(GROUP, "vm-a")
        assert [(one.name, one.statuses[0].code) for one in view.extensions] == [
            ("script", "ProvisioningState/succeeded")
        ]
        assert "PowerState/running" in [status.code for status in view.statuses]
        assert [one.name for one in machines.list(GROUP)] == ["vm-a"]
        assert [one.name for one in extensions.list(GROUP, "vm-a").value] == ["script"]
        machines.begin_delete(GROUP, "vm-a").result()
        with pytest.raises(ResourceNotFoundError):
            machines.get(GROUP, "vm-a")
    assert set(transport.waits_s) == {1.0}, "Retry-After of the polls, not the client's own 30 s"


def test_a_scale_set_from_creation_to_deletion(bench: Bench) -> None:
    inner = {"name": "script", "properties": extension()["properties"]}
    profile = {"extensionProfile": {"extensions": [inner]}}
    body = {
        "location": "eastus",
        "sku": {"name": "Standard_D2s_v3", "capacity": 2},
        "properties": {"virtualMachineProfile": profile},
    }
    with compute(bench) as client:
        sets = client.virtual_machine_scale_sets
        made = sets.begin_create_or_update(GROUP, "set-a", body).result()
        assert (made.provisioning_state, made.sku.capacity) == ("Succeeded", 2)
        view = sets.get_instance_view(GROUP, "set-a")
        assert view.extensions[0].statuses_summary[0].code == "ProvisioningState/succeeded"
        sets.begin_delete(GROUP, "set-a").result()
        with pytest.raises(ResourceNotFoundError):
            sets.get(GROUP, "set-a")


def test_a_failing_extension_says_what_users_saw(bench: Bench) -> None:
    with compute(bench) as client:
        client.virtual_machines.begin_create_or_update(GROUP, "vm-b", MACHINE).result()
        with bench.outage("vmextlinuxeastus"):
            poller = client.virtual_machine_extensions.begin_create_or_update(GROUP, "vm-b", "script", extension())
            with pytest.raises(HttpResponseError) as caught:
                poller.result()
        assert caught.value.error.code == "VMExtensionProvisioningError"
        assert "HTTP Error 409: Public access is not permitted on this storage account." in caught.value.error.message
        assert client.virtual_machine_extensions.get(GROUP, "vm-b", "script").provisioning_state == "Failed"
        client.virtual_machines.begin_delete(GROUP, "vm-b", polling=False)


def test_retry_after_of_a_429_is_honoured(bench: Bench) -> None:
    transport = Counting(hurry=1.0)
    limits: dict[str, Any] = {"throttle_enabled": True, "throttle_reads_burst": 1.0, "throttle_reads_per_s": 1.0}
    with bench.settings("provisioner", **limits), compute(bench, transport=transport) as client:
        for _ in range(2):
            assert list(client.virtual_machines.list("empty")) == []
    assert len(transport.sent) == 3
    assert transport.waits_s == [1.0]


def test_an_unknown_extension_is_refused_at_once(bench: Bench) -> None:
    with compute(bench) as client:
        with pytest.raises(ResourceNotFoundError) as parent:
            client.virtual_machine_extensions.begin_create_or_update(GROUP, "nobody", "script", extension())
        assert parent.value.error.code == "ParentResourceNotFound"
        client.virtual_machines.begin_create_or_update(GROUP, "vm-c", MACHINE, polling=False)
        with pytest.raises(ResourceNotFoundError) as caught:
            client.virtual_machine_extensions.begin_create_or_update(GROUP, "vm-c", "x", extension("Nobody", "Nothing"))
        assert caught.value.error.code == "ArtifactNotFound"
        client.virtual_machines.begin_delete(GROUP, "vm-c", polling=False)


# --- managed identities ----------------------------------------------------------------------------------


def test_user_assigned_identities_create_get_update_list_delete(bench: Bench) -> None:
    with msi(bench) as client:
        identities = client.user_assigned_identities
        made = identities.create_or_update(GROUP, "id-a", {"location": "eastus", "tags": {"a": "1"}})
        assert made.client_id
        assert made.principal_id
        assert made.tenant_id
        assert identities.get(GROUP, "id-a").client_id == made.client_id
        updated = identities.update(GROUP, "id-a", {"tags": {"b": "2"}})
        assert (updated.tags, updated.client_id) == ({"b": "2"}, made.client_id)
        assert "id-a" in [one.name for one in identities.list_by_resource_group(GROUP)]
        assert "id-a" in [one.name for one in identities.list_by_subscription()]
        identities.delete(GROUP, "id-a")
        with pytest.raises(ResourceNotFoundError) as caught:
            identities.get(GROUP, "id-a")
        assert caught.value.error.code == "ResourceNotFound"


# --- policy remediations ---------------------------------------------------------------------------------


@pytest.fixture
def calm(bench: Bench) -> Any:
    """Whatever the test's remediation did is taken back."""
    yield
    assert requests.delete(f"{bench.controller}/v1/remediation", headers=OPERATOR, timeout=10).ok
    for region in ("eastus", "westus"):
        switched = [one["name"] for one in accounts(bench, region) if not one["effective"]]
        for name in switched:
            bench.put_anonymous(name, True)
        wait_until(lambda at=region: all(one["effective"] for one in accounts(bench, at)), "all are on again")


def accounts(bench: Bench, region: str) -> list[dict[str, Any]]:
    return list(bench.admin("GET", "", region)["value"])


def test_a_remediation_is_created_cancelled_and_listed(bench: Bench, calm: None) -> None:
    insecure = {"enforce_https": False}
    with policy(bench) as client:
        wanted = Remediation(
            policy_assignment_id=ASSIGNMENT, filters=RemediationFilters(locations=["eastus", "westus"])
        )
        made = client.remediations.create_or_update_at_subscription("switch-off", wanted, **insecure)
        assert (made.name, made.policy_assignment_id) == ("switch-off", ASSIGNMENT)
        assert made.provisioning_state in ("Accepted", "Evaluating")
        wait_until(lambda: not bench.admin("GET", "mslogseastus")["effective"], "it acts")
        cancelled = client.remediations.cancel_at_subscription("switch-off", **insecure)
        assert cancelled.provisioning_state == "Canceled"
        found = client.remediations.get_at_subscription("switch-off", **insecure)
        assert found.provisioning_state == "Canceled"
        assert found.deployment_status.successful_deployments >= 1
        assert [one.name for one in client.remediations.list_for_subscription(**insecure)] == ["switch-off"]
        with pytest.raises(HttpResponseError) as caught:
            client.remediations.cancel_at_subscription("switch-off", **insecure)
        assert caught.value.error.code == "InvalidCancelRemediationRequest"
        with pytest.raises(HttpResponseError) as missing:
            client.remediations.get_at_subscription("nothing", **insecure)
        assert missing.value.status_code == 404


def test_raw_rest_honours_what_the_client_drops(bench: Bench, calm: None) -> None:
    path = bench.group_path("Microsoft.PolicyInsights/remediations/one-account")
    url = f"{bench.controller}{path}?api-version=2021-10-01"
    properties = {
        "policyAssignmentId": ASSIGNMENT,
        "resourceCount": 1,
        "parallelDeployments": 1,
        "failureThreshold": {"percentage": 0.25},
        "filters": {"locations": ["East US"]},
    }
    made = requests.put(url, json={"properties": properties}, headers=OPERATOR, timeout=10)
    assert made.status_code == 201, made.text
    assert {name: made.json()["properties"][name] for name in properties} == properties
    wait_until(lambda: _state(url) == "Complete", "the remediation is complete")
    status = requests.get(url, headers=OPERATOR, timeout=5).json()["properties"]["deploymentStatus"]
    assert status == {"totalDeployments": 1, "successfulDeployments": 1, "failedDeployments": 0}
    assert requests.delete(url, headers=OPERATOR, timeout=5).ok
    assert requests.get(url, headers=OPERATOR, timeout=5).status_code == 404


def _state(url: str) -> str:
    return str(requests.get(url, headers=OPERATOR, timeout=5).json()["properties"]["provisioningState"])


@pytest.mark.parametrize(
    ("properties", "word"),
    [
        ({}, "policyAssignmentId"),
        ({"policyAssignmentId": "/other"}, "policyAssignmentId"),
        ({"policyAssignmentId": ASSIGNMENT, "parallelDeployments": 31}, "parallel"),
        ({"policyAssignmentId": ASSIGNMENT, "resourceCount": 50_001}, "resource_count"),
        ({"policyAssignmentId": ASSIGNMENT, "failureThreshold": {"percentage": 2}}, "failureThreshold"),
        ({"policyAssignmentId": ASSIGNMENT, "filters": {"locations": ["mars"]}}, "eastus, westus"),
        ({"policyAssignmentId": ASSIGNMENT, "resourceDiscoveryMode": "x"}, "resourceDiscoveryMode"),
    ],
)
def test_a_bad_remediation_is_400_and_names_the_field(bench: Bench, properties: dict[str, Any], word: str) -> None:
    url = bench.controller + bench.group_path("Microsoft.PolicyInsights/remediations/bad") + "?api-version=2021-10-01"
    answer = requests.put(url, json={"properties": properties}, headers=OPERATOR, timeout=5)
    assert (answer.status_code, word in answer.json()["error"]["message"]) == (400, True), answer.text


def test_remediations_need_a_token_and_an_api_version(bench: Bench) -> None:
    url = bench.controller + bench.group_path("Microsoft.PolicyInsights/remediations/x")
    version = "?api-version=2021-10-01"
    reader = {"Authorization": f"Bearer {TOKENS.read}"}
    assert requests.get(url + version, timeout=5).status_code == 401
    assert requests.put(url + version, json={}, headers=reader, timeout=5).status_code == 403
    assert requests.get(url, headers=reader, timeout=5).json()["error"]["code"] == "MissingApiVersionParameter"
