"""One identity operation: two retry layers, their attempts and the outcome of each.

`IdentityOperation` is the naive path and is kept small: a run makes a hundred thousand attempts. `GuardedOperation`
adds a guard between the retry layers and the HTTP client.
"""

import asyncio
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any, Protocol

from yarl import URL

from services.chassis.env import Env
from services.chassis.http import NO_HEADERS, TIMEOUT, HttpReply
from services.clients.identity.guard import BROKEN, BUDGET, CallGuard, Refusal
from services.policies import deadline
from services.policies.outcome import AttemptOutcome
from services.policies.retry import RetryPolicy, call
from services.policies.retry_budget import Failure

ATTEMPT_HEADER = "x-attempt"
RETRYABLE_STATUS = frozenset({408, 410, 429, 500, 502, 503, 504})
TIMEOUT_OUTCOME, OK = "timeout", "ok"
HELD_BACK = "held_back"
OUTCOMES = (OK, TIMEOUT_OUTCOME, "throttled", "error", "shed")


class CallResult:
    """The result of one operation.

    `failure` is empty on success, else `timeout`, `throttled`, `shed`, `error`, or `held_back` if the caller's own
    policies allowed no attempt.
    """

    __slots__ = ("attempts", "body", "failure", "retry_after_s", "retryable", "status")

    def __init__(self, reply: HttpReply, now_epoch_s: float = 0.0) -> None:
        self.status = reply.status
        self.body = reply.body
        self.failure = outcome_of(reply)
        self.attempts = 1
        self.retryable = bool(reply.failure) or reply.status in RETRYABLE_STATUS
        self.retry_after_s = reply.retry_after_s(now_epoch_s) if self.retryable and reply.status else None

    @classmethod
    def held_back(cls, *, retryable: bool) -> "CallResult":
        """An attempt that was not sent."""
        result = cls(_NOTHING)
        result.failure, result.retryable = HELD_BACK, retryable
        return result

    @classmethod
    def cached(cls, fetched: "CallResult") -> "CallResult":
        """The same result for a caller that sent no request."""
        result = cls(HttpReply(fetched.status, NO_HEADERS, fetched.body))
        result.attempts = 0
        return result

    @property
    def ok(self) -> bool:
        return not self.failure

    def lifetime_s(self, now_epoch_s: float) -> float:
        """Remaining lifetime of the token in the body, in seconds."""
        return float(self.json()["expires_on"]) - now_epoch_s

    def json(self) -> Any:
        return HttpReply(self.status, {}, self.body).json()

    def __repr__(self) -> str:
        return f"<CallResult {self.failure or OK} {self.status}, {self.attempts} attempts>"


_NOTHING = HttpReply(0, NO_HEADERS, b"")


def outcome_of(reply: HttpReply) -> str:
    """The reply as an outcome of the attempts metric; empty for success."""
    if reply.failure:
        return TIMEOUT_OUTCOME if reply.failure == TIMEOUT else "error"
    if reply.status < 400:
        return ""
    return {429: "throttled", 503: "shed", 504: TIMEOUT_OUTCOME}.get(reply.status, "error")


class ByOutcome(dict[str, Callable[[], None]]):
    """Metric children by outcome; a child for an outcome outside `OUTCOMES` is created on first use."""

    def __init__(self, bind: Callable[[str], Callable[[], None]]) -> None:
        super().__init__((name, bind(name)) for name in OUTCOMES)
        self._bind = bind

    def __missing__(self, name: str) -> Callable[[], None]:
        child = self[name] = self._bind(name)
        return child


class Rules(Protocol):
    """The retry policies and timeouts of an operation."""

    sdk: RetryPolicy
    workflow: RetryPolicy
    timeout_s: float
    send_deadline: bool


class Counters(Protocol):
    """The counters of an operation, by outcome or reason."""

    attempt: ByOutcome
    workflow: ByOutcome

    def held_back(self, reason: str) -> None: ...


class IdentityOperation:
    """One operation in progress; counts its attempts over both layers, and its calls of the SDK."""

    __slots__ = ("_body", "_headers", "_method", "_url", "attempts", "calls", "counters", "env", "rules")

    def __init__(
        self,
        env: Env,
        rules: Rules,
        counters: Counters,
        method: str,
        url: URL,
        body: Any,
        headers: dict[str, str],
    ) -> None:
        self.env = env
        self.rules = rules
        self.counters = counters
        self._method = method
        self._url = url
        self._body = body
        self._headers = headers
        self.attempts = self.calls = 0

    def sdk_layer(self, rng: Random) -> Callable[[], Awaitable[CallResult]]:
        async def layer() -> CallResult:
            self.calls += 1
            with self.env.tracing.span("identity.workflow", call=self.calls) as span:
                result = await retry(self.env, rng, self.rules.sdk, self.attempt)
                if result.failure:
                    span.fail(result.failure)
            self.counters.workflow[result.failure or OK]()
            return result

        return layer

    async def attempt(self) -> CallResult:
        self.attempts += 1
        headers = self._headers
        rules = self.rules
        headers[ATTEMPT_HEADER] = str(self.attempts)
        if rules.send_deadline:
            expires = deadline.after(self.env.clock.epoch(), rules.timeout_s)
            headers[deadline.HEADER] = deadline.encode(expires)
        with self.env.tracing.request("identity.attempt", attempt=self.attempts):
            reply = await self.env.http.call(
                self._method, self._url, timeout_s=rules.timeout_s, headers=headers, json=self._body
            )
        result = CallResult(reply, self.env.clock.epoch())
        self.counters.attempt[result.failure or OK]()
        return result


async def retry(
    env: Env,
    rng: Random,
    policy: RetryPolicy,
    attempt: Callable[[], Awaitable[CallResult]],
    may_retry: Callable[[float], bool] | None = None,
) -> CallResult:
    return await call(policy, attempt, clock_now=env.clock.now, sleep=asyncio.sleep, rng=rng, may_retry=may_retry)


class GuardedOperation:
    """An operation with a guard between its retry layers and the HTTP client.

    A retry that the budget granted is either sent or returned to the budget, even if the caller is cancelled.
    """

    __slots__ = ("_failure", "_guard", "_operation", "_paid", "_rng", "_sent")

    def __init__(self, operation: IdentityOperation, guard: CallGuard, rng: Random) -> None:
        self._operation = operation
        self._guard = guard
        self._rng = rng
        self._sent: CallResult | None = None
        self._failure: Failure = "error"
        self._paid = True

    async def run(self) -> CallResult:
        operation, env = self._operation, self._operation.env
        self._guard.begin(env.clock.now())
        try:
            return await retry(env, self._rng, operation.rules.workflow, self._sdk_layer, self._may_retry)
        finally:
            if self._paid:
                self._guard.abandoned(env.clock.now(), is_retry=self._sent is not None)

    async def _sdk_layer(self) -> CallResult:
        operation = self._operation
        operation.calls += 1
        with operation.env.tracing.span("identity.workflow", call=operation.calls) as span:
            result = await retry(operation.env, self._rng, operation.rules.sdk, self._attempt, self._may_retry)
            if result.failure:
                span.fail(result.failure)
        operation.counters.workflow[result.failure or OK]()
        return result

    def _may_retry(self, now: float) -> bool:
        if self._paid:
            return True  # the granted attempt was held back and nothing was sent since
        self._paid = self._guard.may_retry(self._failure, now)
        if not self._paid:
            self._operation.counters.held_back(BUDGET)
        return self._paid

    async def _attempt(self) -> CallResult:
        operation, guard, clock = self._operation, self._guard, self._operation.env.clock
        is_retry = self._sent is not None
        began = clock.now()
        refusal = guard.refusal(began, is_retry=is_retry)
        if refusal:
            operation.counters.held_back(refusal)
            operation.env.tracing.current.note(held_back=refusal)
            return self._hold_back(refusal)
        outcome = AttemptOutcome.IGNORED
        made_for, self._paid = self._failure, False
        try:
            result = self._sent = await operation.attempt()
            outcome = _outcome(result)
            self._failure = _kind(result)
            return result
        finally:
            guard.ended(outcome, clock.now(), is_retry=is_retry, failure=made_for, began=began)

    def _hold_back(self, refusal: Refusal) -> CallResult:
        """An open breaker ends the operation with its last result, if any; a throttled attempt may be retried."""
        if refusal != BROKEN:
            return CallResult.held_back(retryable=True)
        if self._sent is None:
            return CallResult.held_back(retryable=False)
        self._sent.retryable = False
        return self._sent


def _outcome(result: CallResult) -> AttemptOutcome:
    if not result.failure:
        return AttemptOutcome.SUCCESS
    return AttemptOutcome.DROPPED if result.retryable else AttemptOutcome.IGNORED


def _kind(result: CallResult) -> Failure:
    """The failure as a cost category of the AWS retry quota."""
    if result.failure == TIMEOUT_OUTCOME:
        return "timeout"
    return "throttled" if result.failure in ("throttled", "shed") else "error"
