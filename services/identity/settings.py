"""Settings of an identity node. The first group is the node's physics: its capacity and service times.

All later ones are policies under stress. They are off by default, as in the incident.
"""

from typing import Literal

from pydantic import Field

from services.chassis.settings import Settings
from services.policies.adaptive_limit import LimitSettings
from services.policies.capacity import ScaleOutSettings
from services.policies.queue_discipline import OwnQueueSettings
from services.policies.retry import RetrySettings, WaitKind
from services.policies.settings import PolicySettings

BLOB_PATH = r"^(?:(?:[a-z0-9]|\{region\})+/[a-z0-9-]+/[A-Za-z0-9./_-]+)?$"


class TenantRateSettings(PolicySettings):
    """A token bucket for each tenant, at each node."""

    rate_per_s: float | None = Field(default=None, gt=0)
    """Requests per second from one tenant to one node; None: no limit."""
    burst: float = Field(default=5.0, ge=1)
    """Requests a tenant may send at once."""


class SheddingSettings(PolicySettings):
    """Which requests a node sheds first: backlog (of jobs that were blocked before) before fresh ones."""

    kind: Literal["off", "priority", "dagor"] = "off"
    """priority: Netflix's cubic over the predicted wait; dagor: a cut-off that moves with the mean queueing time."""
    fresh_priority: int = Field(default=20, ge=1, le=100)
    """priority: that of fresh requests; 1 is refused last."""
    backlog_priority: int = Field(default=80, ge=1, le=100)
    """priority: that of backlog."""
    shed_from: float = Field(default=0.2, ge=0)
    """priority: nothing is refused below this share of `wait_budget_s` ..."""
    shed_all: float = Field(default=1.0, gt=0)
    """... and everything above this one."""
    queue_time_s: float = Field(default=0.1, gt=0)
    """dagor: mean queueing time that counts as overload. WeChat's 20 ms are normal here on a quiet day."""
    users: int = Field(default=16, ge=1)
    """dagor: classes of tenants within fresh and within backlog."""

    ORDER = (("shed_from", "<", "shed_all"),)


class StartRetrySettings(RetrySettings):
    """Retries of a starting node. The naive default: the same wait for all, without jitter."""

    attempts: int = Field(default=5, ge=1)
    """Reads in total; after them the node starts anew."""
    wait: WaitKind = "fixed"
    """The formula for the wait before the next read."""
    base_s: float = Field(default=1.0, ge=0)
    """First wait of the exponential kinds, the wait of the fixed one."""
    max_s: float = Field(default=30.0, ge=0)
    """Longest wait of the exponential kinds."""


class ConfigurationSettings(PolicySettings):
    """The configuration that a node reads when it starts. By default it needs none."""

    blob: str = Field(default="", max_length=300, pattern=BLOB_PATH)
    """`account/container/name` of it in the blob store, with `{region}` for the region; empty: a node needs none. The
    initial nodes have it when they start for the first time."""
    region: str = Field(default="", max_length=24, pattern=r"^(?:[a-z][a-z0-9]*)?$")
    """Whose blob store it is read from; empty: that of the node's region."""
    timeout_s: float = Field(default=2.0, gt=0)
    """Timeout of one read."""
    retry: StartRetrySettings = StartRetrySettings()
    """After a read that failed."""
    crash_after_s: float | None = Field(default=None, ge=0)
    """A defect in it: a node crashes so long after it has started with it, or has taken it; None: it is sound."""


class IdentitySettings(Settings):
    """Defaults: docs/model.md §2, a parameter set that collapses and recovers with wide margins."""

    workers: int = Field(default=2, ge=1, description="requests served at once")
    service_time_s: float = Field(default=0.2, gt=0, description="mean of an idle, warm node")
    service_fixed_share: float = Field(
        default=0.5, ge=0, le=1, description="share of the service time that is fixed; the rest is exponential"
    )
    queue_length: int = Field(default=60, ge=1, description="waiting requests; one more is refused with 503")
    overload_slowdown: float = Field(default=2.0, ge=0, description="service time × (1 + this · queue/queue_length)")
    contention_slowdown: float = Field(default=0.0, ge=0, description="service time × (1 + this · requests in service)")
    cold_slowdown: float = Field(default=1.0, ge=0, description="service time × (1 + this · (1 − warmth))")
    warm_requests: int = Field(default=60, ge=1, description="completions from cold to warm")
    warm_at_start: bool = Field(default=False, description="start warm; applies only to the first start of an instance")
    crash_queue_ratio: float = Field(default=0.95, gt=0, description="queue share that counts as overload")
    crash_after_s: float = Field(default=25.0, gt=0, description="sustained overload until the node crashes")
    crash_enabled: bool = True
    restart_s: float = Field(default=8.0, ge=0, description="from crash to back in rotation, cold")
    identities_max: int = Field(
        default=20_000, ge=1, description="identities in the store, of all regions; one more is refused with 409"
    )
    configuration: ConfigurationSettings = Field(
        default=ConfigurationSettings(), description="what a node reads when it starts, and whether that crashes it"
    )

    discipline: Literal["fifo", "lifo", "adaptive_lifo", "codel", "codel_lifo", "bounded_wait"] = Field(
        default="fifo", description="queue order; bounded_wait is fifo with `bounded`"
    )
    queue: OwnQueueSettings = Field(
        default=OwnQueueSettings(),
        description="a discipline of your own, before `discipline`, `bounded`, `fair`",
    )
    evict_oldest: bool = Field(default=False, description="lifo kinds, full: drop the oldest, accept the new one")
    codel_target_s: float = Field(default=0.005, gt=0, description="codel: minimum delay that counts as overload")
    codel_interval_s: float = Field(default=0.1, gt=0, description="codel's interval; a longer queue turns lifo")
    bounded: bool = Field(default=False, description="refuse requests that would wait longer than wait_budget_s")
    wait_budget_s: float = Field(default=0.5, gt=0, description="longest predicted wait that is accepted")
    fair: bool = Field(default=False, description="serve tenants in turn; then `discipline` does not set the order")
    drop_expired: bool = Field(default=False, description="drop queued work whose deadline has passed")
    deadline_needed_s: float = Field(default=0.0, ge=0, description="drop_expired: minimum time that work still needs")
    retry_after_s: float | None = Field(default=None, gt=0, description="Retry-After on refusals; None sends none")
    tenant_rate: TenantRateSettings = TenantRateSettings()
    shedding: SheddingSettings = SheddingSettings()
    limit: LimitSettings = LimitSettings()
    scale_out: ScaleOutSettings = Field(
        default=ScaleOutSettings(), description="guarded: warm up before joining; the router uses the other fields"
    )

    ORDER = (("codel_target_s", "<", "codel_interval_s"),)

    token_lifetime_s: float = Field(default=86400.0, gt=0)
    issuer: str = "https://sts.aftershock.invalid/"
    key_seed: str = Field(default="aftershock-signing-key-1", min_length=8, description="Ed25519 key derivation")
