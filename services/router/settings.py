"""Settings of a regional router. The defaults are those of the incident; failover is how it spread."""

from typing import ClassVar

from pydantic import Field

from services.chassis.settings import Settings
from services.parts.kind import PartKind
from services.policies.admission import ADMISSION, AdmissionControl, EnvoyAdmission
from services.policies.capacity import ScaleOutSettings
from services.policies.failover import FailoverSettings
from services.policies.outlier import OutlierSettings
from services.policies.part import Replaceable
from services.policies.settings import PolicySettings


class AdmissionSettings(PolicySettings, Replaceable):
    """Envoy's admission control, one per target region."""

    KIND: ClassVar[PartKind] = ADMISSION

    enabled: bool = False
    """If False, nothing is refused for this reason."""
    window_s: float = Field(default=10.0, gt=0)
    """Window over which successes are counted; Envoy's 30 s, scaled to the failover window."""
    success_min: float = Field(default=0.95, gt=0, le=1)
    """Success ratio below which requests are refused."""
    rps_min: float = Field(default=0.0, ge=0)
    """Nothing is refused below this request rate, per second."""
    rejection_max: float = Field(default=0.80, ge=0, le=1)
    """Largest share that is refused."""
    aggression: float = Field(default=1.0, gt=0)
    """Values above 1 refuse sooner."""

    def build(self) -> AdmissionControl | None:
        """A new one for one region; None if it is off."""
        own: AdmissionControl | None = self.own()
        if own is not None or not self.enabled:
            return own
        return EnvoyAdmission(**self.model_dump(exclude={"enabled", "part", "options"}))


class RouterSettings(Settings):
    pair: str | None = Field(default=None, description="region that takes over; None: no failover")
    failover: FailoverSettings = FailoverSettings()
    hop_timeout_s: float = Field(default=1.0, gt=0, description="timeout for a node's response")
    service_time_s: float = Field(default=0.001, ge=0, description="the router's own work per request; half fixed")
    discovery_s: float = Field(default=1.0, gt=0, description="how often the registry is read")
    node_rate_per_s: float = Field(default=10.0, gt=0, description="what a warm node serves; scales a ramp")
    retry_after_s: float | None = Field(default=None, gt=0, description="Retry-After on shed requests")
    outlier: OutlierSettings = OutlierSettings()
    scale_out: ScaleOutSettings = Field(
        default=ScaleOutSettings(), description="guarded: new nodes join together once there are enough; slow start"
    )
    tenant_nodes: int | None = Field(default=None, ge=1, description="nodes a tenant is confined to; None: all")
    admission: AdmissionSettings = AdmissionSettings()
    ramp_reserve: float = Field(default=0.0, ge=0, description="tokens of a ramp that are reserved for fresh requests")
