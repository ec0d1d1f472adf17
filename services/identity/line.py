"""The queue of a node: a discipline and a bound on the wait.

The bound is a queue length derived from the measured service time: a cold node takes twice as long as a warm one, so
it may queue half as many requests.
"""

from collections.abc import Callable
from typing import TypeVar

from services.identity.settings import IdentitySettings
from services.policies.fairness import FairQueue
from services.policies.queue_discipline import (
    BoundedWait,
    CodelQueue,
    Fifo,
    QueueDiscipline,
    QueueSettings,
    build_queue,
)

T = TypeVar("T")
WaitingLine = Fifo[T] | FairQueue[T] | QueueDiscipline[T]
LIFO_KINDS = ("lifo", "adaptive_lifo", "codel_lifo")
MEMORY = 0.1
"""Weight of the newest service time in the moving average."""


def build_line(settings: IdentitySettings, tenant_of: Callable[[T], str], now: float) -> WaitingLine[T]:
    """An empty queue with these settings."""
    own: QueueDiscipline[T] | None = settings.queue.own(settings.queue_length)
    if own is not None:
        return own
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
    return not settings.queue.part and (settings.bounded or settings.discipline == "bounded_wait")


class ServiceTime:
    """Moving average of the service time that the node measures, in seconds."""

    __slots__ = ("mean_s",)

    def __init__(self, mean_s: float) -> None:
        self.mean_s = mean_s

    def learn(self, service_s: float) -> None:
        self.mean_s += MEMORY * (service_s - self.mean_s)

    def __repr__(self) -> str:
        return f"<ServiceTime {self.mean_s:.3f}s>"


def bound(line: WaitingLine[T], settings: IdentitySettings, service_s: float) -> None:
    """Sets the queue length to what can be served within the wait budget: q·s/c ≤ budget, at least one."""
    if isinstance(line, BoundedWait):
        line.service_s = service_s
        return
    if not isinstance(line, Fifo | FairQueue):
        return
    fits = int(settings.wait_budget_s * settings.workers / service_s + 1e-9)
    holder = line.order if isinstance(line, CodelQueue) else line
    holder.capacity = max(1, min(settings.queue_length, fits))
