"""A scenario run on the testbed: the same experiment as from the command line, with status over HTTP and abort."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from chaos.controller.annotations import RunMoment
from chaos.controller.run_state import ControlledRun
from chaos.controller.telling import Telling
from chaos.experiment.baseline import UnhealthyBaseline
from chaos.experiment.experiment import Experiment
from chaos.experiment.plan import Plan
from chaos.experiment.runs import commit, point_latest, write_plan
from chaos.progress.progress import clock, last_action, now_of, phase
from chaos.record.recorder import Recorder
from chaos.remediation.workflow import RemediationWorkflow
from chaos.report.files import judge_folder
from chaos.scenarios.times import incident_time
from compose.runtime import Runtime
from services.chassis.background import Background
from services.chassis.clock import Clock

LOAD_STARTS_S = 3.0


class ScenarioRun(ControlledRun):
    """One run on the testbed."""

    def __init__(
        self,
        plan: Plan,
        runtime: Runtime,
        folder: Path,
        telling: Telling,
        *,
        prepare: Callable[[], Awaitable[object]] | None = None,
        settle: Callable[[], Awaitable[None]] | None = None,
        background: Background,
    ) -> None:
        """`prepare` ends what an operator has on the testbed; `settle` resets it after the run, however it ended."""
        super().__init__(plan, folder, runtime.name, telling, background)
        self._t = -plan.warmup_s
        self._prepare = prepare
        self._settle = settle
        self._runtime = runtime
        self._experiment: Experiment | None = None
        """Set during the run only: keeping its record in memory afterwards would take up to 250 MB."""

    @property
    def wants_load(self) -> bool:
        """Whether the load should be running now; not in the first seconds, when the run starts it itself."""
        return self.state == "running" and LOAD_STARTS_S - self.plan.warmup_s < self._t < self.plan.duration_s - 1.0

    @property
    def remediation(self) -> RemediationWorkflow | None:
        """The policy job of the scenario; None before the timeline has started it."""
        return self._experiment.remediation if self._experiment is not None else None

    @property
    def recorder(self) -> Recorder | None:
        """The recorder of the experiment; None before and after it."""
        return self._experiment.recorder if self._experiment is not None else None

    @property
    def moment(self) -> RunMoment:
        """The position of the run, for the dashboards."""
        done = last_action(self.plan, self._t)[1] if self.now and self.state == "running" else self.state
        pace = self.plan.scenario.detection_pace
        return RunMoment(self._t, done, pace, incident_time(self._t, self.plan.starts_at) if pace == 1.0 else None)

    def page(self) -> bytes:
        """The metrics page of the experiment, such as those of its policy job."""
        return self._experiment.metrics.page() if self._experiment is not None else b""

    def start(self) -> None:
        self._telling.new_run()
        write_plan(self.folder, self.plan.document(self._runtime.name, "http", commit()))
        self._task = self._background.once(self._run(), f"run {self.folder.name}")

    async def abort(self) -> None:
        """Aborts the run; the experiment's cleanup reverts its changes to the testbed."""
        if self._task is not None and not self._task.done():
            if not self._task.cancelling():  # a second call waits for the cleanup and does not interrupt it
                self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        try:
            try:
                await self._carry_out()
            finally:
                await self._calm_down()
            self._become("judging")
            await asyncio.to_thread(self._judge)
            self._become("done")
        except asyncio.CancelledError:
            self._become("aborted")
            raise
        except UnhealthyBaseline as error:
            self._become("failed", str(error))
        except Exception as error:
            self._become("failed", f"{type(error).__name__}: {error}")

    async def _carry_out(self) -> None:
        if self._prepare is not None:
            await self._prepare()
        self._experiment = Experiment(self.plan, self._runtime, self._recorder, observers=[self._observe])
        try:
            await self._experiment.run()
        finally:
            self._experiment = None

    async def _calm_down(self) -> None:
        if self._settle is not None:
            self._become("settling")
            await self._settle()

    def _judge(self) -> None:
        judge_folder(self.folder)
        point_latest(self.folder)

    def _recorder(self, clock: Clock, zero_epoch_s: float) -> Recorder:
        self._become("running")
        self.zero_epoch_s = zero_epoch_s
        recorder = Recorder(clock, zero_epoch_s, folder=self.folder, http=self._runtime.http)
        recorder.watchers.append(self._telling.run_event)
        return recorder

    def _observe(self, experiment: Experiment, t: float) -> None:
        plan = self.plan
        self._t = t
        self.now = {
            **now_of(experiment, t).document(),
            "run": self.folder.name,
            "clock": clock(plan, t),
            "phase": phase(plan, t),
        }
        self._telling.tick(self.now)
