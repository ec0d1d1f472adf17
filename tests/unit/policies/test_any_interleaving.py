"""Whatever comes back when: every policy's outputs stay within their bounds.

Calls begin and end in any order, some never, some long after the state they belong to; clocks of two processes differ.
Each adapter below says what a call to its policy is and what must always hold.
"""

from collections.abc import Callable
from math import isfinite
from random import Random
from typing import Any, Protocol

from hypothesis import given, note, settings
from hypothesis import strategies as st

from services.policies.adaptive_limit import LimitSettings
from services.policies.adaptive_throttle import AdaptiveThrottle
from services.policies.admission import Dagor, EnvoyAdmission, PriorityShedding, TokenBucket
from services.policies.breaker import Breaker, BreakerSettings
from services.policies.capacity import ScaleOut, ScaleOutSettings
from services.policies.failover import Failover
from services.policies.outcome import AttemptOutcome
from services.policies.outlier import OutlierDetector, OutlierSettings
from services.policies.pacing import Pacer
from services.policies.retry_budget import AwsQuota, BrookerBudget, BudgetSettings, EnvoyBudget, GrpcThrottle
from services.policies.token_cache import Lookup, TokenCache, TokenCacheSettings
from services.policies.window import SlidingCounts

OUTCOMES = tuple(AttemptOutcome)
LATE_S = 400.0


class Subject(Protocol):
    def begin(self, now: float) -> Any: ...
    def end(self, token: Any, began: float, outcome: AttemptOutcome, now: float) -> None: ...
    def check(self, now: float) -> None: ...


class Throttle:
    def __init__(self) -> None:
        self.policy, self.rng = AdaptiveThrottle(window_s=10.0), Random(1)

    def begin(self, now: float) -> Any:
        return None if self.policy.should_reject(now, self.rng) else "sent"

    def end(self, token: Any, began: float, outcome: AttemptOutcome, now: float) -> None:
        self.policy.on_outcome(outcome, now, began)

    def check(self, now: float) -> None:
        assert 0.0 <= self.policy.probability(now) < 1.0


class ThrottleWithoutStart(Throttle):
    """The policy as used by callers that do not pass the start of a request."""

    def end(self, token: Any, began: float, outcome: AttemptOutcome, now: float) -> None:
        self.policy.on_outcome(outcome, now)


class Break:
    def __init__(self) -> None:
        self.policy = Breaker(BreakerSettings(mode="all", consecutive_failures=3, break_s=5.0, trials=2))
        self.trials = 0

    def begin(self, now: float) -> Any:
        before = self.policy.state(now)
        allowed = self.policy.allow(now)
        assert not (before == "open" and allowed)
        return "sent" if allowed else None

    def end(self, token: Any, began: float, outcome: AttemptOutcome, now: float) -> None:
        before = self.policy.state(now)
        since = self.policy._since
        self.policy.on_outcome(outcome, now, began)
        if began < since:
            assert self.policy.state(now) == before, "a result of an earlier state changed this one"

    def check(self, now: float) -> None:
        assert 0 <= self.policy._trials_out + self.policy._trials_good <= self.policy.settings.trials


class Limit:
    def __init__(self, kind: str) -> None:
        given: dict[str, Any] = {"kind": kind, "least": 2, "most": 50}
        self.policy = LimitSettings.model_validate(given).build(Random(1))
        self.inflight = 0

    def begin(self, now: float) -> Any:
        self.inflight += 1
        return self.inflight

    def end(self, token: Any, began: float, outcome: AttemptOutcome, now: float) -> None:
        self.inflight -= 1
        self.policy.on_sample(now - began, token, outcome is AttemptOutcome.DROPPED, now)

    def check(self, now: float) -> None:
        assert 1 <= self.policy.limit <= 50


class Budget:
    def __init__(self, kind: str) -> None:
        self.policy = BudgetSettings.model_validate({"kind": kind}).build()
        self.retries_in_flight = 0

    def begin(self, now: float) -> Any:
        if self.policy.may_retry(now):
            return True
        self.policy.on_request(now)
        return False

    def end(self, token: Any, began: float, outcome: AttemptOutcome, now: float) -> None:
        self.policy.on_outcome(outcome, now, is_retry=token)

    def check(self, now: float) -> None:
        policy = self.policy
        if isinstance(policy, AwsQuota):
            assert 0 <= policy.level <= policy.CAPACITY
        elif isinstance(policy, GrpcThrottle | BrookerBudget):
            assert 0.0 <= policy.tokens <= 10.0
        elif isinstance(policy, EnvoyBudget):
            assert 0 <= policy.retries <= policy.active


class Outliers:
    HOSTS = ("a", "b", "c", "d")

    def __init__(self) -> None:
        self.policy = OutlierDetector(self.HOSTS, OutlierSettings(enabled=True, ejected_share_max=0.5))
        self.count = 0

    def begin(self, now: float) -> Any:
        self.count += 1
        return self.HOSTS[self.count % 4]

    def end(self, token: Any, began: float, outcome: AttemptOutcome, now: float) -> None:
        self.policy.on_outcome(token, outcome, now, began)

    def check(self, now: float) -> None:
        available = self.policy.available(now)
        assert 2 <= len(available) <= 4
        for host in self.policy._hosts.values():
            assert host.back_at <= now + self.policy.settings.max_s + LATE_S
            assert 0 <= host.failures < self.policy.settings.consecutive_failures or host.ejected or len(available) < 4


class TwoRegions:
    def __init__(self) -> None:
        self.policy, self.rng = Failover("east", "west"), Random(1)

    def begin(self, now: float) -> Any:
        return self.policy.route(now, self.rng)

    def end(self, token: Any, began: float, outcome: AttemptOutcome, now: float) -> None:
        self.policy.on_outcome(token, outcome, now)

    def check(self, now: float) -> None:
        assert 0.0 <= self.policy.share_home(now) <= 1.0
        assert 0.0 <= self.policy.health_home.ratio(now) <= 1.0


class Admit:
    def __init__(self) -> None:
        self.policy, self.rng = EnvoyAdmission(), Random(1)

    def begin(self, now: float) -> Any:
        return None if self.policy.should_reject(now, self.rng) else "sent"

    def end(self, token: Any, began: float, outcome: AttemptOutcome, now: float) -> None:
        self.policy.on_outcome(outcome, now)

    def check(self, now: float) -> None:
        assert 0.0 <= self.policy.probability(now) <= self.policy.rejection_max


class Levels:
    def __init__(self) -> None:
        self.policy, self.count = Dagor(8), 0

    def begin(self, now: float) -> Any:
        self.count += 1
        return "sent" if self.policy.admit(self.count * 7 % 11 - 1, now) else None

    def end(self, token: Any, began: float, outcome: AttemptOutcome, now: float) -> None:
        self.policy.on_queue_time(now - began)

    def check(self, now: float) -> None:
        assert 0 <= self.policy.cutoff <= 8
        assert 0 <= self.policy._admitted <= self.policy._arrivals <= self.policy.REQUESTS_MAX


class Bucket:
    def __init__(self) -> None:
        self.policy, self.pacer = TokenBucket(3.0, 5.0), Pacer(2.0)

    def begin(self, now: float) -> Any:
        assert self.pacer.reserve(now) >= now
        return "sent" if self.policy.take(now) else None

    def end(self, token: Any, began: float, outcome: AttemptOutcome, now: float) -> None: ...

    def check(self, now: float) -> None:
        assert 0.0 <= self.policy.level(now) <= 5.0
        assert 0.0 <= self.policy.wait_s(now) <= 1.0 / 3.0 + 1e-9


class Tokens:
    def __init__(self) -> None:
        self.policy: TokenCache[str] = TokenCache(TokenCacheSettings(enabled=True, margin_s=1.0, flight_s=5.0))
        self.leaders: set[float] = set()

    def begin(self, now: float) -> Any:
        found = self.policy.lookup("key", now)
        return found if found in (Lookup.MISS, Lookup.REFRESH_EARLY) else None

    def end(self, token: Any, began: float, outcome: AttemptOutcome, now: float) -> None:
        if outcome is AttemptOutcome.SUCCESS:
            self.policy.store("key", "token", now, 60.0)
            return
        before = self.entry()
        self.policy.fail("key", now, began)
        if began < before["flight_began"]:
            assert self.entry() == before, "a leader that was replaced changes nothing"

    def entry(self) -> dict[str, Any]:
        entry = self.policy._entries["key"]
        return {name: getattr(entry, name) for name in entry.__slots__}

    def check(self, now: float) -> None:
        entry = self.policy._entries.get("key")
        if entry is not None:
            assert entry.expires <= now + 60.0 + LATE_S
            assert entry.flight_until <= now + 5.0 + LATE_S


SUBJECTS: dict[str, Callable[[], Subject]] = {
    "throttle": Throttle,
    "throttle that is not told when": ThrottleWithoutStart,
    "breaker": Break,
    **{f"limit {kind}": lambda kind=kind: Limit(kind) for kind in ("aimd", "vegas", "gradient2", "envoy")},  # type: ignore[misc]
    **{
        f"budget {kind}": lambda kind=kind: Budget(kind)  # type: ignore[misc]
        for kind in ("finagle", "aws", "aws_2026", "grpc", "envoy", "brooker")
    },
    "outliers": Outliers,
    "failover": TwoRegions,
    "admission": Admit,
    "dagor": Levels,
    "bucket and pacer": Bucket,
    "token cache": Tokens,
}

Step = tuple[float, str, int, AttemptOutcome]
STEPS = st.lists(
    st.tuples(
        st.sampled_from((0.0, 0.0, 0.001, 0.05, 0.3, 1.0, 4.0, 12.0, 61.0, LATE_S, -0.5, -5.0)),
        st.sampled_from(("begin", "begin", "begin", "end", "end", "forget")),
        st.integers(0, 200),
        st.sampled_from(OUTCOMES),
    ),
    min_size=15,
    max_size=120,
)


@settings(max_examples=150, deadline=None)
@given(steps=STEPS)
def test_every_output_stays_within_its_bounds(steps: list[Step]) -> None:
    """All policies meet the same calls: to make a list of calls costs more than to try it on all of them."""
    for name, made in SUBJECTS.items():
        note(name)
        carry_out(made(), steps)


def carry_out(subject: Subject, steps: list[Step]) -> None:
    now = 1000.0
    open_calls: list[tuple[Any, float]] = []
    for passed_s, what, which, outcome in steps:
        now += passed_s
        if what == "begin":
            token = subject.begin(now)
            if token is not None:
                open_calls.append((token, now))
        elif open_calls:
            token, began = open_calls.pop(which % len(open_calls))
            if what == "end":
                subject.end(token, began, outcome, now)
        subject.check(now)


@given(
    st.lists(
        st.tuples(st.floats(-20, 50), st.booleans(), st.floats(0, 3), st.floats(-60, 0)),
        max_size=60,
    )
)
def test_a_window_never_holds_less_than_nothing(steps: list[tuple[float, bool, float, float]]) -> None:
    counts, now = SlidingCounts(10.0), 100.0
    for passed_s, back, amount, age_s in steps:
        now += passed_s
        if back:
            counts.take_back(now, now + age_s, amount)
        else:
            counts.add(now, amount)
        assert counts.total(now) >= -1e-9


@given(st.floats(0, 2), st.floats(0, 2), st.floats(-10, 10))
def test_shedding_marks_that_meet_are_a_step(shed_from: float, shed_all: float, load: float) -> None:
    assert 0.0 <= PriorityShedding(shed_from, shed_all).threshold(load) <= 100.0


@given(st.floats(-100, 100), st.sampled_from((0.0, 0.5, 30.0)))
def test_the_weight_of_a_node_stays_within_0_and_1_for_any_clock(age_s: float, slow_start_s: float) -> None:
    weight = ScaleOut(ScaleOutSettings(slow_start_s=slow_start_s)).weight(1000.0 - age_s, 1000.0)
    assert isfinite(weight)
    assert 0.0 < weight <= 1.0
