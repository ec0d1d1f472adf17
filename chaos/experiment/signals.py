"""Health signals for the gate of the policy job, from the samples so far."""

from chaos.record.recorder import Recorder

TRIES = "provisioner_job_tries_total"
DONE = "done"


class RecordedSignals:
    """Failure ratio of provisioning attempts, per region."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def failure_ratio(self, region: str, start_t: float, end_t: float) -> tuple[float, int] | None:
        """Failure ratio and number of attempts between two times τ (seconds); None without attempts in the region."""
        by_result = self._recorder.increase(TRIES, {"region": region}, start_t, end_t, by=("result",))
        total = sum(by_result.values())
        if not total:
            return None
        return 1.0 - by_result.get((DONE,), 0.0) / total, int(total)
