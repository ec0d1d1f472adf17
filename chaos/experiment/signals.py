"""Health signals for the gate of the policy job, from the samples so far."""

from chaos.record.metric_names import TRIES
from chaos.record.series import Samples

DONE = "done"


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
