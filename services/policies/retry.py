"""Retry: tenacity's stop, wait and retry strategies, with our clock and random streams.

Formulas (a = number of the attempt that just failed, from 1; e = min(max, base * multiplier**(a-1))):

    exponential          e                                       tenacity wait_exponential: no jitter at all
    full_jitter          U(0, e)
    equal_jitter         e/2 + U(0, e/2)
    decorrelated_jitter  min(max, U(base, 3 * previous wait))    previous wait = base before the first retry
    fixed                base

Sources: tenacity 9.2.1 (https://github.com/jd/tenacity); the three jitters from the AWS Architecture Blog,
"Exponential Backoff and Jitter" (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/). Naive
defaults, docs/model.md §2: SDK layer 4 attempts, exponential 0.25 s up to 2 s; workflow layer 3 attempts, fixed
1 s.

Two layers are two nested `call`s, and they multiply: 4 x 3 = 12 attempts for one operation that keeps failing.

Caveats:
* `Retry-After` replaces the backoff, jitter included (as in azure-core), so all clients return at the same time.
* A layer that gives up returns the last result instead of raising, which is cheaper.
* As in tenacity, the wait is computed before `stop`, so the last failure also draws from the stream.
* tenacity's own loop costs ~80 us per call (it inspects every callback), hence the plain loop here. Its jitters and
  delays use global randomness and `time.monotonic`, hence the wait subclasses and the state object.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from math import inf, isfinite
from random import Random
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, TypeVar

from pydantic import Field
from tenacity.retry import retry_base
from tenacity.stop import stop_after_attempt, stop_after_delay, stop_any, stop_base
from tenacity.wait import wait_base, wait_exponential, wait_fixed

from services.parts.kind import PartError, PartKind
from services.policies.part import Replaceable
from services.policies.settings import PolicySettings

WaitKind = Literal["exponential", "full_jitter", "equal_jitter", "decorrelated_jitter", "fixed"]


class AttemptResult(Protocol):
    """What one attempt returns."""

    @property
    def retryable(self) -> bool:
        """Whether the callee refused or was too slow and a retry is safe."""

    @property
    def retry_after_s(self) -> float | None:
        """The callee's `Retry-After`, in seconds, or None."""


ResultT = TypeVar("ResultT", bound=AttemptResult)


class CallState:
    """The part of tenacity's RetryCallState that strategies read. It is its own `outcome`: one object per call."""

    __slots__ = (
        "_error",
        "_value",
        "attempt_number",
        "idle_for",
        "outcome_timestamp",
        "rng",
        "start_time",
        "upcoming_sleep",
    )

    def __init__(self, start_time: float, rng: Random) -> None:
        self.start_time = start_time
        self.rng = rng
        self.attempt_number = 1
        self.outcome_timestamp = start_time
        self.idle_for = 0.0
        self.upcoming_sleep = 0.0
        self._value: Any = None
        self._error: Exception | None = None

    @property
    def outcome(self) -> CallState:
        return self

    @property
    def seconds_since_start(self) -> float:
        return self.outcome_timestamp - self.start_time

    @property
    def failed(self) -> bool:
        """Whether the attempt raised, as in tenacity; a retryable result does not count."""
        return self._error is not None

    def exception(self) -> Exception | None:
        return self._error

    def result(self) -> Any:
        if self._error is not None:
            raise self._error
        return self._value

    def set_result(self, value: Any) -> None:
        self._value = value
        self._error = None

    def set_exception(self, error: Exception) -> None:
        self._error = error

    def __repr__(self) -> str:
        return f"<CallState attempt {self.attempt_number}, slept {self.idle_for:.2f}s>"


# Strategies get either tenacity's state or ours: both have the fields they read; ours also has the random stream.
RetryState = Any


class RetryIfRetryable(retry_base):
    """Retries a result or an exception whose `retryable` is True."""

    def __call__(self, retry_state: RetryState) -> bool:
        outcome = retry_state.outcome
        if outcome.failed:
            return bool(getattr(outcome.exception(), "retryable", False))
        return bool(outcome.result().retryable)


class WaitFullJitter(wait_exponential):
    """U(0, e), drawn from the call's own stream."""

    def __call__(self, retry_state: RetryState) -> float:
        return float(retry_state.rng.random() * super().__call__(retry_state))


class WaitEqualJitter(wait_exponential):
    """e/2 + U(0, e/2): never quicker than half the backoff."""

    def __call__(self, retry_state: RetryState) -> float:
        half = super().__call__(retry_state) / 2
        return float(half + retry_state.rng.random() * half)


class WaitDecorrelatedJitter(wait_base):
    """min(max, U(base, 3 * previous wait)): grows from the previous wait, not from the attempt number."""

    def __init__(self, base_s: float, max_s: float) -> None:
        self.base_s = base_s
        self.max_s = max_s

    def __call__(self, retry_state: RetryState) -> float:
        previous_s = retry_state.upcoming_sleep or self.base_s
        high_s = max(self.base_s, 3 * previous_s)
        return float(min(self.max_s, self.base_s + retry_state.rng.random() * (high_s - self.base_s)))


class WaitRetryAfter(wait_base):
    """The callee's `retry_after_s` if it sent one, else the inner strategy."""

    def __init__(self, otherwise: wait_base) -> None:
        self.otherwise = otherwise

    def __call__(self, retry_state: RetryState) -> float:
        outcome = retry_state.outcome
        source = outcome.exception() if outcome.failed else outcome.result()
        retry_after_s = getattr(source, "retry_after_s", None)
        if retry_after_s is None:
            return self.otherwise(retry_state)
        return max(0.0, float(retry_after_s))


class FailedAttempt(NamedTuple):
    """An attempt that failed and may be retried."""

    number: int
    """Of the attempt, from 1."""
    since_start_s: float
    """Since the first attempt began."""
    waited_s: float
    """The wait before this attempt; 0 for the first."""
    failure: str
    """`timeout`, `throttled`, `shed`, `error`, or `held_back` by the caller's own policies; empty if unknown."""
    status: int
    """HTTP status; 0 without a response."""
    retry_after_s: float | None
    """The callee's `Retry-After`."""


class OwnRetry(Protocol):
    """A retry layer: how long to wait before the next attempt, and when to give up.

    One instance serves all calls of a process to a region, so it keeps no state of a call. It gives up within 100
    attempts, and waits at most an hour.
    """

    def wait_s(self, attempt: FailedAttempt, rng: Random) -> float | None:
        """Seconds until the next attempt, or None to give up. `rng` is the only source of chance."""


RETRY = PartKind("retry", OwnRetry)
OWN_ATTEMPTS_MAX = 100
OWN_WAIT_MAX_S = 3600.0


class RetrySettings(PolicySettings, Replaceable):
    """One retry layer. The defaults are those of the incident's naive SDK layer."""

    KIND: ClassVar[PartKind] = RETRY

    enabled: bool = True
    """If False, one attempt and no retry, whatever the other fields are."""
    attempts: int = Field(default=4, ge=1)
    """Attempts in total, including the first."""
    wait: WaitKind = "exponential"
    """The formula for the wait before the next attempt."""
    base_s: float = Field(default=0.25, ge=0)
    """First wait of the exponential kinds, shortest wait of the decorrelated one, the wait of the fixed one."""
    max_s: float = Field(default=2.0, ge=0)
    """Longest wait of the exponential kinds; the fixed kind ignores it."""
    multiplier: float = Field(default=2.0, ge=1)
    """Growth factor of the wait."""
    honour_retry_after: bool = False
    """Use the callee's `Retry-After` instead of the formula. The naive layers do not."""
    stop_after_delay_s: float | None = Field(default=None, gt=0)
    """Give up at the first failure at or after this time since the start; None: only `attempts` limits."""

    ORDER = (("base_s", "<=", "max_s"),)

    def ordered(self) -> dict[str, Any]:
        """The values to compare; the fixed kind does not use `max_s`."""
        return {} if self.wait == "fixed" else super().ordered()

    def build(self) -> RetryPolicy:
        """These settings as tenacity strategies."""
        if self.part:
            return OwnRetryPolicy(self, self.own())
        stop: stop_base = stop_after_attempt(self.attempts)
        if self.stop_after_delay_s is not None:
            stop = stop_any(stop, stop_after_delay(self.stop_after_delay_s))
        wait = self._wait()
        if self.honour_retry_after:
            wait = WaitRetryAfter(wait)
        return RetryPolicy(self, stop=stop, wait=wait, retry=RetryIfRetryable())

    def _wait(self) -> wait_base:
        match self.wait:
            case "exponential":
                return wait_exponential(self.base_s, self.max_s, self.multiplier)
            case "full_jitter":
                return WaitFullJitter(self.base_s, self.max_s, self.multiplier)
            case "equal_jitter":
                return WaitEqualJitter(self.base_s, self.max_s, self.multiplier)
            case "decorrelated_jitter":
                return WaitDecorrelatedJitter(self.base_s, self.max_s)
            case "fixed":
                return wait_fixed(self.base_s)


SDK_NAIVE = RetrySettings()
WORKFLOW_NAIVE = RetrySettings(attempts=3, wait="fixed", base_s=1.0)


class RetryPolicy:
    """Three tenacity strategies and their settings. It holds no state of a call, so it can be shared."""

    __slots__ = ("enabled", "retry", "settings", "stop", "wait")

    def __init__(
        self,
        settings: RetrySettings,
        *,
        stop: Callable[[RetryState], bool],
        wait: Callable[[RetryState], float],
        retry: Callable[[RetryState], bool],
    ) -> None:
        self.settings = settings
        self.enabled = settings.enabled
        self.stop = stop
        self.wait = wait
        self.retry = retry

    def __repr__(self) -> str:
        if not self.enabled:
            return "<RetryPolicy off>"
        settings = self.settings
        after = ", Retry-After first" if settings.honour_retry_after else ""
        return f"<RetryPolicy {settings.attempts} attempts, {settings.wait} from {settings.base_s}s{after}>"


class OwnRetryPolicy(RetryPolicy):
    """A user's retry layer as strategies: the wait is infinite when the part gives up."""

    __slots__ = ("_part",)

    def __init__(self, settings: RetrySettings, part: OwnRetry) -> None:
        super().__init__(settings, stop=self._stop, wait=self._wait, retry=RetryIfRetryable())
        self._part = part

    def _wait(self, retry_state: RetryState) -> float:
        number = retry_state.attempt_number
        if number >= OWN_ATTEMPTS_MAX:
            return inf
        wait_s = self._part.wait_s(failed_attempt(retry_state), retry_state.rng)
        if wait_s is None:
            return inf
        if not (isfinite(wait_s) and 0 <= wait_s <= OWN_WAIT_MAX_S):
            raise PartError(f"{self.settings.part}: waits {wait_s!r} s; at least 0 and at most {OWN_WAIT_MAX_S:g}")
        return float(wait_s)

    def _stop(self, retry_state: RetryState) -> bool:
        return bool(retry_state.upcoming_sleep == inf)

    def __repr__(self) -> str:
        return f"<OwnRetryPolicy {self.settings.part}>" if self.enabled else "<OwnRetryPolicy off>"


def failed_attempt(retry_state: RetryState) -> FailedAttempt:
    """What a part is told of a failed attempt."""
    outcome = retry_state.outcome
    source = outcome.exception() if outcome.failed else outcome.result()
    return FailedAttempt(
        retry_state.attempt_number,
        retry_state.seconds_since_start,
        retry_state.upcoming_sleep,
        getattr(source, "failure", ""),
        getattr(source, "status", 0),
        getattr(source, "retry_after_s", None),
    )


async def call(
    policy: RetryPolicy,
    attempt_fn: Callable[[], Awaitable[ResultT]],
    *,
    clock_now: Callable[[], float],
    sleep: Callable[[float], Awaitable[object]],
    rng: Random,
    on_attempt: Callable[[int], None] | None = None,
    may_retry: Callable[[float], bool] | None = None,
) -> ResultT:
    """Runs attempts until one needs no retry or the policy stops; returns the last result.

    `on_attempt(number)` runs before each attempt. `may_retry(now)` asks a retry budget, once per retry that the policy
    would make, before the wait. An exception without `retryable = True` propagates at once.
    """
    if not policy.enabled:
        if on_attempt is not None:
            on_attempt(1)
        return await attempt_fn()
    state = CallState(clock_now(), rng)
    while True:
        if on_attempt is not None:
            on_attempt(state.attempt_number)
        try:
            state.set_result(await attempt_fn())
        except Exception as error:
            state.set_exception(error)
        if not policy.retry(state):
            break
        now = state.outcome_timestamp = clock_now()
        state.upcoming_sleep = policy.wait(state)
        if policy.stop(state) or not (may_retry is None or may_retry(now)):
            break
        state.idle_for += state.upcoming_sleep
        state.attempt_number += 1
        await sleep(state.upcoming_sleep)
    result: ResultT = state.result()
    return result
