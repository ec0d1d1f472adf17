"""How one guarded call ended: the only thing policies learn from.

Three members and no more, after Netflix concurrency-limits' ``Limiter.Listener`` (onSuccess, onIgnore, onDropped;
https://github.com/Netflix/concurrency-limits). The surprising one is IGNORED: the caller's own mistake (a 4xx), a
cancelled call or a cache hit says nothing about the callee's load, so breaker, budget and limit must not count it.
"""

from enum import Enum


class AttemptOutcome(Enum):
    """SUCCESS: useful answer. IGNORED: tells nothing about load. DROPPED: overload (timeout, 5xx, 429, reset)."""

    SUCCESS = "success"
    IGNORED = "ignored"
    DROPPED = "dropped"

    def __repr__(self) -> str:
        return f"<AttemptOutcome {self.value}>"
