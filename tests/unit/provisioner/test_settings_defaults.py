"""Defaults are the incident's; a change of one is a decision and shows here."""

from typing import Any

import pytest

from services.chassis.settings import SettingsError, resolve
from services.provisioner.settings import Package, ProvisionerSettings

PACKAGES = {
    "GitHub.Actions/LargerRunner": "vmextmi",
    "GitHub.Codespaces/Codespace": "vmextmi",
    "Microsoft.VisualStudio.Services/TeamServicesAgentLinux": "vmextmi",
    "Microsoft.AKS/LinuxNode": "vmextmi",
    "Microsoft.Azure.ActiveDirectory/AADSSHLoginForLinux": "vmextmi",
    "Microsoft.Azure.Extensions/CustomScript": "vmextlinux",
    "GitHub.Actions/HostedRunner": "vmextarc",
    "Microsoft.Azure.AzureArc/ConnectedMachine": "vmextarc",
    "Microsoft.Azure.PostgreSQL/ServerAgent": "vmextarc",
    "Microsoft.Compute/CustomScriptExtension": "vmextwin",
}


def test_defaults() -> None:
    assert ProvisionerSettings().model_dump(exclude={"packages"}) == {
        "slots": 20,
        "requeue_delay_s": 10.0,
        "requeue_multiplier": 1.0,
        "requeue_delay_max_s": 120.0,
        "requeue_jitter": 0.0,
        "resume_rate_per_s": None,
        "backlog_share_max": 1.0,
        "max_tries": None,
        "operation_timeout_s": None,
        "allocate_s": 0.5,
        "work_s": 0.2,
        "fetching_actions": ("reimage",),
        "identity_calls": 3,
        "extension_tokens": 0,
        "token_resources": ("https://management.azure.com/", "https://storage.azure.com/"),
        "fetch_timeout_s": 5.0,
        "artifact_fallback": "none",
        "artifact_mirrors": {"vmextmi": "vmextwin", "vmextlinux": "vmextwin", "vmextarc": "vmextwin"},
        "artifact_client_id": "",
        "retry_after_s": 15,
        "throttle_enabled": False,
        "throttle_reads_per_s": 25.0,
        "throttle_reads_burst": 250.0,
        "throttle_writes_per_s": 10.0,
        "throttle_writes_burst": 200.0,
        "throttle_deletes_per_s": 10.0,
        "throttle_deletes_burst": 200.0,
        "list_page_size": 200,
        "operation_retention_s": 900.0,
        "operations_max": 20_000,
        "resources_max": 20_000,
        "jobs_max": 10_000,
        "poll_s": 30.0,
        "reconnect_s": 0.5,
    }


def test_every_package_and_its_account() -> None:
    packages = ProvisionerSettings().packages
    assert {name: package.account for name, package in packages.items()} == PACKAGES
    assert {package.version for package in packages.values()} == {"1.0"}


def test_a_region_overrides() -> None:
    tree = {"provisioner": {"slots": 20}, "regions": {"eastus": {"provisioner": {"slots": 100}}}}
    assert resolve(ProvisionerSettings, tree, "provisioner", "eastus").slots == 100
    assert resolve(ProvisionerSettings, tree, "provisioner", "westus").slots == 20


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"slots": 0}, "provisioner.slots: Input should be greater than or equal to 1 (got 0)"),
        ({"retry_after_s": 0}, "provisioner.retry_after_s: Input should be greater than or equal to 1 (got 0)"),
        ({"requeue_delay_s": -1}, "provisioner.requeue_delay_s: Input should be greater than 0 (got -1)"),
        ({"resume_rate_per_s": 0}, "provisioner.resume_rate_per_s: Input should be greater than 0 (got 0)"),
        (
            {"backlog_share_max": 1.5},
            "provisioner.backlog_share_max: Input should be less than or equal to 1 (got 1.5)",
        ),
        ({"slotz": 3}, "provisioner.slotz: unknown setting (got 3)"),
        (
            {"artifact_fallback": "cache"},
            "provisioner.artifact_fallback: Input should be 'none', 'mirror' or 'bearer' (got 'cache')",
        ),
    ],
)
def test_bad_settings_name_the_field_and_the_rule(values: dict[str, Any], text: str) -> None:
    with pytest.raises(SettingsError) as refused:
        resolve(ProvisionerSettings, {"provisioner": values}, "provisioner", "eastus")
    assert str(refused.value) == text


def test_a_package_needs_a_real_account_name() -> None:
    with pytest.raises(ValueError):
        Package(account="No Such")


def test_a_long_first_delay_is_not_cut_by_the_longest() -> None:
    assert ProvisionerSettings(requeue_delay_s=300.0).requeue().delay_s(1, None) == 300.0  # type: ignore[arg-type]
