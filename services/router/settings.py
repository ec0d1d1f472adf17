"""Settings of a regional router. The defaults are the incident's: healthy-looking, and the way it spread."""

from pydantic import Field

from services.chassis.settings import Settings
from services.policies.capacity import ScaleOutSettings
from services.policies.failover import FailoverSettings
from services.policies.outlier import OutlierSettings
from services.policies.settings import PolicySettings


class AdmissionSettings(PolicySettings):
    """Envoy's admission control, per region that is sent to."""

    enabled: bool = False
    """Off: nothing is refused for that reason."""
    window_s: float = Field(default=10.0, gt=0)
    """How far back successes are counted; Envoy's 30 s scaled to the failover's window."""
    success_min: float = Field(default=0.95, gt=0, le=1)
    """Success ratio below which refusing begins."""
    rps_min: float = Field(default=0.0, ge=0)
    """Nothing is refused below this many requests a second."""
    rejection_max: float = Field(default=0.80, ge=0, le=1)
    """Never refuse a larger share than this."""
    aggression: float = Field(default=1.0, gt=0)
    """Above 1 it refuses sooner."""


class RouterSettings(Settings):
    pair: str | None = Field(default=None, description="region that takes over; None: no failover")
    failover: FailoverSettings = FailoverSettings()
    hop_timeout_s: float = Field(default=1.0, gt=0, description="waiting for a node's answer")
    service_time_s: float = Field(default=0.001, ge=0, description="the router's own work per request; half fixed")
    discovery_s: float = Field(default=1.0, gt=0, description="how often the registry is read")
    node_rate_per_s: float = Field(default=10.0, gt=0, description="what a warm node serves; scales a ramp")
    retry_after_s: float | None = Field(default=None, gt=0, description="Retry-After on shed requests")
    outlier: OutlierSettings = OutlierSettings()
    scale_out: ScaleOutSettings = Field(
        default=ScaleOutSettings(), description="guarded: new nodes join when they are enough; slow start of their load"
    )
    tenant_nodes: int | None = Field(default=None, ge=1, description="nodes a tenant is confined to; None: all")
    admission: AdmissionSettings = AdmissionSettings()
    ramp_reserve: float = Field(default=0.0, ge=0, description="tokens of a ramp that backlog leaves to fresh requests")
