"""Circuit breaker: after enough failures stop calling for a time, then try again with a few calls.

    closed    -> open       when failures/calls >= ratio over the window with >= samples_min calls,
                            or after `consecutive_failures` failures in a row (if set)
    open      -> half-open  after break_s
    half-open -> closed     when `trials` calls have succeeded;  -> open at the first that fails

Source: Polly v8 circuit breaker, and the .NET standard resilience handler for the numbers
(https://www.pollydocs.org/strategies/circuit-breaker): ratio 10 %, 100 calls, window 30 s, break 5 s.
Default mode: off.
Mode `retries_only` (X3) passes every first attempt and breaks only retries.

Caveats:
* A breaker for all calls turns overload into refusal for all callers, and its reopening is a synchronised burst. One
  for retries removes the amplification and keeps the offered load.
* It uses local statistics: small clients see too few calls to trip (Brooker 2022), hence `consecutive_failures`.
* Calls that began before the break are ignored, both during it and in the trial that follows.
"""

from typing import Literal

from pydantic import Field

from services.policies.outcome import AttemptOutcome
from services.policies.settings import PolicySettings
from services.policies.window import SlidingCounts

BreakerState = Literal["closed", "open", "half-open"]


class BreakerSettings(PolicySettings):
    """When the breaker opens, and for how long."""

    mode: Literal["off", "all", "retries_only"] = "off"
    """Which calls an open breaker refuses."""
    failure_ratio: float = Field(default=0.1, gt=0, le=1)
    """Opens at this share of failures ..."""
    samples_min: int = Field(default=100, ge=1)
    """... of at least this many calls ..."""
    window_s: float = Field(default=30.0, gt=0)
    """... within this window."""
    consecutive_failures: int | None = Field(default=None, ge=1)
    """Opens also after this many consecutive failures; None: no such rule."""
    break_s: float = Field(default=5.0, gt=0)
    """Time in the open state."""
    trials: int = Field(default=1, ge=1)
    """Calls admitted in the half-open state; all must succeed."""


class Breaker:
    """One breaker per callee. `allow`, then exactly one `on_outcome` for each allowed call."""

    __slots__ = (
        "_counts",
        "_in_a_row",
        "_opened_at",
        "_seen",
        "_since",
        "_state",
        "_trials_good",
        "_trials_out",
        "settings",
    )

    def __init__(self, settings: BreakerSettings | None = None) -> None:
        self.settings = settings = settings or BreakerSettings()
        self._counts = SlidingCounts(settings.window_s)
        self._state: BreakerState = "closed"
        self._in_a_row = 0
        self._opened_at = 0.0
        self._since = float("-inf")
        self._trials_out = 0
        self._trials_good = 0
        self._seen = 0.0

    def state(self, now: float) -> BreakerState:
        self._seen = now
        if self._state == "open" and now >= self._opened_at + self.settings.break_s:
            self._state = "half-open"
            self._since = now
            self._trials_out = self._trials_good = 0
        return self._state

    def allow(self, now: float, *, is_retry: bool = False) -> bool:
        mode = self.settings.mode
        if mode == "off" or (mode == "retries_only" and not is_retry):
            return True
        state = self.state(now)
        if state == "half-open" and self._trials_out + self._trials_good < self.settings.trials:
            self._trials_out += 1
            return True
        return state == "closed"

    def on_outcome(self, outcome: AttemptOutcome, now: float, began: float | None = None) -> None:
        """`began`: when the call was allowed. Calls that began in an earlier state are ignored."""
        if self.settings.mode == "off":
            return
        state = self.state(now)
        if began is not None and began < self._since:
            return
        if state == "half-open":
            self._on_trial(outcome, now)
        elif state == "closed" and outcome is not AttemptOutcome.IGNORED:
            self._on_call(outcome is AttemptOutcome.SUCCESS, now)

    def _on_call(self, success: bool, now: float) -> None:
        settings, counts = self.settings, self._counts
        counts.add(now, 1.0, float(success))
        if success:
            self._in_a_row = 0
            return
        self._in_a_row += 1
        total = counts.total(now)
        failures = total - counts.good(now)
        limit = settings.consecutive_failures
        if (total >= settings.samples_min and failures >= settings.failure_ratio * total) or (
            limit is not None and self._in_a_row >= limit
        ):
            self._open(now)

    def _on_trial(self, outcome: AttemptOutcome, now: float) -> None:
        if self._trials_out == 0:
            return
        self._trials_out -= 1
        if outcome is AttemptOutcome.DROPPED:
            self._open(now)
        elif outcome is AttemptOutcome.SUCCESS:
            self._trials_good += 1
            if self._trials_good >= self.settings.trials:
                self._state = "closed"
                self._since = now
                self._in_a_row = 0
                self._counts.clear()

    def _open(self, now: float) -> None:
        self._state = "open"
        self._opened_at = self._since = now

    def __repr__(self) -> str:
        if self.settings.mode == "off":
            return "<Breaker off>"
        total = self._counts.total(self._seen)
        text = f"{self._state}, {total - self._counts.good(self._seen):g}/{total:g} failures"
        if self._state == "open":
            text += f", half-open in {self._opened_at + self.settings.break_s - self._seen:.1f}s"
        return f"<Breaker {text}>"
