"""A mapping of bounded size: when it is full, a new key evicts the one that was added first.

For caches with keys chosen by callers (tokens, URLs, counters by tenant), which are otherwise unbounded. Overwriting a
known key keeps its position.
"""

from collections import OrderedDict
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Recent(OrderedDict[K, V], Generic[K, V]):
    """At most `size_max` keys; `forgotten` counts evicted ones."""

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
