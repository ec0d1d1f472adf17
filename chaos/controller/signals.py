"""Health signals for the gate of a policy job that was started through the API."""

from collections.abc import Callable

from chaos.controller.monitor import Monitor
from chaos.controller.scenario_run import ScenarioRun
from chaos.experiment.signals import SampledSignals


class TestbedSignals:
    """Queries the recorder of a run in progress, otherwise the monitor. The caller's time 0 is `origin_epoch_s`."""

    __test__ = False  # a name that pytest would take for a test class

    def __init__(self, monitor: Monitor, run: Callable[[], ScenarioRun | None], origin_epoch_s: float) -> None:
        self._monitor = monitor
        self._run = run
        self._origin_epoch_s = origin_epoch_s

    def failure_ratio(self, region: str, start_t: float, end_t: float) -> tuple[float, int] | None:
        """Failure ratio of the attempts in a region and their number; None without attempts."""
        return self._signals().failure_ratio(region, start_t, end_t)

    def _signals(self) -> SampledSignals:
        run = self._run()
        recorder = run.recorder if run is not None else None
        if run is None or recorder is None:
            return SampledSignals(self._monitor.samples, self._origin_epoch_s)
        return SampledSignals(recorder, self._origin_epoch_s - run.zero_epoch_s)
