"""Settings of the provisioner. The queue's defaults are those of the incident: many slots, fixed requeue, no pacing."""

from typing import Literal

from pydantic import Field

from services.chassis.settings import Settings
from services.policies.pacing import RequeueSettings


class Package(Settings):
    """Location of an extension's package. `account` is a prefix, to which the region's name is appended."""

    account: str = Field(pattern=r"^[a-z0-9]{3,24}$")
    version: str = Field(default="1.0", pattern=r"^\d+(\.\d+){0,3}$")


def _packages() -> dict[str, Package]:
    by_account = {
        "vmextmi": (
            "GitHub.Actions/LargerRunner",
            "GitHub.Codespaces/Codespace",
            "Microsoft.VisualStudio.Services/TeamServicesAgentLinux",
            "Microsoft.AKS/LinuxNode",
            "Microsoft.Azure.ActiveDirectory/AADSSHLoginForLinux",
        ),
        "vmextlinux": ("Microsoft.Azure.Extensions/CustomScript",),
        "vmextarc": (
            "GitHub.Actions/HostedRunner",
            "Microsoft.Azure.AzureArc/ConnectedMachine",
            "Microsoft.Azure.PostgreSQL/ServerAgent",
        ),
        "vmextwin": ("Microsoft.Compute/CustomScriptExtension",),
    }
    return {name: Package(account=account) for account, names in by_account.items() for name in names}


class ProvisionerSettings(Settings):
    """Queue, steps, identity, artifacts, API."""

    slots: int = Field(default=20, ge=1, description="jobs that run at once")
    requeue_delay_s: float = Field(default=10.0, gt=0, description="from a blocked try to the next")
    requeue_multiplier: float = Field(default=1.0, ge=1, description="growth of the delay per try; 1 is fixed")
    requeue_delay_max_s: float = Field(default=120.0, gt=0, description="longest delay before jitter")
    requeue_jitter: float = Field(default=0.0, ge=0, le=1, description="share of the delay, in both directions")
    resume_rate_per_s: float | None = Field(default=None, gt=0, description="rate at which blocked jobs resume")
    backlog_share_max: float = Field(default=1.0, gt=0, le=1, description="share of slots for resumed jobs")
    max_tries: int | None = Field(default=None, ge=1, description="tries before a job fails; None never gives up")
    operation_timeout_s: float | None = Field(default=None, gt=0, description="age at which a job fails; None never")

    allocate_s: float = Field(default=0.5, ge=0, description="placing a machine, once per job")
    work_s: float = Field(default=0.2, ge=0, description="modelled work of deletes, updates, lifecycle operations")
    fetching_actions: tuple[str, ...] = Field(
        default=("reimage",), description="lifecycle actions that fetch the packages again"
    )

    identity_calls: int = Field(default=3, ge=0, description="per provisioning job: one PUT, the others tokens")
    extension_tokens: int = Field(default=0, ge=0, description="tokens that an extension's own job acquires")
    token_resources: tuple[str, ...] = Field(
        default=("https://management.azure.com/", "https://storage.azure.com/"), min_length=1
    )

    fetch_timeout_s: float = Field(default=5.0, gt=0)
    packages: dict[str, Package] = Field(default_factory=_packages, description="by publisher/type")
    artifact_fallback: Literal["none", "mirror", "bearer"] = "none"
    artifact_mirrors: dict[str, str] = Field(
        default={"vmextmi": "vmextwin", "vmextlinux": "vmextwin", "vmextarc": "vmextwin"},
        description="account prefix that holds copies of another's packages",
    )
    artifact_client_id: str = Field(default="", description="identity of the bearer read; empty: system-assigned")

    retry_after_s: int = Field(default=15, ge=1, description="Retry-After of polls; SDKs read 0 as 30 s")
    throttle_enabled: bool = False
    throttle_reads_per_s: float = Field(default=25.0, gt=0)
    throttle_reads_burst: float = Field(default=250.0, ge=1)
    throttle_writes_per_s: float = Field(default=10.0, gt=0)
    throttle_writes_burst: float = Field(default=200.0, ge=1)
    throttle_deletes_per_s: float = Field(default=10.0, gt=0)
    throttle_deletes_burst: float = Field(default=200.0, ge=1)
    list_page_size: int = Field(default=200, ge=1)
    operation_retention_s: float = Field(default=900.0, gt=0, description="retention of finished operations")
    operations_max: int = Field(default=20_000, ge=1, description="finished operations kept; the oldest go first")
    resources_max: int = Field(default=20_000, ge=1, description="resources in the region; one more gets 409")
    jobs_max: int = Field(default=10_000, ge=1, description="operations in progress; one more gets 429")

    poll_s: float = Field(default=30.0, gt=0, description="interval of the queue audit; new work is announced")
    reconnect_s: float = Field(default=0.5, gt=0, description="between attempts while Redis is unavailable")

    def requeue(self) -> RequeueSettings:
        """These settings for the pacing policy."""
        return RequeueSettings(
            base_s=self.requeue_delay_s,
            multiplier=self.requeue_multiplier,
            max_s=max(self.requeue_delay_max_s, self.requeue_delay_s),
            jitter=self.requeue_jitter,
        )
