"""The waiting line of a node: a discipline, and the bound on the wait that it may promise.

The bound is a length that follows the measured service time: a cold node takes twice as long as a warm one, so it may
let half as many wait.
"""

from collections.abc import Callable
from typing import TypeVar

from services.identity.settings import IdentitySettings
from services.policies.fairness import FairQueue
from services.policies.queue_discipline import BoundedWait, CodelQueue, Fifo, QueueSettings, build_queue

T = TypeVar("T")
Line = Fifo[T] | FairQueue[T]
LIFO_KINDS = ("lifo", "adaptive_lifo", "codel_lifo")
MEMORY = 0.1
"""Weight of the newest service time in the running mean."""


def build_line(settings: IdentitySettings, tenant_of: Callable[[T], str], now: float) -> Line[T]:
    """An empty line of these settings."""
    if settings.fair:
        return FairQueue(tenant_of, settings.queue_length)
    rules = QueueSettings(
        discipline=settings.discipline,
        capacity=settings.queue_length,
        evict_oldest=settings.evict_oldest,
        interval_s=settings.codel_interval_s,
        target_s=settings.codel_target_s,
        wait_budget_s=settings.wait_budget_s,
    )
    return build_queue(rules, workers=settings.workers, service_s=settings.service_time_s, now=now)


def is_bounded(settings: IdentitySettings) -> bool:
    return settings.bounded or settings.discipline == "bounded_wait"


class ServiceTime:
    """The running mean of how long work takes at this node, as the node itself measures it."""

    __slots__ = ("mean_s",)

    def __init__(self, mean_s: float) -> None:
        self.mean_s = mean_s

    def learn(self, service_s: float) -> None:
        self.mean_s += MEMORY * (service_s - self.mean_s)

    def __repr__(self) -> str:
        return f"<ServiceTime {self.mean_s:.3f}s>"


def bound(line: Line[T], settings: IdentitySettings, service_s: float) -> None:
    """Lets as many wait as can be served within the budget: q·s/c ≤ budget, q counting the newcomer; at least one."""
    if isinstance(line, BoundedWait):
        line.service_s = service_s
        return
    fits = int(settings.wait_budget_s * settings.workers / service_s + 1e-9)
    holder = line.order if isinstance(line, CodelQueue) else line
    holder.capacity = max(1, min(settings.queue_length, fits))
