"""Adaptive concurrency limits (X4): the number of requests in flight, derived from their latency.

    aimd       dropped or rtt > 5 s: L <- int(L * 0.9);  else +1 if 2 * inflight >= L;  20, 20..200
    vegas      queue = ceil(L * (1 - rtt_noload/rtt)), log = max(1, int(log10 L)):  dropped or queue > 6 log: L - log;
               queue <= log: L + 6 log;  queue < 3 log: L + log;  no drop: only if 2 * inflight >= L;  20, 1..1000
    gradient2  g = clamp(1.5 * long/short, 0.5, 1);  L <- 0.8 L + 0.2 (L * g + 4);  unchanged if inflight < L/2
               long = mean of the first 10 samples, then EWMA with 2/601;  * 0.95 while long > 2 * short;  20, 20..200
    envoy      g = clamp((min + 25 % of min)/p50, 0.5, 2);  L <- int(L g + sqrt(L g)), each 0.1 s, 3..1000
               min = p50 of 50 requests at L = 3, every 60 s (+ jitter 15 %), or after 5 updates in a row at L = 3

Sources: Netflix/concurrency-limits, AIMDLimit, VegasLimit, Gradient2Limit, WindowedLimit; Envoy adaptive_concurrency,
gradient_controller.cc (https://www.envoyproxy.io/docs, adaptive_concurrency_filter). `Windowed` gives a limit one
averaged sample per second of at least 10 requests, as Netflix does in production. Defaults: off; start and range are
the last numbers of each line.

Caveats:
* Gradient2 ignores drops, and its minimum of 20 is 10 times what a bench node with 2 workers needs: set `least`.
  AIMD and Gradient2 grow only while the limit is in use, so an idle server keeps its old limit.
* Gradient2 adapts to a slow drift of latency: it detects a trend, not an absolute overload.
* Envoy's minimum counts only requests that began after the measurement started: earlier ones waited in a queue that
  the old limit allowed. Including them makes the minimum, and each later limit, several times too large.
* Envoy measures its minimum by limiting itself to 3 in flight. Rejections during the measurement are expected.
"""

import sys
from inspect import signature
from math import ceil, log10, sqrt
from random import Random
from typing import Any, ClassVar, Literal, Protocol, cast

from pydantic import Field

from services.parts.kind import PartKind
from services.policies.part import Replaceable
from services.policies.settings import PolicySettings

RTT_MIN_S = 1e-6
"""Lower bound of a latency: in simulated time it can be 0, and it is a divisor."""


class ConcurrencyLimit(Protocol):
    """A limit on the requests in flight at one node, queued ones included, which learns from samples: 1 to 10 000."""

    @property
    def limit(self) -> int: ...

    def on_sample(self, rtt_s: float, inflight: int, dropped: bool, now: float) -> None:
        """One request ended after `rtt_s`, with `inflight` in flight at its start. `dropped`: timed out or refused."""


LIMIT = PartKind("limit", ConcurrencyLimit)


class NoLimit:
    """No limit (off)."""

    __slots__ = ()
    limit = sys.maxsize

    def on_sample(self, rtt_s: float, inflight: int, dropped: bool, now: float) -> None: ...

    def __repr__(self) -> str:
        return "<NoLimit off>"


class AimdLimit:
    """Additive increase, multiplicative decrease."""

    __slots__ = ("least", "limit", "most")
    BACKOFF_RATIO = 0.9
    TIMEOUT_S = 5.0

    def __init__(self, start: int = 20, least: int = 20, most: int = 200) -> None:
        self.limit = start
        self.least = least
        self.most = most

    def on_sample(self, rtt_s: float, inflight: int, dropped: bool, now: float) -> None:
        limit = self.limit
        if dropped or rtt_s > self.TIMEOUT_S:
            limit = int(limit * self.BACKOFF_RATIO)
        elif inflight * 2 >= limit:
            limit += 1
        self.limit = min(self.most, max(self.least, limit))

    def __repr__(self) -> str:
        return f"<AimdLimit {self.limit}>"


class VegasLimit:
    """Keeps an estimated queue between 3 and 6 log10(limit)."""

    __slots__ = ("_estimate", "_probe_jitter", "_rng", "_samples", "most", "rtt_noload_s")
    PROBE_MULTIPLIER = 30

    def __init__(self, rng: Random, start: int = 20, most: int = 1000) -> None:
        self._rng = rng
        self._estimate = float(start)
        self._samples = 0
        self._probe_jitter = rng.uniform(0.5, 1.0)
        self.most = most
        self.rtt_noload_s = 0.0

    @property
    def limit(self) -> int:
        return int(self._estimate)

    def on_sample(self, rtt_s: float, inflight: int, dropped: bool, now: float) -> None:
        rtt_s = max(rtt_s, RTT_MIN_S)
        self._samples += 1
        if self._samples >= self._probe_jitter * self.PROBE_MULTIPLIER * self._estimate:
            self._samples = 0
            self._probe_jitter = self._rng.uniform(0.5, 1.0)
            self.rtt_noload_s = rtt_s
        elif self.rtt_noload_s == 0.0 or rtt_s < self.rtt_noload_s:
            self.rtt_noload_s = rtt_s
        else:
            self._estimate = float(max(1.0, min(self.most, self._next(rtt_s, inflight, dropped))))

    def _next(self, rtt_s: float, inflight: int, dropped: bool) -> float:
        estimate = self._estimate
        log = max(1, int(log10(int(estimate))))
        if dropped:
            return estimate - log
        if inflight * 2 < estimate:
            return estimate
        queue = ceil(estimate * (1.0 - self.rtt_noload_s / rtt_s))
        if queue <= log:
            return estimate + 6 * log
        if queue < 3 * log:
            return estimate + log
        if queue > 6 * log:
            return estimate - log
        return estimate

    def __repr__(self) -> str:
        return f"<VegasLimit {self.limit}, unloaded {self.rtt_noload_s:.3f}s>"


class Gradient2Limit:
    """Compares each sample with a long-term average."""

    __slots__ = ("_count", "_estimate", "least", "long_rtt_s", "most")
    SMOOTHING = 0.2
    QUEUE_SIZE = 4
    WARMUP = 10
    LONG_WINDOW = 600
    TOLERANCE = 1.5

    def __init__(self, start: int = 20, least: int = 20, most: int = 200) -> None:
        self._estimate = float(start)
        self._count = 0
        self.least = least
        self.most = most
        self.long_rtt_s = 0.0

    @property
    def limit(self) -> int:
        return int(self._estimate)

    def on_sample(self, rtt_s: float, inflight: int, dropped: bool, now: float) -> None:
        rtt_s = max(rtt_s, RTT_MIN_S)
        long_s = self._average(rtt_s)
        if long_s > 2.0 * rtt_s:
            self.long_rtt_s = long_s * 0.95
        estimate = self._estimate
        if inflight < estimate / 2:
            return
        gradient = max(0.5, min(1.0, self.TOLERANCE * long_s / rtt_s))
        target = estimate * gradient + self.QUEUE_SIZE
        estimate = estimate * (1.0 - self.SMOOTHING) + target * self.SMOOTHING
        self._estimate = max(float(self.least), min(float(self.most), estimate))

    def _average(self, rtt_s: float) -> float:
        if self._count < self.WARMUP:
            self.long_rtt_s = (self.long_rtt_s * self._count + rtt_s) / (self._count + 1)
            self._count += 1
        else:
            self.long_rtt_s += (rtt_s - self.long_rtt_s) * (2.0 / (self.LONG_WINDOW + 1))
        return self.long_rtt_s

    def __repr__(self) -> str:
        return f"<Gradient2Limit {self.limit}, long {self.long_rtt_s:.3f}s>"


class EnvoyGradientLimit:
    """Compares the median latency of each update with a minimum that it measures from time to time."""

    __slots__ = (
        "_at_least",
        "_deferred",
        "_epoch",
        "_measure_at",
        "_rng",
        "_samples",
        "_update_at",
        "least",
        "limit",
        "min_rtt_s",
        "most",
    )
    QUANTILE = 0.5
    BUFFER = 0.25
    INTERVAL_S = 0.1
    MEASURE_S = 60.0
    MEASURE_REQUESTS = 50
    JITTER = 0.15

    def __init__(self, rng: Random, least: int = 3, most: int = 1000) -> None:
        self._rng = rng
        self.least = least
        self.most = most
        self.min_rtt_s: float = 0.0
        self.limit = least
        self._deferred: int | None = least
        self._samples: list[float] = []
        self._update_at = 0.0
        self._measure_at = 0.0
        self._epoch = float("-inf")
        self._at_least = 0

    @property
    def measuring(self) -> bool:
        """True while it limits itself to measure the minimum."""
        return self._deferred is not None

    def on_sample(self, rtt_s: float, inflight: int, dropped: bool, now: float) -> None:
        if self._deferred is None and now >= self._measure_at:
            self._deferred = self.limit
            self.limit = self.least
            self._samples.clear()
            self._epoch = now
        if now - rtt_s < self._epoch:
            return  # it began under the old limit; its latency belongs to that limit
        if not dropped:
            self._samples.append(max(rtt_s, RTT_MIN_S))
        if self._deferred is not None:
            if len(self._samples) >= self.MEASURE_REQUESTS:
                self._end_measure(self._deferred, now)
        elif now >= self._update_at and self._samples:
            self._update(now)

    def _end_measure(self, deferred: int, now: float) -> None:
        self.min_rtt_s = self._take_quantile()
        self.limit = deferred
        self._deferred = None
        self._at_least = 0
        self._measure_at = now + self.MEASURE_S * (1.0 + self._rng.random() * self.JITTER)
        self._update_at = now + self.INTERVAL_S

    def _update(self, now: float) -> None:
        gradient = max(0.5, min(2.0, self.min_rtt_s * (1.0 + self.BUFFER) / self._take_quantile()))
        grown = self.limit * gradient
        limit = max(self.least, min(self.most, int(grown + sqrt(grown))))
        self._at_least = self._at_least + 1 if limit == self.limit == self.least else 0
        self.limit = limit
        self._update_at = now + self.INTERVAL_S
        if self._at_least >= 5:
            self._measure_at = now

    def _take_quantile(self) -> float:
        self._samples.sort()
        value = self._samples[max(0, ceil(self.QUANTILE * len(self._samples)) - 1)]
        self._samples.clear()
        return value

    def __repr__(self) -> str:
        return (
            f"<EnvoyGradientLimit {self.limit}, least {self.min_rtt_s:.3f}s{', measuring' if self.measuring else ''}>"
        )


class Windowed:
    """Gives the inner limit one sample per window: mean rtt, most in flight, dropped if any was.

    A window with fewer than `SAMPLES_MIN` requests is discarded, as in Netflix's WindowedLimit.
    """

    __slots__ = ("_count", "_dropped", "_inflight", "_next_at", "_sum_s", "inner", "window_s")
    SAMPLES_MIN = 10

    def __init__(self, inner: ConcurrencyLimit, window_s: float = 1.0) -> None:
        self.inner = inner
        self.window_s = window_s
        self._next_at = 0.0
        self._sum_s = 0.0
        self._count = 0
        self._inflight = 0
        self._dropped = False

    @property
    def limit(self) -> int:
        return self.inner.limit

    def on_sample(self, rtt_s: float, inflight: int, dropped: bool, now: float) -> None:
        self._sum_s += rtt_s
        self._count += 1
        self._dropped = self._dropped or dropped
        if inflight > self._inflight:
            self._inflight = inflight
        if now > self._next_at:
            if self._count >= self.SAMPLES_MIN:
                self.inner.on_sample(self._sum_s / self._count, self._inflight, self._dropped, now)
            self._next_at = now + self.window_s
            self._sum_s = 0.0
            self._count = self._inflight = 0
            self._dropped = False

    def __repr__(self) -> str:
        return f"<Windowed {self.inner!r}, {self._count} samples>"


_RULES: dict[str, type[ConcurrencyLimit]] = {
    "aimd": AimdLimit,
    "vegas": VegasLimit,
    "gradient2": Gradient2Limit,
    "envoy": EnvoyGradientLimit,
}


class LimitSettings(PolicySettings, Replaceable):
    """The limit of a server. None keeps the source's value, which is meant for servers far larger than a bench node."""

    KIND: ClassVar[PartKind] = LIMIT

    kind: Literal["off", "aimd", "vegas", "gradient2", "envoy"] = "off"
    """The algorithm."""
    start: int | None = Field(default=None, ge=1)
    """Initial limit; envoy starts at `least`."""
    least: int | None = Field(default=None, ge=1)
    """Minimum; vegas has 1."""
    most: int | None = Field(default=None, ge=1)
    """Maximum."""
    window_s: float = Field(default=1.0, gt=0)
    """Netflix kinds: one averaged sample per this long, of at least 10 requests."""

    ORDER = (("least", "<=", "start"), ("start", "<=", "most"), ("least", "<=", "most"))

    def ordered(self) -> dict[str, Any]:
        """The values to compare, with the algorithm's own bounds in place of None."""
        rule = _RULES.get(self.kind)
        own = {name: one.default for name, one in signature(rule).parameters.items()} if rule else {}
        bounds = {name: getattr(self, name) or own.get(name) for name in ("least", "most")}
        return {**bounds, "start": self.start}

    def build(self, rng: Random) -> ConcurrencyLimit:
        if self.part:
            return cast(ConcurrencyLimit, self.own())
        given = {name: value for name in ("start", "least", "most") if (value := getattr(self, name)) is not None}
        match self.kind:
            case "off":
                return NoLimit()
            case "aimd":
                return Windowed(AimdLimit(**given), self.window_s)
            case "vegas":
                given.pop("least", None)
                return Windowed(VegasLimit(rng, **given), self.window_s)
            case "gradient2":
                return Windowed(Gradient2Limit(**given), self.window_s)
            case "envoy":
                given.pop("start", None)
                return EnvoyGradientLimit(rng, **given)
