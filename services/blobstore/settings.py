"""Settings of a blob service, and its initial accounts.

`accounts` and their packages apply only to the first start; later starts load the state from Redis.
"""

from typing import Literal

from pydantic import Field, StrictBool, field_validator

from services.blobstore.packages import SIZE_MAX_BYTES, SIZE_MIN_BYTES
from services.chassis.settings import Settings, validate
from services.clients.identity.client import SUBSCRIPTION

MIB = 2**20
ACCOUNT_NAME = r"^[a-z0-9]{3,24}$"
CONTAINER_NAME = r"^(?:\$root|\$web|[a-z0-9](?:-?[a-z0-9])+)$"
RESERVED = ("admin", "healthz", "metrics", "openapi", "readyz", "subscriptions")
"""First path segments that belong to other routes; no account may have such a name."""

EXEMPT_TAG = "aftershock-exempt"
PURPOSE_TAG = "aftershock-purpose"

PACKAGES: dict[str, tuple[tuple[str, str], ...]] = {
    "vmextmi": (
        ("GitHub.Actions", "LargerRunner"),
        ("GitHub.Codespaces", "Codespace"),
        ("Microsoft.VisualStudio.Services", "TeamServicesAgentLinux"),
        ("Microsoft.AKS", "LinuxNode"),
        ("Microsoft.Azure.ActiveDirectory", "AADSSHLoginForLinux"),
    ),
    "vmextlinux": (("Microsoft.Azure.Extensions", "CustomScript"),),
    "vmextarc": (
        ("GitHub.Actions", "HostedRunner"),
        ("Microsoft.Azure.AzureArc", "ConnectedMachine"),
        ("Microsoft.Azure.PostgreSQL", "ServerAgent"),
    ),
    "vmextwin": (("Microsoft.Compute", "CustomScriptExtension"),),
}
"""Account family → (publisher, type) of its packages; the account's name is the family plus the region."""

MIRROR_FAMILY = "vmextwin"
"""The account that also holds a copy of all other packages, for the mirror mitigation (X6)."""

PLATFORM_FAMILIES = ("mslogs", "msdiag")
"""Accounts without extensions: public without need, so the policy is meant to switch these off."""


class PackageSeed(Settings):
    """One extension package, kept as `{publisher}.{type}/{version}/package.zip`."""

    publisher: str = Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9.\-]+$")
    type: str = Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9.\-]+$")
    version: str = Field(default="1.0", max_length=64, pattern=r"^[0-9]+(\.[0-9]+){0,3}$")
    size_bytes: int | None = Field(
        default=None, ge=SIZE_MIN_BYTES, le=SIZE_MAX_BYTES, description="None: `package_size_bytes`"
    )

    @property
    def blob_name(self) -> str:
        return f"{self.publisher}.{self.type}/{self.version}/package.zip"


class AccountBody(Settings):
    """An account without its name; the body of the operator's `PUT /admin/accounts/{account}`."""

    exempt: StrictBool = Field(default=False, description="ground truth: anonymous read is intended here")
    public: StrictBool = Field(default=True, description="allowBlobPublicAccess")
    container: str = Field(default="packages", min_length=3, max_length=63, pattern=CONTAINER_NAME)
    access: Literal["None", "Blob", "Container"] = "Blob"
    tags: dict[str, str] = {}
    packages: list[PackageSeed] = Field(default=[], max_length=100)


class AccountSeed(AccountBody):
    """An account created at the first start."""

    name: str = Field(pattern=ACCOUNT_NAME)

    @field_validator("name")
    @classmethod
    def _not_reserved(cls, name: str) -> str:
        if name in RESERVED:
            raise ValueError(f"must not be one of {', '.join(RESERVED)}")
        return name


class ContainerSeed(Settings):
    """The body of the operator's `PUT /admin/accounts/{account}/{container}`."""

    access: Literal["None", "Blob", "Container"] = "None"
    metadata: dict[str, str] = {}


class BlobstoreSettings(Settings):
    """Settings of one blob service. Times are in bench seconds, rates per bench second."""

    accounts: list[AccountSeed] | None = Field(default=None, description="None: the incident's accounts of the region")
    package_size_bytes: int = Field(
        default=16 * 1024, ge=SIZE_MIN_BYTES, le=SIZE_MAX_BYTES, description="for packages without a size of their own"
    )
    service_time_s: float = Field(default=0.002, ge=0, description="mean per read; half fixed, half exponential")
    reads_at_once: int | None = Field(default=None, ge=1, description="the others wait in turn; None: no limit")
    reads_waiting_max: int = Field(default=1000, ge=0, description="with `reads_at_once`: more get 503 ServerBusy")
    propagation_delay_s: float = Field(default=0.5, ge=0, description="from the accepted switch to its effect on reads")

    memory_blob_size_max_bytes: int = Field(
        default=MIB, ge=0, le=MIB, description="larger blobs are read from Redis, in chunks"
    )
    blob_size_max_bytes: int = Field(default=512 * MIB, gt=0, description="larger uploads are refused with 413")

    subscription_id: str = Field(default=SUBSCRIPTION, description="the subscription of all accounts")
    arm_read_burst: float = Field(default=250.0, ge=1, description="Azure's documented bucket for reads")
    arm_read_rate_per_s: float = Field(default=25.0, gt=0)
    arm_write_burst: float = Field(default=200.0, ge=1, description="the same for writes and deletes")
    arm_write_rate_per_s: float = Field(default=10.0, gt=0)

    jwks_timeout_s: float = Field(default=1.0, gt=0, description="for one fetch of the identity service's keys")
    jwks_lifetime_s: float = Field(default=300.0, gt=0, description="older keys are fetched again when needed")
    jwks_pause_s: float = Field(default=1.0, ge=0, description="minimum time between two fetches for an unknown key")

    ORDER = (("jwks_pause_s", "<=", "jwks_lifetime_s"),)

    def seeds(self, region: str) -> list[AccountSeed]:
        """The accounts of the first start."""
        return default_accounts(region) if self.accounts is None else self.accounts


def default_accounts(region: str) -> list[AccountSeed]:
    """The incident's accounts: extension hosts that must be public, platform accounts that need not be.

    Raises:
        SettingsError: the region's name makes an account's name longer than Azure's 24 characters.
    """
    hosts = [
        _account(
            f"{family}{region}",
            exempt=True,
            tags={PURPOSE_TAG: "extension-packages"},
            packages=[PackageSeed(publisher=publisher, type=type_) for publisher, type_ in _hosted(family)],
        )
        for family in PACKAGES
    ]
    platform = [
        _account(f"{family}{region}", container="data", tags={PURPOSE_TAG: "platform"}) for family in PLATFORM_FAMILIES
    ]
    return [*hosts, *platform]


def _hosted(family: str) -> list[tuple[str, str]]:
    mirrored = PACKAGES.values() if family == MIRROR_FAMILY else (PACKAGES[family],)
    return [package for packages in mirrored for package in packages]


def _account(name: str, **values: object) -> AccountSeed:
    return validate(AccountSeed, {"name": name, **values}, f"blobstore account {name}")
