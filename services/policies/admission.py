"""Admission control: how much traffic is admitted, before it costs anything.

    TokenBucket         level = min(burst, level + rate * dt); a request takes n tokens or is refused
    AdmissionRamp       nominal * (a + (b - a) * (t - start)/duration), then b held, then open; 0 before start
    FreshBeforeBacklog  fresh traffic may empty the bucket, backlog must leave `reserve` tokens in it
    PriorityShedding    refuse priority numbers above 100 * (1 - x**3), x = 0..1 between two load marks
    Dagor               per window of 1 s or 2000 requests: overload = mean queueing time > 20 ms; target = 95 % of what
                        was admitted, without overload admitted + 1 % of arrivals; the cut-off is the highest level
                        whose running sum of arrivals stays within the target
    EnvoyAdmission      P(reject) = min(80 %, ((n - ok/0.95) / (n + 1)) ** (1/aggression)) over 30 s

Sources: the incident's own recovery (PIR FNJ8-VQZ: all traffic removed 03:55, ramp from 04:25); AWS Builders'
Library, avoiding-insurmountable-queue-backlogs (serve fresh traffic first, side-line the old); Netflix, "Keeping
Netflix Reliable Using Prioritized Load Shedding" (https://arthur.gonigberg.com/2020/11/15/proritized-load-shedding/;
the cubic is fitted to its three points); DAGOR, SoCC'18, arXiv 1806.04075, as summarised in
https://blog.acolyer.org/2018/11/16; Envoy admission_control_filter (https://www.envoyproxy.io/docs). Defaults: ramp
10 % to 85 % of nominal over 80 s, hold 20 s, then open (docs/model.md §2); the rest as above, Envoy's aggression
1 and no floor of requests per second.

Caveats:
* A ramp must limit the rate, per region. Admitting a rising *fraction* of arrivals admits a rising fraction of 12 times
  the demand, and collapses an unscaled fleet again.
* A bucket starts full: after a drain its burst arrives first. Keep the burst near one second of the first rate.
* Envoy does not count refused requests, Google's client throttle does; without its 80 % cap Envoy could not detect
  recovery.
* DAGOR's target grows by 1 % of arrivals, not of admitted requests, so a cut-off that admits nothing can reopen.
"""

from dataclasses import dataclass
from math import inf
from random import Random
from typing import Protocol

from services.parts.kind import PartKind
from services.policies.outcome import AttemptOutcome
from services.policies.window import SlidingCounts


class TokenBucket:
    """Rate limiter. Rate inf admits everything (off switch), rate 0 nothing after the burst."""

    __slots__ = ("_at", "_level", "burst", "rate_per_s")

    def __init__(self, rate_per_s: float, burst: float, *, level: float | None = None, now: float = 0.0) -> None:
        self.rate_per_s = rate_per_s
        self.burst = burst
        self._level = burst if level is None else level
        self._at = now

    def set_rate(self, rate_per_s: float, now: float, burst: float | None = None) -> None:
        """Changes the rate from `now` on. Tokens up to `now` accrue at the old rate; the change itself adds none."""
        if burst is None and self.burst == inf != rate_per_s:
            raise ValueError("a bucket that becomes limited needs a burst")
        self._refill(now)
        self.rate_per_s = rate_per_s
        if burst is not None:
            self.burst = burst
            self._level = min(self._level, burst)

    def take(self, now: float, n: float = 1.0) -> bool:
        """Takes n tokens, or takes none and returns False."""
        if self.rate_per_s == inf:
            return True
        self._refill(now)
        if self._level < n:
            return False
        self._level -= n
        return True

    def level(self, now: float) -> float:
        """Tokens available now."""
        if self.rate_per_s == inf:
            return inf
        self._refill(now)
        return self._level

    def wait_s(self, now: float, n: float = 1.0) -> float:
        """Seconds until n tokens are available if none are taken, for `Retry-After`; inf if never."""
        missing = n - self.level(now)
        if missing <= 0:
            return 0.0
        if n > self.burst or self.rate_per_s <= 0:
            return inf
        return missing / self.rate_per_s

    def _refill(self, now: float) -> None:
        if now > self._at:
            if self.rate_per_s != inf:
                level = self._level + self.rate_per_s * (now - self._at)
                self._level = level if level < self.burst else self.burst
            self._at = now

    def __repr__(self) -> str:
        if self.rate_per_s == inf:
            return "<TokenBucket off>"
        return f"<TokenBucket {self._level:.1f}/{self.burst:g} tokens, {self.rate_per_s:g}/s>"


@dataclass(frozen=True, slots=True)
class AdmissionRamp:
    """Admission rate as a pure function of time."""

    start: float
    """Start of the ramp, in bench seconds."""
    nominal_per_s: float
    """Capacity of the region, in requests per second."""
    from_fraction: float = 0.10
    """Fraction of nominal at the start."""
    to_fraction: float = 0.85
    """Fraction of nominal at the end of the ramp and during the hold."""
    duration_s: float = 80.0
    """Duration of the ramp."""
    hold_s: float = 20.0
    """Duration at the last rate, before the limit is removed."""

    def rate_at(self, now: float) -> float:
        """Admitted requests per second; 0.0 before the start, inf once open."""
        elapsed_s = now - self.start
        if elapsed_s < 0:
            return 0.0
        if elapsed_s < self.duration_s:
            part = elapsed_s / self.duration_s
            return self.nominal_per_s * (self.from_fraction + (self.to_fraction - self.from_fraction) * part)
        if elapsed_s < self.duration_s + self.hold_s:
            return self.nominal_per_s * self.to_fraction
        return inf

    @property
    def open_at(self) -> float:
        """When the limit is removed."""
        return self.start + self.duration_s + self.hold_s


class FreshBeforeBacklog:
    """Splits one rate: backlog gets only what fresh traffic leaves. With `reserve` 0 both are equal (off switch)."""

    __slots__ = ("bucket", "reserve")

    def __init__(self, bucket: TokenBucket, reserve: float) -> None:
        self.bucket = bucket
        self.reserve = reserve

    def take(self, now: float, *, is_backlog: bool) -> bool:
        if is_backlog and self.bucket.level(now) < 1.0 + self.reserve:
            return False
        return self.bucket.take(now)

    def __repr__(self) -> str:
        return f"<FreshBeforeBacklog reserve {self.reserve:g} of {self.bucket!r}>"


class PriorityShedding:
    """Netflix: 1 is the most important priority, 100 the least. Nothing is refused below `shed_from` load."""

    __slots__ = ("enabled", "shed_all", "shed_from")

    def __init__(self, shed_from: float = 0.8, shed_all: float = 1.0, enabled: bool = True) -> None:
        """Load thresholds, in the unit of the load given to `admit` (utilisation, or queue over capacity)."""
        self.shed_from = shed_from
        self.shed_all = shed_all
        self.enabled = enabled

    def threshold(self, load: float) -> float:
        """Priority numbers above this are refused."""
        width = self.shed_all - self.shed_from
        overload = (load - self.shed_from) / width if width > 0 else float(load > self.shed_all)
        overload = min(1.0, max(0.0, overload))
        return 100.0 * (1.0 - overload * overload * overload)

    def admit(self, priority: int, load: float) -> bool:
        return not self.enabled or priority <= self.threshold(load)

    def __repr__(self) -> str:
        if not self.enabled:
            return "<PriorityShedding off>"
        return f"<PriorityShedding from load {self.shed_from:g} to {self.shed_all:g}>"


class Dagor:
    """Admits levels below a moving cut-off. Level 0 is the most important; level = business * users + user."""

    __slots__ = (
        "_admitted",
        "_arrivals",
        "_histogram",
        "_queue_count",
        "_queue_sum_s",
        "_window_end",
        "cutoff",
        "enabled",
        "threshold_s",
    )
    WINDOW_S = 1.0
    REQUESTS_MAX = 2000
    ALPHA = 0.05
    BETA = 0.01

    def __init__(self, levels: int, *, threshold_s: float = 0.020, now: float = 0.0, enabled: bool = True) -> None:
        self.threshold_s = threshold_s
        self.enabled = enabled
        self.cutoff = levels
        self._histogram = [0] * levels
        self._arrivals = self._admitted = self._queue_count = 0
        self._queue_sum_s = 0.0
        self._window_end = now + self.WINDOW_S

    def admit(self, level: int, now: float) -> bool:
        """Counts one arrival and decides. Callers that know `cutoff` need not send what would be refused."""
        if not self.enabled:
            return True
        if now >= self._window_end or self._arrivals >= self.REQUESTS_MAX:
            self._end_window(now)
        level = max(0, min(level, len(self._histogram) - 1))
        self._histogram[level] += 1
        self._arrivals += 1
        if level >= self.cutoff:
            return False
        self._admitted += 1
        return True

    def on_queue_time(self, waited_s: float) -> None:
        """A request left the queue after `waited_s`."""
        self._queue_sum_s += waited_s
        self._queue_count += 1

    def overloaded(self) -> bool:
        """Whether the mean queueing time of the current window exceeds the limit."""
        return self._queue_count > 0 and self._queue_sum_s > self.threshold_s * self._queue_count

    def _end_window(self, now: float) -> None:
        admitted = self._admitted
        aim = (1.0 - self.ALPHA) * admitted if self.overloaded() else admitted + self.BETA * self._arrivals
        running, cutoff = 0, 0
        for count in self._histogram:
            running += count
            if running > aim:
                break
            cutoff += 1
        self.cutoff = cutoff
        self._histogram = [0] * len(self._histogram)
        self._arrivals = self._admitted = self._queue_count = 0
        self._queue_sum_s = 0.0
        self._window_end = now + self.WINDOW_S

    def __repr__(self) -> str:
        return f"<Dagor admits {self.cutoff}/{len(self._histogram)} levels>" if self.enabled else "<Dagor off>"


class AdmissionControl(Protocol):
    """Decides at a router whether a request for a region is forwarded; one instance per target region.

    It learns from the outcomes of the requests that it admitted. When all of them succeed again, it admits again.
    """

    def should_reject(self, now: float, rng: Random) -> bool:
        """Whether this request is refused. `now` is in seconds; `rng` is the only source of chance."""

    def on_outcome(self, outcome: AttemptOutcome, now: float) -> None:
        """An admitted request ended."""


ADMISSION = PartKind("admission", AdmissionControl)


class EnvoyAdmission:
    """Refuses requests at random, with a probability that rises as fewer admitted requests succeed."""

    __slots__ = ("_counts", "aggression", "enabled", "rejection_max", "rps_min", "success_min")

    def __init__(
        self,
        window_s: float = 30.0,
        *,
        success_min: float = 0.95,
        rps_min: float = 0.0,
        rejection_max: float = 0.80,
        aggression: float = 1.0,
        enabled: bool = True,
    ) -> None:
        self._counts = SlidingCounts(window_s, buckets=30)
        self.success_min = success_min
        self.rps_min = rps_min
        self.rejection_max = rejection_max
        self.aggression = aggression
        self.enabled = enabled

    def probability(self, now: float) -> float:
        total = self._counts.total(now)
        if not self.enabled or total / self._counts.window_s < self.rps_min:
            return 0.0
        base = (total - self._counts.good(now) / self.success_min) / (total + 1.0)
        if base <= 0.0:
            return 0.0
        return float(min(self.rejection_max, base ** (1.0 / self.aggression)))

    def should_reject(self, now: float, rng: Random) -> bool:
        probability = self.probability(now)
        return probability > 0.0 and rng.random() < probability

    def on_outcome(self, outcome: AttemptOutcome, now: float) -> None:
        """An admitted request ended. Requests refused here are not reported."""
        if outcome is not AttemptOutcome.IGNORED:
            self._counts.add(now, 1.0, 1.0 if outcome is AttemptOutcome.SUCCESS else 0.0)

    def __repr__(self) -> str:
        return f"<EnvoyAdmission {self._counts!r}>" if self.enabled else "<EnvoyAdmission off>"
