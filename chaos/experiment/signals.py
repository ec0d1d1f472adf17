"""What is known of the health of a run while it goes on: for the gate of the policy job, and for actions."""

from collections.abc import Callable
from typing import Protocol

from chaos.record.formulas import COUNTERS, GAUGES, SAMPLES_MIN, SHARES
from chaos.record.metric_names import TRIES
from chaos.record.record import Of
from chaos.record.series import Samples

DONE = "done"
READ = (*SHARES, *COUNTERS, *GAUGES)
"""The signals that can be read during a run; the others need the whole record."""


class SampledSignals:
    """Failure ratio of provisioning attempts, per region. `zero_t` is the samples' time at the caller's 0."""

    def __init__(self, samples: Samples, zero_t: float = 0.0) -> None:
        self._samples = samples
        self._zero_t = zero_t

    def failure_ratio(self, region: str, start_t: float, end_t: float) -> tuple[float, int] | None:
        """Failure ratio and number of attempts between two times (seconds); None without attempts in the region."""
        start_t, end_t = start_t + self._zero_t, end_t + self._zero_t
        by_result = self._samples.increase(TRIES, {"region": region}, start_t, end_t, by=("result",))
        total = sum(by_result.values())
        if not total:
            return None
        return 1.0 - by_result.get((DONE,), 0.0) / total, int(total)


class UnreadSignal(ValueError):
    """A signal that cannot be read during a run; the message lists those that can."""


class Dashboard(Protocol):
    """The operators' view of a run."""

    def reading(self, signal: str, region: str, over_s: float) -> float | None:
        """The value now; None without enough samples.

        Raises:
            UnreadSignal: it needs the whole record, or there is none of that name.
        """


class SampledDashboard:
    """Readings from the samples so far; `now` is the samples' time."""

    def __init__(self, samples: Samples, now: Callable[[], float]) -> None:
        self._samples = samples
        self._now = now

    def reading(self, signal: str, region: str, over_s: float) -> float | None:
        if signal in SHARES:
            part, whole = (self._grown(of, region, over_s) for of in SHARES[signal])
            return part / whole if whole >= SAMPLES_MIN else None
        if signal in COUNTERS:
            return self._grown(COUNTERS[signal], region, over_s) / over_s
        if signal in GAUGES:
            gauge = GAUGES[signal]
            return self._samples.last(gauge.name, {**gauge.where, "region": region}, by=()).get(())
        raise UnreadSignal(f"signal {signal!r} cannot be read during a run; known: {', '.join(READ)}")

    def _grown(self, one: Of, region: str, over_s: float) -> float:
        now = self._now()
        found = self._samples.increase(one.name, {**one.where, "region": region}, now - over_s, now, by=())
        return found.get((), 0.0)
