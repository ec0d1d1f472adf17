"""Settings of a regional router. The defaults are the incident's: healthy-looking, and the way it spread."""

from pydantic import Field

from services.chassis.settings import Settings
from services.policies.failover import FailoverSettings


class RouterSettings(Settings):
    pair: str | None = Field(default=None, description="region that takes over; None: no failover")
    failover: FailoverSettings = FailoverSettings()
    hop_timeout_s: float = Field(default=1.0, gt=0, description="waiting for a node's answer")
    service_time_s: float = Field(default=0.001, ge=0, description="the router's own work per request; half fixed")
    discovery_s: float = Field(default=1.0, gt=0, description="how often the registry is read")
    node_rate_per_s: float = Field(default=10.0, gt=0, description="what a warm node serves; scales a ramp")
    retry_after_s: float | None = Field(default=None, gt=0, description="Retry-After on shed requests")
