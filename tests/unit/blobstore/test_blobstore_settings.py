"""Settings, the accounts a region is born with, and the packages in them."""

import io
import zipfile

import pytest

from services.blobstore import errors, packages
from services.blobstore.settings import BlobstoreSettings, PackageSeed, default_accounts
from services.chassis.errors import ErrorSpec
from services.chassis.settings import SettingsError, resolve

REGIONS = ("centraluseuap", "eastus", "westus", "northeurope", "southeastasia", "australiaeast")


def settings(**values: object) -> BlobstoreSettings:
    return resolve(BlobstoreSettings, {"blobstore": values}, "blobstore", "eastus")


def test_defaults() -> None:
    assert settings().model_dump() == {
        "accounts": None,
        "package_size_bytes": 16384,
        "service_time_s": 0.002,
        "reads_at_once": None,
        "reads_waiting_max": 1000,
        "propagation_delay_s": 0.5,
        "memory_blob_size_max_bytes": 2**20,
        "blob_size_max_bytes": 512 * 2**20,
        "subscription_id": "00000000-0000-4000-8000-00000af7e5c0",
        "arm_read_burst": 250.0,
        "arm_read_rate_per_s": 25.0,
        "arm_write_burst": 200.0,
        "arm_write_rate_per_s": 10.0,
        "jwks_timeout_s": 1.0,
        "jwks_lifetime_s": 300.0,
        "jwks_pause_s": 1.0,
    }


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"propagation_delay": 1}, "blobstore.propagation_delay: unknown setting"),
        ({"service_time_s": -0.1}, "blobstore.service_time_s: Input should be greater than or equal to 0"),
        ({"accounts": [{"name": "Bad_Name"}]}, "blobstore.accounts.0.name: String should match"),
        ({"accounts": [{"name": "good", "publik": True}]}, "blobstore.accounts.0.publik: unknown setting"),
        ({"accounts": [{"name": "good", "container": "a--b"}]}, "blobstore.accounts.0.container: String should match"),
        (
            {"accounts": [{"name": "good", "packages": [{"publisher": "a/b", "type": "c"}]}]},
            "blobstore.accounts.0.packages.0.publisher: String should match",
        ),
        ({"accounts": [{"name": "good", "public": 1}]}, "blobstore.accounts.0.public: Input should be a valid boolean"),
        ({"accounts": [{"name": "admin"}]}, "blobstore.accounts.0.name: Value error, must not be one of admin"),
        ({"package_size_bytes": 2**30}, "blobstore.package_size_bytes: Input should be less than or equal to 16777216"),
        ({"memory_blob_size_max_bytes": 2**21}, "blobstore.memory_blob_size_max_bytes: Input should be less than"),
    ],
)
def test_a_bad_setting_is_refused_by_name_and_rule(values: dict[str, object], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings(**values)
    assert words in str(caught.value)


@pytest.mark.parametrize("region", REGIONS)
def test_a_new_region_has_four_exempt_hosts_and_two_platform_accounts(region: str) -> None:
    seeds = {seed.name: seed for seed in default_accounts(region)}
    assert {name for name, seed in seeds.items() if seed.exempt} == {
        f"{family}{region}" for family in ("vmextmi", "vmextlinux", "vmextarc", "vmextwin")
    }
    assert {name for name, seed in seeds.items() if not seed.exempt} == {f"mslogs{region}", f"msdiag{region}"}
    assert all(seed.public for seed in seeds.values())


def test_a_region_whose_name_is_too_long_for_an_account_is_refused() -> None:
    with pytest.raises(SettingsError, match="vmextmigermanywestcentral"):
        default_accounts("germanywestcentral")


def test_packages_are_where_the_provisioner_looks() -> None:
    seeds = [seed for seed in default_accounts("eastus") if seed.name != "vmextwineastus"]
    paths = {f"{seed.name}/{seed.container}/{package.blob_name}" for seed in seeds for package in seed.packages}
    assert paths == {
        "vmextmieastus/packages/GitHub.Actions.LargerRunner/1.0/package.zip",
        "vmextmieastus/packages/GitHub.Codespaces.Codespace/1.0/package.zip",
        "vmextmieastus/packages/Microsoft.VisualStudio.Services.TeamServicesAgentLinux/1.0/package.zip",
        "vmextmieastus/packages/Microsoft.AKS.LinuxNode/1.0/package.zip",
        "vmextmieastus/packages/Microsoft.Azure.ActiveDirectory.AADSSHLoginForLinux/1.0/package.zip",
        "vmextlinuxeastus/packages/Microsoft.Azure.Extensions.CustomScript/1.0/package.zip",
        "vmextarceastus/packages/GitHub.Actions.HostedRunner/1.0/package.zip",
        "vmextarceastus/packages/Microsoft.Azure.AzureArc.ConnectedMachine/1.0/package.zip",
        "vmextarceastus/packages/Microsoft.Azure.PostgreSQL.ServerAgent/1.0/package.zip",
    }


def test_one_account_also_keeps_a_copy_of_every_package() -> None:
    hosts = {seed.name: {package.blob_name for package in seed.packages} for seed in default_accounts("eastus")}
    mirror = hosts.pop("vmextwineastus")
    assert mirror == set().union(*hosts.values()) | {"Microsoft.Compute.CustomScriptExtension/1.0/package.zip"}


@pytest.mark.parametrize("size", [1024, 16384, 100_001])
def test_a_package_is_a_real_zip_of_the_asked_size(size: int) -> None:
    data = packages.build("GitHub.Actions", "LargerRunner", "1.0", size)
    assert len(data) == size
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["HandlerManifest.json", "bin/payload"]
        assert b'"publisher": "GitHub.Actions"' in archive.read("HandlerManifest.json")


def test_a_packages_bytes_follow_from_its_name() -> None:
    assert packages.build("a", "b", "1.0", 2048) == packages.build("a", "b", "1.0", 2048)
    assert packages.build("a", "b", "1.0", 2048) != packages.build("a", "b", "1.1", 2048)


def test_the_longest_names_fit_the_smallest_package() -> None:
    longest = PackageSeed(publisher="p" * 128, type="t" * 128, version="1.2.3.4", size_bytes=1024)
    assert len(packages.build(longest.publisher, longest.type, longest.version, 1024)) == 1024


def test_a_package_smaller_than_its_frame_is_refused() -> None:
    with pytest.raises(ValueError, match=r"needs at least \d+ bytes, not 10"):
        packages.build("a", "b", "1.0", 10)


def test_every_error_has_a_sentence_and_a_status() -> None:
    rows = [row for row in vars(errors).values() if isinstance(row, ErrorSpec)]
    assert len(rows) >= 40
    for row in rows:
        assert row.message
        assert 300 <= row.status < 600
