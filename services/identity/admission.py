"""Admission control of a node, before its queue: tenant rate limits, priority shedding, concurrency limits.

Requests in flight are those served and those queued: a limit learns from the caller's latency, queueing included.
"""

from hashlib import sha256
from random import Random
from typing import Literal

from services.identity.settings import IdentitySettings
from services.policies.adaptive_limit import NoLimit
from services.policies.admission import Dagor, PriorityShedding
from services.policies.fairness import TenantBuckets
from services.policies.recent import Recent

Reason = Literal["throttle", "priority", "limit"]
BUSINESS_LEVELS = 2
TENANTS_MAX = 4096


class Admission:
    """The policies of one node, with their state."""

    def __init__(self, settings: IdentitySettings, rng: Random, now: float) -> None:
        shedding, tenants = settings.shedding, settings.tenant_rate
        self._made_of = _relevant(settings)
        self._drops_count = settings.limit.kind != "envoy"
        self._shedding = shedding
        self._wait_budget_s = settings.wait_budget_s
        self._workers = settings.workers
        self.buckets = TenantBuckets(tenants.rate_per_s or 0.0, tenants.burst, enabled=tenants.rate_per_s is not None)
        self.priority = PriorityShedding(shedding.shed_from, shedding.shed_all, enabled=shedding.kind == "priority")
        self.dagor = Dagor(
            BUSINESS_LEVELS * shedding.users,
            threshold_s=shedding.queue_time_s,
            now=now,
            enabled=shedding.kind == "dagor",
        )
        self.limit = settings.limit.build(rng)
        self._ranks: Recent[str, int] = Recent(TENANTS_MAX)

    @staticmethod
    def wanted(settings: IdentitySettings) -> bool:
        """Whether any of these policies is enabled."""
        tenants, shedding, limit = settings.tenant_rate, settings.shedding, settings.limit
        return tenants.rate_per_s is not None or shedding.kind != "off" or limit.kind != "off" or bool(limit.part)

    def fits(self, settings: IdentitySettings) -> bool:
        """Whether the relevant settings are unchanged, so that the state can be kept."""
        return self._made_of == _relevant(settings)

    def refusal(
        self, tenant: str, backlog: bool, *, serving: int, waiting: int, service_s: float, now: float
    ) -> Reason | None:
        """Why this request is refused, or None. The tenant's token is spent unless the reason is `throttle`."""
        if not self.buckets.take(tenant, now):
            return "throttle"
        if not self.dagor.admit(self._level(tenant, backlog), now):
            return "priority"
        if self.priority.enabled and serving >= self._workers:
            load = (waiting + 1) * service_s / self._workers / self._wait_budget_s
            shedding = self._shedding
            if not self.priority.admit(shedding.backlog_priority if backlog else shedding.fresh_priority, load):
                return "priority"
        return "limit" if serving + waiting >= self.limit.limit else None

    def retry_after_s(self, tenant: str, now: float) -> float:
        """Seconds until a throttled tenant has its next token."""
        return self.buckets.bucket(tenant, now).wait_s(now)

    def started(self, waited_s: float) -> None:
        """A worker takes a request that has waited `waited_s`."""
        self.dagor.on_queue_time(waited_s)

    def finished(self, took_s: float, inflight: int, now: float, *, left: bool) -> None:
        """A request was answered. `left`: its caller had disconnected, which Netflix's limits treat as a drop.

        Envoy's limit ignores that: it learns from latency only, and in a retry storm all callers have disconnected.
        """
        self.limit.on_sample(took_s, inflight, left and self._drops_count, now)

    def dropped(self, took_s: float, inflight: int, now: float) -> None:
        """A queued request was dropped."""
        self.limit.on_sample(took_s, inflight, True, now)

    def _level(self, tenant: str, backlog: bool) -> int:
        """DAGOR's level: business priority, then the tenant's class, a hash that is the same at every node."""
        rank = self._ranks.get(tenant)
        if rank is None:
            digest = sha256(tenant.encode()).digest()
            rank = self._ranks[tenant] = int.from_bytes(digest[:4], "big") % self._shedding.users
        return rank + (self._shedding.users if backlog else 0)

    def __repr__(self) -> str:
        limit = "no limit" if isinstance(self.limit, NoLimit) else repr(self.limit)
        return f"<Admission {self.buckets!r} {self.priority!r} {self.dagor!r} {limit}>"


def _relevant(settings: IdentitySettings) -> tuple[object, ...]:
    return settings.tenant_rate, settings.shedding, settings.limit, settings.wait_budget_s, settings.workers
