"""Retry budgets: limit the retries of a client, over all its calls.

    finagle  window of 10 s in 10 slices: a request deposits 1000, a retry withdraws 1000/share (5000 at 20 %);
             while window sum + reserve >= withdrawal, reserve = 10/s * 10 s * withdrawal = 500 000 (100 retries)
    aws      bucket of 500: a retry takes its cost; success gives that cost back, or 1 when it needed no retry
    grpc     tokens of 10: failure -1, success +0.1; a retry is allowed while tokens > 5, and takes nothing
    envoy    retries in flight < max(3, int(20 % of requests in flight))
    brooker  bucket: success (or the start of a call) deposits 0.1, a retry takes 1

Sources: twitter/finagle RetryBudget.scala with twitter/util TokenBucket.scala; boto/botocore retries/standard.py and
quota.py (1.43.11, read as installed); grpc/proposal A6; Envoy circuit_breaker.proto; brooker.co.za/blog/2022/02/28.
AWS costs: 5, timeouts 10 (the default) or 14, throttling 5 (only with AWS_NEW_RETRIES_2026=true). Brooker gives no
capacity; 10 is ours. His text deposits on success, his program (mbrooker/simulator_example) at the start of a call. The
second still allows 10 % retries when every call fails. Off by default: the incident's clients had none.

Caveats:
* Finagle's reserve is not a rate: 100 retries may be spent in one burst, and again when old withdrawals leave the
  window.
* A budget bounds amplification per client; it does not shorten a queue. Alone it does not prevent the incident
  (docs/model.md §4), because jobs that return after 10 s keep the queue in the dead zone.
* gRPC and Brooker count failures of first attempts and of retries; Finagle ignores outcomes.

The owner calls `on_request` once per request, `may_retry` once per wanted retry (True takes the token), and
`on_outcome` once per attempt.
"""

from typing import ClassVar, Literal, Protocol

from pydantic import Field

from services.parts.kind import PartKind
from services.policies.outcome import AttemptOutcome
from services.policies.part import Replaceable
from services.policies.settings import PolicySettings
from services.policies.window import SlidingCounts

Failure = Literal["error", "timeout", "throttled"]


class RetryBudget(Protocol):
    """Decides whether a client may retry, over all its calls to a region.

    It learns only from these three calls. With no request and no success it stops granting retries.
    """

    def on_request(self, now: float) -> None:
        """A new request starts (not a retry)."""

    def may_retry(self, now: float) -> bool:
        """Whether one retry may start. True takes the token."""

    def on_outcome(self, outcome: AttemptOutcome, now: float, *, is_retry: bool = False) -> None:
        """One attempt ended."""


BUDGET = PartKind("budget", RetryBudget)


class UnlimitedBudget:
    """No budget (off): every retry is allowed."""

    __slots__ = ()

    def on_request(self, now: float) -> None: ...

    def may_retry(self, now: float) -> bool:
        return True

    def on_outcome(self, outcome: AttemptOutcome, now: float, *, is_retry: bool = False) -> None: ...

    def __repr__(self) -> str:
        return "<UnlimitedBudget off>"


class FinagleBudget:
    """A share of the requests in a window, plus a reserve for clients with few requests."""

    __slots__ = ("_deposit", "_window", "_withdrawal", "reserve", "share")

    def __init__(self, share: float = 0.2, retries_per_s_min: float = 10.0, window_s: float = 10.0) -> None:
        self.share = share
        self._deposit = 1000 if share > 0 else 0
        self._withdrawal = int(1000 / share) if share > 0 else 1
        self.reserve = round(retries_per_s_min * window_s * self._withdrawal)
        self._window = SlidingCounts(window_s, buckets=10)

    def on_request(self, now: float) -> None:
        self._window.add(now, self._deposit)

    def may_retry(self, now: float) -> bool:
        if self._window.total(now) + self.reserve < self._withdrawal:
            return False
        self._window.add(now, -self._withdrawal)
        return True

    def on_outcome(self, outcome: AttemptOutcome, now: float, *, is_retry: bool = False) -> None: ...

    def __repr__(self) -> str:
        return f"<FinagleBudget {self.share:.0%} of requests + {self.reserve / self._withdrawal:g} in reserve>"


class AwsQuota:
    """AWS SDK "standard" mode; `new_costs` selects the costs of AWS_NEW_RETRIES_2026."""

    __slots__ = ("costs", "level")
    CAPACITY = 500

    def __init__(self, new_costs: bool = False) -> None:
        self.level = self.CAPACITY
        self.costs: dict[Failure, int] = (
            {"error": 14, "timeout": 14, "throttled": 5} if new_costs else {"error": 5, "timeout": 10, "throttled": 5}
        )

    def on_request(self, now: float) -> None: ...

    def may_retry(self, now: float, failure: Failure = "error") -> bool:
        cost = self.costs[failure]
        if cost > self.level:
            return False
        self.level -= cost
        return True

    def on_outcome(
        self, outcome: AttemptOutcome, now: float, *, is_retry: bool = False, failure: Failure = "error"
    ) -> None:
        """`failure`: the failure that a successful retry followed; its cost is returned."""
        if outcome is AttemptOutcome.SUCCESS:
            self.level = min(self.CAPACITY, self.level + (self.costs[failure] if is_retry else 1))

    def __repr__(self) -> str:
        return f"<AwsQuota {self.level}/{self.CAPACITY}, a retry costs {self.costs['error']}>"


class GrpcThrottle:
    """gRPC retry throttling. Counts in thousandths, as in grpc-core: with floats it would not return to the maximum."""

    __slots__ = ("_max_milli", "_milli", "_ratio_milli")

    def __init__(self, max_tokens: float = 10.0, token_ratio: float = 0.1) -> None:
        """A service config says both numbers (chaos/importers/grpc.py)."""
        self._max_milli = round(max_tokens * 1000)
        self._ratio_milli = round(token_ratio * 1000)
        self._milli = self._max_milli

    def on_request(self, now: float) -> None: ...

    def may_retry(self, now: float) -> bool:
        return self._milli * 2 > self._max_milli

    def on_outcome(self, outcome: AttemptOutcome, now: float, *, is_retry: bool = False) -> None:
        if outcome is AttemptOutcome.SUCCESS:
            self._milli = min(self._max_milli, self._milli + self._ratio_milli)
        elif outcome is AttemptOutcome.DROPPED:
            self._milli = max(0, self._milli - 1000)

    @property
    def tokens(self) -> float:
        return self._milli / 1000

    def __repr__(self) -> str:
        return f"<GrpcThrottle {self.tokens:g}/{self._max_milli / 1000:g} tokens>"


class EnvoyBudget:
    """Retries in flight as a share of all requests in flight. Needs the end of every attempt, with `is_retry`."""

    __slots__ = ("active", "retries", "retries_min", "share")

    def __init__(self, share: float = 0.2, retries_min: int = 3) -> None:
        """A cluster's `retry_budget` says both numbers (chaos/importers/envoy.py)."""
        self.share = share
        self.retries_min = retries_min
        self.active = 0
        self.retries = 0

    def on_request(self, now: float) -> None:
        self.active += 1

    def may_retry(self, now: float) -> bool:
        if self.retries >= max(self.retries_min, int(self.share * self.active)):
            return False
        self.retries += 1
        self.active += 1
        return True

    def on_outcome(self, outcome: AttemptOutcome, now: float, *, is_retry: bool = False) -> None:
        """Counts never fall below 0: surplus reports, a caller's bug, must not allow more retries."""
        self.active = max(0, self.active - 1)
        if is_retry:
            self.retries = max(0, self.retries - 1)

    def __repr__(self) -> str:
        return f"<EnvoyBudget {self.retries} retries of {self.active} in flight>"


class BrookerBudget:
    """Token-bucket retries: like N retries while failures are rare, like 0.1 retries when all calls fail."""

    __slots__ = ("_at_start", "_capacity_milli", "_deposit_milli", "_milli")
    COST_MILLI = 1000

    def __init__(self, deposit: float = 0.1, capacity: float = 10.0, *, at_start: bool = False) -> None:
        """`at_start`: a call deposits when it starts, whatever becomes of it; otherwise when an attempt succeeds."""
        self._at_start = at_start
        self._deposit_milli = round(deposit * 1000)
        self._capacity_milli = round(capacity * 1000)
        self._milli = self._capacity_milli

    def on_request(self, now: float) -> None:
        if self._at_start:
            self._deposit()

    def may_retry(self, now: float) -> bool:
        if self._milli < self.COST_MILLI:
            return False
        self._milli -= self.COST_MILLI
        return True

    def on_outcome(self, outcome: AttemptOutcome, now: float, *, is_retry: bool = False) -> None:
        if outcome is AttemptOutcome.SUCCESS and not self._at_start:
            self._deposit()

    def _deposit(self) -> None:
        self._milli = min(self._capacity_milli, self._milli + self._deposit_milli)

    @property
    def tokens(self) -> float:
        return self._milli / 1000

    def __repr__(self) -> str:
        return f"<BrookerBudget {self.tokens:g}/{self._capacity_milli / 1000:g} tokens>"


class BudgetSettings(PolicySettings, Replaceable):
    """The budget of a client. The defended profile has kind="finagle"."""

    KIND: ClassVar[PartKind] = BUDGET

    kind: Literal["off", "finagle", "aws", "aws_2026", "grpc", "envoy", "brooker"] = "off"
    """The algorithm; all kinds but finagle and brooker use their source's numbers."""
    share: float = Field(default=0.1, ge=0, le=1)
    """finagle: retries per request."""
    retries_per_s_min: float = Field(default=0.3, ge=0)
    """finagle: the reserve, as a rate over the window."""
    window_s: float = Field(default=10.0, gt=0)
    """finagle: lifetime of a request's deposit."""
    deposit: float = Field(default=0.1, ge=0)
    """brooker: tokens for each deposit; a retry takes 1."""
    deposit_on: Literal["success", "start"] = "success"
    """brooker: what deposits: an attempt that succeeds, or the start of a call."""
    capacity: float = Field(default=10.0, ge=1)
    """brooker: most tokens, and how many a client begins with."""

    @property
    def active(self) -> bool:
        return self.kind != "off" or bool(self.part)

    def build(self) -> RetryBudget:
        own: RetryBudget | None = self.own()
        if own is not None:
            return own
        match self.kind:
            case "off":
                return UnlimitedBudget()
            case "finagle":
                return FinagleBudget(self.share, self.retries_per_s_min, self.window_s)
            case "aws":
                return AwsQuota()
            case "aws_2026":
                return AwsQuota(new_costs=True)
            case "grpc":
                return GrpcThrottle()
            case "envoy":
                return EnvoyBudget()
            case "brooker":
                return BrookerBudget(self.deposit, capacity=self.capacity, at_start=self.deposit_on == "start")
