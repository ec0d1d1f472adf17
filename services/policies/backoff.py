"""Backoff formulas of other libraries, as a retry part: what the importers of `aftershock try-retries` use.

With n = number of the attempt that just failed, from 1, and e the grown wait:

    constant     e = base
    linear       e = min(max, base * n)
    exponential  e = min(max, base * multiplier**(n-1))
    doubling     e = min(max, base * (2**n - 1))                       Envoy
    jitter       none: e;  full: U(0, e);  spread: e * U(1 - share, 1 + share)
    added        then + U(0, added)                                    tenacity's wait_random
    max_last     max also limits the wait with its jitter              Resilience4j, Polly

Sources: the importers name those of their library. The defaults are three attempts, a second apart.

Caveats:
* `retry_on` names failures as the callers here see them: `timeout` (no answer in time, or 504 by a router),
  `connection` (refused or reset), a status (`503`) or a class of them (`5xx`).
* More than 100 attempts are refused: the callers here would end after 100 without a word.
* Only statuses that the caller itself holds to be safe to retry are offered to a part at all: 408, 410, 429 and 5xx.
"""

from math import isfinite
from random import Random
from typing import Literal

from services.policies.retry import OWN_ATTEMPTS_MAX, OWN_WAIT_MAX_S, FailedAttempt

Growth = Literal["constant", "linear", "exponential", "doubling"]
Jitter = Literal["none", "full", "spread"]
EVERYTHING = "timeout,connection,408,410,429,5xx"
MULTIPLIER_MAX = 1000.0
"""With at most 100 attempts the wait stays a finite number."""


class Backoff:
    """A retry layer by formula. `stop_after_s`: give up at the first failure at or after this time since the start."""

    def __init__(
        self,
        attempts: int = 3,
        base_s: float = 1.0,
        *,
        growth: str = "constant",
        multiplier: float = 2.0,
        max_s: float = OWN_WAIT_MAX_S,
        min_s: float = 0.0,
        jitter: str = "none",
        share: float = 0.0,
        added_s: float = 0.0,
        max_last: bool = False,
        retry_on: str = EVERYTHING,
        honour_retry_after: bool = False,
        stop_after_s: float | None = None,
    ) -> None:
        if attempts not in range(1, OWN_ATTEMPTS_MAX + 1):
            raise ValueError(f"attempts should be a whole number from 1 to {OWN_ATTEMPTS_MAX} (got {attempts})")
        times = {"base_s": base_s, "max_s": max_s, "min_s": min_s, "added_s": added_s, "stop_after_s": stop_after_s}
        for name, value in times.items():
            if value is not None and not (isfinite(value) and value >= 0):
                raise ValueError(f"{name} should be at least 0 (got {value})")
        if not 0 <= share <= 1 or not 0 <= multiplier <= MULTIPLIER_MAX:
            raise ValueError(f"share should be from 0 to 1, multiplier from 0 to {MULTIPLIER_MAX:g}")
        if growth not in Growth.__args__ or jitter not in Jitter.__args__:  # type: ignore[attr-defined]
            raise ValueError(f"growth {growth!r} or jitter {jitter!r} is unknown")
        self.attempts = attempts
        self.base_s = base_s
        self.growth = growth
        self.multiplier = multiplier
        self.max_s = max_s
        self.min_s = min_s
        self.jitter = jitter
        self.share = share
        self.added_s = added_s
        self.max_last = max_last
        self.retry_on = frozenset(word.strip() for word in retry_on.split(","))
        self.honour_retry_after = honour_retry_after
        self.stop_after_s = stop_after_s

    def wait_s(self, attempt: FailedAttempt, rng: Random) -> float | None:
        if attempt.number >= self.attempts or not self._retries(attempt):
            return None
        if self.stop_after_s is not None and attempt.since_start_s >= self.stop_after_s:
            return None
        if self.honour_retry_after and attempt.retry_after_s is not None:
            return min(attempt.retry_after_s, OWN_WAIT_MAX_S)
        most_s = min(self.max_s, OWN_WAIT_MAX_S) if self.max_last else OWN_WAIT_MAX_S
        return min(self._jittered(self._grown(attempt.number), rng), most_s)

    def _retries(self, attempt: FailedAttempt) -> bool:
        if attempt.failure == "held_back":
            return True
        if attempt.failure == "timeout":
            return "timeout" in self.retry_on
        if not attempt.status:
            return "connection" in self.retry_on
        return not self.retry_on.isdisjoint({str(attempt.status), f"{attempt.status // 100}xx"})

    def _grown(self, number: int) -> float:
        match self.growth:
            case "linear":
                grown = self.base_s * number
            case "exponential":
                grown = self.base_s * self.multiplier ** (number - 1)
            case "doubling":
                grown = self.base_s * (2.0**number - 1)
            case _:
                grown = self.base_s
        return max(self.min_s, min(self.max_s, grown))

    def _jittered(self, grown_s: float, rng: Random) -> float:
        if self.jitter == "full":
            grown_s *= rng.random()
        elif self.jitter == "spread":
            grown_s *= 1.0 + self.share * (2.0 * rng.random() - 1.0)
        return grown_s + (rng.random() * self.added_s if self.added_s else 0.0)

    def __repr__(self) -> str:
        return f"<Backoff {self.attempts} attempts, {self.growth} from {self.base_s:g}s, jitter {self.jitter}>"
