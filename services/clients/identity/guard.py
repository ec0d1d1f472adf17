"""Optional policies of identity callers, between their retry layers and the HTTP client.

A guard covers one scope: all calls of a process to a region, or those of one tenant. It holds the retry budget, the
circuit breaker and the adaptive throttle, and calls them in the only order in which no grant leaks: the budget before
a retry, breaker and throttle before an attempt is sent.
"""

from random import Random
from typing import Literal

from pydantic import Field

from services.policies.adaptive_throttle import AdaptiveThrottle
from services.policies.breaker import Breaker, BreakerSettings
from services.policies.outcome import AttemptOutcome
from services.policies.retry_budget import AwsQuota, BudgetSettings, Failure
from services.policies.settings import PolicySettings

Refusal = Literal["", "breaker", "throttle"]
ALLOWED: Refusal = ""
BROKEN: Refusal = "breaker"
THROTTLED: Refusal = "throttle"
BUDGET = "budget"


class ThrottleSettings(PolicySettings):
    """Google's client-side throttle. Its two minutes are scaled to the router's health window."""

    enabled: bool = False
    """If False, nothing is held back."""
    k: float = Field(default=2.0, ge=1)
    """Requests per accepted request above which attempts are held back."""
    window_s: float = Field(default=10.0, gt=0)
    """Window over which requests and accepts are counted, in seconds."""


class GuardSettings(PolicySettings):
    """All off by default: the incident's callers had none of these."""

    scope: Literal["region", "tenant"] = "region"
    """What shares a budget, breaker and throttle: all calls of a process to a region, or those of one tenant."""
    budget: BudgetSettings = BudgetSettings()
    """Limits retries over both layers."""
    breaker: BreakerSettings = BreakerSettings()
    """Stops calls, or only retries, for a time."""
    throttle: ThrottleSettings = ThrottleSettings()
    """Holds attempts back while the service accepts too few."""

    @property
    def active(self) -> bool:
        return self.budget.active or self.breaker.mode != "off" or self.throttle.enabled


class CallGuard:
    """The policies of one scope, with their state."""

    __slots__ = ("_breaker", "_budget", "_quota", "_retries_only", "_rng", "_throttle")

    def __init__(self, settings: GuardSettings, rng: Random) -> None:
        throttle = settings.throttle
        self._budget = settings.budget.build()
        self._quota = self._budget if isinstance(self._budget, AwsQuota) else None
        self._breaker = Breaker(settings.breaker)
        self._retries_only = settings.breaker.mode == "retries_only"
        self._throttle = AdaptiveThrottle(throttle.k, throttle.window_s, throttle.enabled)
        self._rng = rng

    def begin(self, now: float) -> None:
        """An operation starts; the budget expects the outcome of one attempt."""
        self._budget.on_request(now)

    def may_retry(self, failure: Failure, now: float) -> bool:
        """Asks the budget for one retry. If True, the caller must call `ended` or `abandoned` with `is_retry`."""
        if self._quota is not None:
            return self._quota.may_retry(now, failure)
        return self._budget.may_retry(now)

    def refusal(self, now: float, *, is_retry: bool) -> Refusal:
        """Why the attempt must not be sent; empty if it may. The caller must report an allowed attempt to `ended`."""
        if not self._breaker.allow(now, is_retry=is_retry):
            return BROKEN
        if self._throttle.should_reject(now, self._rng):
            self._tell_breaker(AttemptOutcome.IGNORED, now, is_retry)
            return THROTTLED
        return ALLOWED

    def ended(
        self,
        outcome: AttemptOutcome,
        now: float,
        *,
        is_retry: bool,
        failure: Failure = "error",
        began: float | None = None,
    ) -> None:
        """An attempt that was sent at `began` has ended. `failure`: the failure that a retry followed."""
        self._tell_breaker(outcome, now, is_retry, began)
        self._throttle.on_outcome(outcome, now, began)
        self._pay_back(outcome, now, is_retry, failure)

    def abandoned(self, now: float, *, is_retry: bool) -> None:
        """A granted attempt was not sent."""
        self._pay_back(AttemptOutcome.IGNORED, now, is_retry, "error")

    def _tell_breaker(self, outcome: AttemptOutcome, now: float, is_retry: bool, began: float | None = None) -> None:
        """A half-open breaker that covers only retries ignores first attempts: its trial is a retry."""
        if is_retry or not self._retries_only or self._breaker.state(now) == "closed":
            self._breaker.on_outcome(outcome, now, began)

    def _pay_back(self, outcome: AttemptOutcome, now: float, is_retry: bool, failure: Failure) -> None:
        if self._quota is not None:
            self._quota.on_outcome(outcome, now, is_retry=is_retry, failure=failure)
        else:
            self._budget.on_outcome(outcome, now, is_retry=is_retry)

    def __repr__(self) -> str:
        return f"<CallGuard {self._budget!r} {self._breaker!r} {self._throttle!r}>"
