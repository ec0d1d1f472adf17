"""Settings of an identity node. The first group is physics, not faults: what the hardware and the code can do."""

from typing import Literal

from pydantic import Field

from services.chassis.settings import Settings


class IdentitySettings(Settings):
    """Defaults: domain.md §2.2, the parameter set that is known to collapse and to recover with wide margins."""

    workers: int = Field(default=2, ge=1, description="requests served at once")
    service_time_s: float = Field(default=0.2, gt=0, description="mean; half fixed, half exponential")
    queue_length: int = Field(default=60, ge=1, description="waiting requests; one more is refused with 503")
    overload_slowdown: float = Field(default=2.0, ge=0, description="service time × (1 + this · queue/queue_length)")
    cold_slowdown: float = Field(default=1.0, ge=0, description="service time × (1 + this · (1 − warmth))")
    warm_requests: int = Field(default=60, ge=1, description="completions from cold to warm")
    warm_at_start: bool = Field(default=False, description="begin warm; only the first start of an instance does")
    crash_queue_ratio: float = Field(default=0.95, gt=0, description="queue share that counts as overload")
    crash_after_s: float = Field(default=25.0, gt=0, description="sustained overload until the node crashes")
    crash_enabled: bool = True
    restart_s: float = Field(default=8.0, ge=0, description="from crash to back in rotation, cold")

    discipline: Literal["fifo", "lifo", "adaptive_lifo", "codel", "codel_lifo", "bounded_wait"] = "fifo"
    wait_budget_s: float = Field(default=0.5, gt=0, description="bounded_wait: longest predicted wait accepted")
    drop_expired: bool = Field(default=False, description="drop work at dequeue whose deadline has passed")
    retry_after_s: float | None = Field(default=None, gt=0, description="Retry-After on refusals; None sends none")

    token_lifetime_s: float = Field(default=86400.0, gt=0)
    issuer: str = "https://sts.aftershock.invalid/"
    key_seed: str = Field(default="aftershock-signing-key-1", min_length=8, description="Ed25519 key derivation")
