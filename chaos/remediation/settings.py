"""Settings of the policy job. The defaults are the repaired job; a scenario enables the defects."""

from typing import ClassVar, Final, Literal

from pydantic import Field

from chaos.remediation.gate_model import GATE
from services.chassis.settings import Settings
from services.parts.kind import PartKind
from services.policies.part import Replaceable

POLICY: Final = "storage-account-disable-public-blob-access"
SECTION = "remediation"

GateVariant = Literal["repaired", "no_data_is_healthy", "own_success", "stale_data"]


class InventorySettings(Settings):
    """The inventory of accounts that the job uses for targeting."""

    defect: Literal["none", "missing_exemptions"] = Field(
        default="none", description="missing_exemptions: the telemetry of `lost_feeds` no longer arrives"
    )
    lost_feeds: tuple[str, ...] = Field(
        default=("vmextmi*", "vmextlinux*", "vmextarc*"), description="accounts (globs) whose exemption feed is lost"
    )
    silent_s: float = Field(
        default=120.0, ge=0, description="time since the last report of the lost feeds when the job starts"
    )
    retention_s: float = Field(default=60.0, gt=0, description="the replica drops a record not renewed for this long")
    validate_targets: bool = Field(
        default=True, description="compare targets with the accounts' own tags, and refuse the run on a contradiction"
    )


class GateSettings(Settings, Replaceable):
    """When the job may proceed to the next region."""

    KIND: ClassVar[PartKind] = GATE

    variant: GateVariant = "repaired"
    settle_s: float = Field(default=14.0, ge=0, description="minimum time between two regions, independent of the gate")
    bake_s: float = Field(
        default=60.0, ge=0, description="time for which a region must be healthy before the job proceeds"
    )
    poll_s: float = Field(default=1.0, ge=0.05, description="interval between evaluations while the gate holds")
    samples_min: int = Field(default=5, ge=1, description="fewer samples than this count as no data")
    unhealthy_ratio: float = Field(
        default=0.2, gt=0, le=1, description="failure ratio of provisioning that stops the job"
    )
    lag_s: float = Field(default=30.0, ge=0, description="stale_data: age of the newest sample used")
    stale_window_s: float = Field(default=12.0, gt=0, description="stale_data: length of the window used")
    failure_threshold_ratio: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="own_success: failed deployments tolerated; 1, Azure's default, never stops",
    )


class RemediationSettings(Settings):
    """The policy job; names and limits follow Microsoft.PolicyInsights/remediations."""

    policy: Literal["storage-account-disable-public-blob-access"] = POLICY
    period_s: float = Field(default=60.0, ge=0.5, description="interval between the starts of two runs")
    parallel: int = Field(default=10, ge=1, le=30, description="parallelDeployments")
    resource_count: int = Field(
        default=500, ge=1, le=50_000, description="maximum number of accounts changed by one run"
    )
    timeout_s: float = Field(default=5.0, gt=0, description="timeout of a call to the storage resource provider")
    order: tuple[str, ...] = Field(default=(), description="regions after the canary; the others follow as listed")
    inventory: InventorySettings = InventorySettings()
    gate: GateSettings = GateSettings()
