"""Fairness: a tenant that floods the service delays only itself.

    FairQueue       round robin: tenants take turns, one item each; when the queue is full, the longest line loses its
                    newest item
    TenantBuckets   one token bucket per tenant
    shuffle_shard   k of n workers per tenant: the k lowest of sha256(seed/tenant/name); C(n, k) different shards

Sources: Nagle, "On Packet Switches With Infinite Storage", RFC 970, 1985; dropping from the longest line: McKenney,
"Stochastic Fairness Queueing", 1990; AWS Builders' Library, "Workload isolation using shuffle-sharding" (8 choose 2 =
28 shards); hashing names and not positions: Thaler and Ravishankar, "Using Name-Based Mappings to Increase Hit Rates",
1998. Defaults: off unless built.

Caveats:
* Round robin over retries is fair to attempts, not to operations: an amplified tenant still spends 12 attempts per
  operation, but out of its own turns.
* A full buffer that refuses new requests is unfair even with a fair queue: one tenant fills it. Hence the eviction.
* With 2 of 8 workers two tenants share both with probability 1/28, and share one with 12/28.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Generic, TypeVar

from services.policies.admission import TokenBucket
from services.policies.queue_discipline import NOTHING_DROPPED
from services.policies.recent import Recent

T = TypeVar("T")

TENANTS_MAX = 4096
"""Buckets kept; a tenant whose bucket was evicted starts again with a full one."""


class FairQueue(Generic[T]):
    """A queue that serves tenants in turn. `enabled=False` uses one queue for all: plain FIFO."""

    __slots__ = ("_dropped", "_lines", "_size", "_tenant_of", "capacity", "enabled")

    def __init__(self, tenant_of: Callable[[T], str], capacity: int | None = None, *, enabled: bool = True) -> None:
        if capacity is not None and capacity < 1:
            raise ValueError(f"capacity must be positive, not {capacity}")
        self._tenant_of = tenant_of
        self.capacity = capacity
        self.enabled = enabled
        self._lines: OrderedDict[str, deque[T]] = OrderedDict()
        self._dropped: list[T] = []
        self._size = 0

    def offer(self, item: T, now: float) -> bool:
        tenant = self._tenant_of(item) if self.enabled else ""
        if self.capacity is not None and self._size >= self.capacity and not self._make_room(tenant):
            return False
        self._lines.setdefault(tenant, deque()).append(item)
        self._size += 1
        return True

    def take(self, now: float) -> T | None:
        if not self._lines:
            return None
        tenant, line = next(iter(self._lines.items()))
        item = line.popleft()
        self._size -= 1
        if line:
            self._lines.move_to_end(tenant)
        else:
            del self._lines[tenant]
        return item

    def pop_dropped(self) -> Sequence[T]:
        if not self._dropped:
            return NOTHING_DROPPED
        dropped, self._dropped = self._dropped, []
        return dropped

    def drain(self) -> list[T]:
        lost = [item for line in self._lines.values() for item in line]
        self._lines.clear()
        self._size = 0
        return lost

    def length_of(self, tenant: str) -> int:
        line = self._lines.get(tenant)
        return 0 if line is None else len(line)

    def _make_room(self, newcomer: str) -> bool:
        longest = max(self._lines, key=lambda tenant: len(self._lines[tenant]))
        if len(self._lines[longest]) <= self.length_of(newcomer) + 1:
            return False
        self._dropped.append(self._lines[longest].pop())
        self._size -= 1
        return True

    def __len__(self) -> int:
        return self._size

    def __repr__(self) -> str:
        if not self.enabled:
            return f"<FairQueue off, {self._size} in one line>"
        return f"<FairQueue {self._size} of {len(self._lines)} tenants>"


class TenantBuckets:
    """Rate limit per tenant. `enabled=False` admits everything."""

    __slots__ = ("_buckets", "burst", "enabled", "rate_per_s")

    def __init__(self, rate_per_s: float, burst: float, *, enabled: bool = True) -> None:
        self.rate_per_s = rate_per_s
        self.burst = burst
        self.enabled = enabled
        self._buckets: Recent[str, TokenBucket] = Recent(TENANTS_MAX)

    def take(self, tenant: str, now: float, n: float = 1.0) -> bool:
        return not self.enabled or self.bucket(tenant, now).take(now, n)

    def bucket(self, tenant: str, now: float) -> TokenBucket:
        bucket = self._buckets.get(tenant)
        if bucket is None:
            bucket = self._buckets[tenant] = TokenBucket(self.rate_per_s, self.burst, now=now)
        return bucket

    def __repr__(self) -> str:
        if not self.enabled:
            return "<TenantBuckets off>"
        return f"<TenantBuckets {self.rate_per_s:g}/s each, {len(self._buckets)} tenants>"


def shuffle_shard(tenant: str, workers: Sequence[str], per_tenant: int, seed: int = 0) -> tuple[str, ...]:
    """The workers of a tenant, in the given order. `per_tenant >= len(workers)` returns all: the off switch.

    Rendezvous hashing of names: adding or removing a worker moves only the tenants that use it.
    """
    if per_tenant >= len(workers):
        return tuple(workers)
    ranked = sorted(workers, key=lambda worker: sha256(f"{seed}/{tenant}/{worker}".encode()).digest())
    chosen = set(ranked[:per_tenant])
    return tuple(worker for worker in workers if worker in chosen)
