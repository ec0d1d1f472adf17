"""Pacing: blocked work resumes at a limited rate, not all at once (X1).

    Pacer            nth reservation: max(now, previous + 1/rate)
    requeue delay    min(max, base * multiplier**(n-1)) * (1 + U(-jitter, +jitter)),  n = times blocked, from 1

Sources: docs/model.md §2 and §4 (resume at 4/s East and 2/s West suffices alone; at twice that it does not;
fixed requeue keeps the queue in the dead zone, an exponential one with a 10 % retry budget does not); AWS Builders'
Library, timeouts-retries-and-backoff-with-jitter. Defaults: requeue after 10 s, fixed, no jitter; pacing off.

Caveats:
* Pacing has a threshold: paced work plus existing traffic must stay below the servers' capacity.
* An unused reservation is lost: the pacer never catches up in a burst.
"""

from random import Random

from pydantic import Field

from services.policies.settings import PolicySettings


class Pacer:
    """Returns start times `1/rate` apart. With rate None everything starts now (off switch)."""

    __slots__ = ("_next", "rate_per_s")

    def __init__(self, rate_per_s: float | None = None) -> None:
        if rate_per_s is not None and rate_per_s <= 0:
            raise ValueError(f"rate_per_s must be positive or None, not {rate_per_s}")
        self.rate_per_s = rate_per_s
        self._next = 0.0

    def reserve(self, now: float) -> float:
        """Reserves and returns the start time of the next job: now or later."""
        if self.rate_per_s is None:
            return now
        start = max(now, self._next)
        self._next = start + 1.0 / self.rate_per_s
        return start

    def take(self, now: float) -> bool:
        """Whether one job may start right now, for a scheduler that polls."""
        if self.rate_per_s is None:
            return True
        if now < self._next:
            return False
        self._next = now + 1.0 / self.rate_per_s
        return True

    def __repr__(self) -> str:
        if self.rate_per_s is None:
            return "<Pacer off>"
        return f"<Pacer {self.rate_per_s:g}/s, next at {self._next:.2f}>"


class RequeueSettings(PolicySettings):
    """When a blocked job is tried again. The defaults are those of the incident's provisioner."""

    base_s: float = Field(default=10.0, gt=0)
    """Delay after the first block."""
    multiplier: float = Field(default=1.0, ge=1)
    """Growth of the delay per further block; 1: fixed delay."""
    max_s: float = Field(default=120.0, gt=0)
    """Longest delay before jitter."""
    jitter: float = Field(default=0.0, ge=0, le=1)
    """Spread, as a share of the delay in both directions; the defended profile has 0.5."""

    ORDER = (("base_s", "<=", "max_s"),)

    def delay_s(self, times_blocked: int, rng: Random) -> float:
        """Seconds until a job blocked for the nth time (from 1) is tried again."""
        growth: float = self.multiplier ** min(times_blocked - 1, 64)
        delay_s = min(self.max_s, self.base_s * growth)
        if self.jitter:
            delay_s *= 1.0 + self.jitter * (2.0 * rng.random() - 1.0)
        return delay_s
