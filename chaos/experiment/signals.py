"""The health signals that the gate reads, taken from what the recorder has sampled so far."""

from chaos.record.recorder import Recorder

TRIES = "provisioner_job_tries_total"
DONE = "done"


class RecordedSignals:
    """Provisioning tries per region: the share that did not end in success."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def failure_ratio(self, region: str, start_t: float, end_t: float) -> tuple[float, int] | None:
        """Share of failed tries and their number between two times τ; None when no sample of the region exists."""
        by_result = self._recorder.increase(TRIES, {"region": region}, start_t, end_t, by=("result",))
        total = sum(by_result.values())
        if not total:
            return None
        return 1.0 - by_result.get((DONE,), 0.0) / total, int(total)
