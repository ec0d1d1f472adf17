"""Adaptive throttling: a client rejects its own requests when the backend accepts too few of them.

    p(reject) = max(0, (requests - K * accepts) / (requests + 1))      over a sliding window

Source: Google SRE book, ch. 21 "Handling Overload", equation 21-1 (https://sre.google/sre-book/handling-overload/).
Defaults: K = 2, window 2 minutes. On the bench 1 s is 1 incident minute: scale the window to the run.

Caveats:
* `requests` counts all attempts of the application, locally rejected ones included, before they are sent: counting at
  the response would let a burst through while its requests are in flight.
* An ignored outcome subtracts its request from the slice in which it was counted: subtracted from the current slice,
  `requests` could fall below 0 and p rise above 1.
* p never reaches 1, so a recovered backend is noticed; with K = 2 about as many requests fail as succeed.
* It is a local estimate: with few requests per client it does not converge.
"""

from random import Random

from services.policies.outcome import AttemptOutcome
from services.policies.window import SlidingCounts


class AdaptiveThrottle:
    """Ask `should_reject` once per request; report `on_outcome` only for requests that were sent."""

    __slots__ = ("_counts", "enabled", "k")

    def __init__(self, k: float = 2.0, window_s: float = 120.0, enabled: bool = True) -> None:
        self.k = k
        self.enabled = enabled
        self._counts = SlidingCounts(window_s, buckets=24)

    def probability(self, now: float) -> float:
        requests = self._counts.total(now)
        return max(0.0, (requests - self.k * self._counts.good(now)) / (requests + 1.0))

    def should_reject(self, now: float, rng: Random) -> bool:
        """Decides about one request and counts it. Draws from `rng` only if p > 0."""
        if not self.enabled:
            return False
        probability = self.probability(now)
        self._counts.add(now)
        return probability > 0.0 and rng.random() < probability

    def on_outcome(self, outcome: AttemptOutcome, now: float, began: float | None = None) -> None:
        """`began`: when `should_reject` passed the request; default now."""
        if outcome is AttemptOutcome.SUCCESS:
            self._counts.add(now, 0.0, 1.0)
        elif outcome is AttemptOutcome.IGNORED:
            self._counts.take_back(now, now if began is None else began)

    def __repr__(self) -> str:
        return f"<AdaptiveThrottle K={self.k:g}, {self._counts!r}>" if self.enabled else "<AdaptiveThrottle off>"
