"""The outcome of one guarded call: the only input that policies learn from.

Exactly three members, after Netflix concurrency-limits' ``Limiter.Listener`` (onSuccess, onIgnore, onDropped;
https://github.com/Netflix/concurrency-limits). IGNORED is for a caller's own error (a 4xx), a cancelled call or a cache
hit: these say nothing about the callee's load, so breaker, budget and limit must not count them.
"""

from enum import Enum


class AttemptOutcome(Enum):
    """SUCCESS: a useful response. IGNORED: says nothing about load. DROPPED: overload (timeout, 5xx, 429, reset)."""

    SUCCESS = "success"
    IGNORED = "ignored"
    DROPPED = "dropped"

    def __repr__(self) -> str:
        return f"<AttemptOutcome {self.value}>"
