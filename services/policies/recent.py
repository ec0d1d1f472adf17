"""A mapping of bounded size: one key too many, and the one that was added first is forgotten.

For what a process only keeps to save work (tokens, URLs, counters by tenant): callers choose the keys, so nothing else
bounds them. Writing a known key again keeps its place.
"""

from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(OrderedDict[K, V], Generic[K, V]):
    """At most `size_max` keys; `forgotten` counts those that had to go."""

    def __init__(self, size_max: int) -> None:
        super().__init__()
        if size_max < 1:
            raise ValueError(f"size_max must be at least 1, not {size_max}")
        self.size_max = size_max
        self.forgotten = 0

    def __setitem__(self, key: K, value: V) -> None:
        if key not in self and len(self) >= self.size_max:
            self.popitem(last=False)
            self.forgotten += 1
        super().__setitem__(key, value)

    def __repr__(self) -> str:
        return f"<Recent {len(self)} of {self.size_max}, {self.forgotten} forgotten>"
