"""A queue discipline: oldest first, and whoever has waited too long is dropped instead of served.

aftershock run azure-fnj8-vqz-short --policy queue=own_queue:FreshFifo
"""

from collections import deque
from collections.abc import Sequence
from typing import Any


class FreshFifo:
    """Drops at the head of the queue what has waited longer than `patience_s`: its caller has left."""

    def __init__(self, capacity: int, patience_s: float = 0.6) -> None:
        self.capacity = capacity
        self.patience_s = patience_s
        self._items: deque[tuple[float, Any]] = deque()
        self._dropped: list[Any] = []

    def offer(self, item: Any, now: float) -> bool:
        if len(self._items) >= self.capacity:
            return False
        self._items.append((now, item))
        return True

    def take(self, now: float) -> Any | None:
        while self._items:
            arrived, item = self._items.popleft()
            if now - arrived <= self.patience_s:
                return item
            self._dropped.append(item)
        return None

    def pop_dropped(self) -> Sequence[Any]:
        dropped, self._dropped = self._dropped, []
        return dropped

    def drain(self) -> list[Any]:
        lost = [item for _, item in self._items]
        self._items.clear()
        return lost

    def __len__(self) -> int:
        return len(self._items)
