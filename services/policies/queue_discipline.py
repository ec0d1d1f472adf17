"""Queue disciplines: which request is served next, which is refused, which is dropped at the head of the queue.

    fifo           oldest first; refuse when full                                   (the incident's node)
    lifo           newest first; refuse when full, or evict the oldest
    adaptive_lifo  fifo; lifo while the queue has not been empty for one interval   (a standing queue)
    codel          at dequeue: once per interval, overloaded = (minimum delay in it) > target;
                   while overloaded drop requests that waited > 2 * target; the first of an interval is never dropped
    bounded_wait   refuse when the predicted wait q * s / c > budget                (q counts the new request)

Sources: Maurer, "Fail at Scale", ACM Queue 2015 (https://queue.acm.org/detail.cfm?id=2839461) for adaptive LIFO with
CoDel; facebook/folly, folly/executors/Codel.cpp for this CoDel; dead zone: docs/model.md §1. Defaults: capacity
60; interval 100 ms and target 5 ms (folly); wait budget 0.5 s with c = 2, s = 0.2 s, hence 5 in the queue.

Caveats:
* A request is useful only while its queue position is below Q* = c * (T/s - 1). A FIFO queue longer than that is,
  when full, 100 % busy and 0 % useful: with 2 workers, 0.2 s and T = 1 s, Q* is 8, and the incident's queue holds 60.
* folly's CoDel drops nothing in its first interval and has no timer: an interval ends only when a request is dequeued.
  After an idle period the old state holds until the first request, which opens a new interval and is never dropped.
* LIFO serves some callers at once and starves the others; it does not reduce the work.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import ClassVar, Generic, Literal, Protocol, TypeVar

from pydantic import Field

from services.parts.kind import PartKind
from services.policies.part import Replaceable
from services.policies.settings import PolicySettings

T = TypeVar("T")
NOTHING_DROPPED: tuple[()] = ()


class Fifo(Generic[T]):
    """Oldest first, refuse when full. Capacity None: unbounded, which is the off switch of every discipline.

    Every accepted item leaves exactly once: by `take`, `pop_dropped` or `drain`.
    """

    __slots__ = ("_dropped", "_items", "capacity")
    name = "fifo"

    def __init__(self, capacity: int | None = None) -> None:
        self.capacity = capacity
        self._items: deque[tuple[float, T]] = deque()
        self._dropped: list[T] = []

    def offer(self, item: T, now: float) -> bool:
        if self.capacity is not None and len(self._items) >= self.capacity:
            return False
        self._items.append((now, item))
        return True

    def pop(self, now: float) -> tuple[float, T] | None:
        """The next (enqueue time, item) in this discipline's order."""
        return self._items.popleft() if self._items else None

    def take(self, now: float) -> T | None:
        """The next item to serve, or None. May drop other items."""
        entry = self.pop(now)
        return None if entry is None else entry[1]

    def pop_dropped(self) -> Sequence[T]:
        """Items dropped since the last call, which the owner must answer as refused."""
        if not self._dropped:
            return NOTHING_DROPPED
        dropped, self._dropped = self._dropped, []
        return dropped

    def drain(self) -> list[T]:
        """Empties the queue (a crash) and returns the items."""
        lost = [item for _, item in self._items]
        self._items.clear()
        return lost

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        capacity = "unbounded" if self.capacity is None else self.capacity
        return f"<{type(self).__name__} {len(self)}/{capacity}>"


class Lifo(Fifo[T]):
    """Newest first. `evict_oldest`: when full, drop the oldest item and accept the new one."""

    __slots__ = ("evict_oldest",)
    name = "lifo"

    def __init__(self, capacity: int | None = None, evict_oldest: bool = False) -> None:
        super().__init__(capacity)
        self.evict_oldest = evict_oldest

    def offer(self, item: T, now: float) -> bool:
        if self.evict_oldest and self._items and len(self._items) == self.capacity:
            self._dropped.append(self._items.popleft()[1])
        return super().offer(item, now)

    def pop(self, now: float) -> tuple[float, T] | None:
        return self._items.pop() if self._items else None


class AdaptiveLifo(Lifo[T]):
    """Fifo; lifo while the queue has not been empty for more than `interval_s`."""

    __slots__ = ("_empty_at", "interval_s")
    name = "adaptive_lifo"

    def __init__(self, capacity: int | None = None, interval_s: float = 0.1, evict_oldest: bool = False) -> None:
        super().__init__(capacity, evict_oldest)
        self.interval_s = interval_s
        self._empty_at = 0.0

    def offer(self, item: T, now: float) -> bool:
        if not self._items:
            self._empty_at = now
        return super().offer(item, now)

    def standing(self, now: float) -> bool:
        """Whether the queue has not been empty for more than one interval."""
        return bool(self._items) and now - self._empty_at > self.interval_s

    def pop(self, now: float) -> tuple[float, T] | None:
        if not self._items:
            return None
        entry = self._items.pop() if self.standing(now) else self._items.popleft()
        if not self._items:
            self._empty_at = now
        return entry


class Codel:
    """folly's CoDel: decides for each dequeued request whether it waited too long in an overloaded interval."""

    __slots__ = ("_delay_min_s", "_interval_end", "_starting", "interval_s", "overloaded", "target_s")

    def __init__(self, target_s: float = 0.005, interval_s: float = 0.1, now: float = 0.0) -> None:
        if not 0 < target_s < interval_s:
            raise ValueError(f"need 0 < target_s < interval_s, not {target_s} and {interval_s}")
        self.target_s = target_s
        self.interval_s = interval_s
        self.overloaded = False
        self._interval_end = now
        self._delay_min_s = 0.0
        self._starting = True

    def should_drop(self, delay_s: float, now: float) -> bool:
        if now > self._interval_end and not self._starting:
            self._starting = True
            self._interval_end = now + self.interval_s
            self.overloaded = self._delay_min_s > self.target_s
        if self._starting:
            self._starting = False
            self._delay_min_s = delay_s
            return False
        if delay_s < self._delay_min_s:
            self._delay_min_s = delay_s
        return self.overloaded and delay_s > 2 * self.target_s

    def __repr__(self) -> str:
        state = "overloaded" if self.overloaded else "calm"
        return f"<Codel {state}, least delay {self._delay_min_s:.4f}s, target {self.target_s:g}s>"


class CodelQueue(Fifo[T]):
    """A queue of any order (default fifo) with CoDel at dequeue."""

    __slots__ = ("codel", "order")
    name = "codel"

    def __init__(self, order: Fifo[T], codel: Codel) -> None:
        super().__init__(order.capacity)
        self.order = order
        self.codel = codel
        self._items = order._items

    def offer(self, item: T, now: float) -> bool:
        return self.order.offer(item, now)

    def pop(self, now: float) -> tuple[float, T] | None:
        while (entry := self.order.pop(now)) is not None:
            if not self.codel.should_drop(now - entry[0], now):
                return entry
            self.order._dropped.append(entry[1])
        return None

    def pop_dropped(self) -> Sequence[T]:
        return self.order.pop_dropped()

    def __repr__(self) -> str:
        return f"<CodelQueue {self.order!r} {self.codel!r}>"


class BoundedWait(Fifo[T]):
    """Fifo that refuses items that would wait longer than `budget_s`. The owner keeps `service_s` up to date."""

    __slots__ = ("budget_s", "service_s", "workers")
    name = "bounded_wait"

    def __init__(
        self,
        workers: int = 2,
        service_s: float = 0.2,
        budget_s: float = 0.5,
        capacity: int | None = None,
    ) -> None:
        super().__init__(capacity)
        self.workers = workers
        self.service_s = service_s
        self.budget_s = budget_s

    def predicted_wait_s(self) -> float:
        """Predicted wait of a new item if all workers are busy: all items ahead and itself, at c / s completions/s."""
        return (len(self._items) + 1) * self.service_s / self.workers

    def offer(self, item: T, now: float) -> bool:
        if self.predicted_wait_s() > self.budget_s:
            return False
        return super().offer(item, now)

    def __repr__(self) -> str:
        return f"<BoundedWait {len(self)} queued, predicts {self.predicted_wait_s():.2f}s of {self.budget_s:g}s>"


class QueueDiscipline(Protocol[T]):
    """The queue of a node. Its constructor gets the capacity: at most so many items wait.

    Every accepted item leaves exactly once: by `take`, `pop_dropped` or `drain`. The items have no meaning to it.
    """

    def offer(self, item: T, now: float) -> bool:
        """Accepts an item that arrived at `now` (seconds); False refuses it."""

    def take(self, now: float) -> T | None:
        """The next item to serve; None if the queue is empty. It may drop others."""

    def pop_dropped(self) -> Sequence[T]:
        """The items dropped since the last call; their callers are told that they were refused."""

    def drain(self) -> list[T]:
        """Empties the queue and returns what waited, in any order."""

    def __len__(self) -> int:
        """How many items wait."""


QUEUE = PartKind("queue", QueueDiscipline)


class OwnQueueSettings(PolicySettings, Replaceable):
    """A queue discipline of the user's own."""

    KIND: ClassVar[PartKind] = QUEUE
    GIVEN: ClassVar[tuple[int, ...]] = (60,)


class QueueSettings(PolicySettings):
    """The discipline of a node's queue. The defaults are those of the incident's node."""

    discipline: Literal["fifo", "lifo", "adaptive_lifo", "codel", "codel_lifo", "bounded_wait"] = "fifo"
    """The discipline; codel_lifo is CoDel over adaptive LIFO, as in "Fail at Scale"."""
    capacity: int | None = Field(default=60, ge=1)
    """Longest queue; None: unbounded."""
    evict_oldest: bool = False
    """LIFO kinds: when full, drop the oldest item and accept the new one, instead of refusing the new one."""
    interval_s: float = Field(default=0.1, gt=0)
    """CoDel's interval, and the time after which adaptive LIFO reverses the order of a standing queue."""
    target_s: float = Field(default=0.005, gt=0)
    """CoDel: a minimum delay above this in one interval means overload."""
    wait_budget_s: float = Field(default=0.5, gt=0)
    """bounded_wait: longest predicted wait that is accepted."""

    ORDER = (("target_s", "<", "interval_s"),)


def build_queue(settings: QueueSettings, *, workers: int, service_s: float, now: float = 0.0) -> Fifo[T]:
    """A queue with these settings for a node with `workers` workers and mean service time `service_s`."""
    capacity = settings.capacity
    match settings.discipline:
        case "fifo":
            return Fifo(capacity)
        case "lifo":
            return Lifo(capacity, settings.evict_oldest)
        case "adaptive_lifo":
            return AdaptiveLifo(capacity, settings.interval_s, settings.evict_oldest)
        case "codel":
            return CodelQueue(Fifo[T](capacity), Codel(settings.target_s, settings.interval_s, now))
        case "codel_lifo":
            order = AdaptiveLifo[T](capacity, settings.interval_s, settings.evict_oldest)
            return CodelQueue(order, Codel(settings.target_s, settings.interval_s, now))
        case "bounded_wait":
            return BoundedWait(workers, service_s, settings.wait_budget_s, capacity)
