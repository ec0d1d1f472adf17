"""Deadline propagation: every hop knows its caller's deadline and drops work that is already too late.

    deadline = now + timeout;  each hop passes on min(own, received);  at dequeue: drop when now + needed > deadline

The header `x-deadline` carries absolute seconds of the bench clock, as a plain float. Source: Google SRE book, ch. 22
"Addressing Cascading Failures", Deadline propagation (https://sre.google/sre-book/addressing-cascading-failures/).
Default: off, because the incident's node keeps working for callers that have disconnected.

Caveats: an absolute deadline needs synchronised clocks, which the bench has and a real fleet has only approximately;
gRPC therefore sends the remaining time. Dropping does not shorten the queue that arrivals see; it only makes drops
cheap.
"""

from math import isfinite

HEADER = "x-deadline"


def after(now: float, timeout_s: float) -> float:
    """The absolute deadline of work that starts now, in seconds."""
    return now + timeout_s


def encode(deadline: float) -> str:
    """Header value; `parse` gives back exactly the same float."""
    return repr(float(deadline))


def parse(value: str | None) -> float | None:
    """The deadline in a header value; None if missing or not a finite number, so that bad input never drops work."""
    if not value:
        return None
    try:
        deadline = float(value)
    except ValueError:
        return None
    return deadline if isfinite(deadline) else None


def remaining_s(deadline: float | None, now: float) -> float | None:
    """Remaining seconds, never negative; None without a deadline."""
    return None if deadline is None else max(0.0, deadline - now)


class DeadlineCheck:
    """Checks at dequeue whether work is already too late."""

    __slots__ = ("enabled", "needed_s")

    def __init__(self, enabled: bool = True, needed_s: float = 0.0) -> None:
        """`needed_s`: minimum duration of the work; work that cannot finish in time is dropped as well."""
        self.enabled = enabled
        self.needed_s = needed_s

    def expired(self, deadline: float | None, now: float) -> bool:
        return self.enabled and deadline is not None and now + self.needed_s > deadline

    def __repr__(self) -> str:
        return f"<DeadlineCheck needs {self.needed_s:g}s>" if self.enabled else "<DeadlineCheck off>"
