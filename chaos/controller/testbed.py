"""The controller's state of the testbed: runtime, operations, faults, policy job, scenario run."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from chaos.controller.annotations import NO_RUN, OTHER_RUN, Annotations, export_faults, export_run
from chaos.controller.calm import Busy, restart_everything
from chaos.controller.feed import Feed
from chaos.controller.monitor import Monitor
from chaos.controller.other_run import OtherRun
from chaos.controller.run_apart import RunApart
from chaos.controller.scenario_run import ScenarioRun
from chaos.controller.signals import TestbedSignals
from chaos.controller.switches import Switches
from chaos.controller.telling import Telling
from chaos.experiment.experiment import ControllerEnv
from chaos.experiment.operations import Operations
from chaos.experiment.plan import Plan, make_plan
from chaos.faults.leases import FaultLeases
from chaos.progress.glance import Glance
from chaos.remediation.metrics import JobMetrics
from chaos.remediation.settings import RemediationSettings
from chaos.remediation.workflow import RemediationWorkflow
from chaos.scenarios.model import Scenario
from compose.runtime import Runtime
from loadgen.settings import Profile
from services.chassis.endings import finish_all
from services.chassis.events import Events
from services.chassis.loop_lag import LoopLag
from services.chassis.settings import Tree
from services.chassis.store import STORE_ERRORS
from services.chassis.streams import Streams

SOURCE = "controller"
SEED = 1
Restart = Callable[[Runtime, Plan], Awaitable[None]]


class Testbed:
    """One running testbed.

    `make_runtime` creates the runtime of a scenario run; without it, runs are executed separately in virtual time.
    `restart` restarts every process from an empty store.
    """

    __test__ = False  # a name that pytest would take for a test class

    def __init__(
        self,
        runtime: Runtime,
        scenario: Scenario,
        runs: Path,
        make_runtime: Callable[[], Runtime] | None = None,
        restart: Restart | None = None,
        load_profile: Profile = "base",
    ) -> None:
        self.runtime = runtime
        self.scenario = scenario
        self.runs = runs
        self.make_runtime = make_runtime
        self.feed = Feed(runtime.clock)
        self.events = Events(lambda event: self.telling.event(event), runtime.clock, SOURCE)
        self.env = ControllerEnv(runtime, self.events, Streams(SEED, SOURCE))
        self.operations = Operations(runtime, self.regions, self.events)
        self.faults = FaultLeases(runtime, self.events, self.env.streams["faults"], self.env.background)
        self.telling = Telling(
            self.feed, Annotations(self.env.metrics, scenario.displays), scenario.displays, runtime.clock
        )
        self._lag = LoopLag(runtime.clock, self.env.metrics)
        self.other_run = OtherRun(runtime, self.env.background, self.faults.take_over)
        self.monitor = Monitor(
            runtime,
            self.regions,
            self.env.metrics,
            self.env.background,
            paused=lambda: self.run_is_on,
            tell=self._tick,
            report=self._noticed,
        )
        self.resetting = False
        self._restart = restart or restart_everything
        self.remediation: RemediationWorkflow | None = None
        self.run: ScenarioRun | None = None
        self.apart: RunApart | None = None
        self.load_profile = load_profile
        self.switches = Switches(runtime, self.events, self.base_overlay, scenario.size)
        self.locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        """Locks by resource, for read-modify-write operations."""
        self._job_metrics = JobMetrics(self.env.metrics, self.regions, self._inventory_age_s)
        self._actions = self.env.metrics.counter(
            "controller_actions_total", "Operator actions performed, for annotations.", ("action",)
        )
        self._export()

    def _export(self) -> None:
        export_run(
            self.env.metrics,
            lambda: self.run.moment if self.run and self.run_is_on else None,
            lambda: OTHER_RUN if self.other_run.owner else NO_RUN,
        )
        export_faults(self.env.metrics, lambda: self.faults.counts().items())

    def _tick(self, moment: Glance) -> None:
        """Publishes a tick of the idle testbed, unless a run has started meanwhile."""
        if not self.run_is_on:
            self.telling.tick({**moment.document(), "run": "", "clock": "", "phase": ""})

    @property
    def active_run(self) -> ScenarioRun | None:
        return self.run if self.run is not None and self.run.active else None

    @property
    def latest_run(self) -> ScenarioRun | RunApart | None:
        """The run in progress or the last one, on the testbed or separate."""
        return self.apart or self.run

    @property
    def job(self) -> RemediationWorkflow | None:
        """The policy job: the scenario's during a run that has one, otherwise the one started through the API."""
        run = self.active_run
        return run.remediation if run is not None and run.remediation is not None else self.remediation

    @property
    def mitigations(self) -> set[str]:
        return self.switches.on

    @property
    def regions(self) -> Sequence[str]:
        return [region.name for region in self.scenario.regions]

    @property
    def run_is_on(self) -> bool:
        return self.active_run is not None

    def acted(self, action: str, **details: Any) -> None:
        """Records an operator action on the event stream and in a counter."""
        self._actions.labels(action).inc()
        self.events.emit("action", action=action, parameters=details)

    def _noticed(self, kind: str, fields: dict[str, object]) -> None:
        """Emits what the monitor detected, unless a run is in progress: regions are meant to collapse in it."""
        if not self.run_is_on and not self.other_run.owner:
            self.events.emit(kind, **fields)

    async def open(self) -> None:
        self._lag.start()
        self.monitor.start()
        self.other_run.start()
        await self.env.background.complete(self._take_over, "take-over from an earlier controller", STORE_ERRORS)

    async def _take_over(self) -> None:
        await self.faults.adopt()
        await self.switches.take_over()

    async def close(self) -> None:
        await finish_all(
            self._lag.stop,
            *(run.abort for run in (self.run, self.apart) if run is not None),
            *([self.remediation.close] if self.remediation is not None else []),
            self.monitor.close,
            self.other_run.close,
            self.faults.close,
            self.env.background.stop,
        )

    async def start_remediation(
        self, settings: RemediationSettings, regions: Sequence[str] | None = None
    ) -> RemediationWorkflow:
        """Starts the policy job on the testbed, in all regions unless `regions` is given.

        Raises:
            Busy: a policy job or a reset is running.
        """
        async with self.locks["remediation"]:
            self.require_idle()
            if self.remediation is not None:
                if self.remediation.under_way:
                    raise Busy("a remediation is running; cancel it first")
                await self.remediation.close()
                self.require_idle()
            return self._start_remediation(settings, regions)

    def _start_remediation(self, settings: RemediationSettings, regions: Sequence[str] | None) -> RemediationWorkflow:
        origin_epoch_s = self.runtime.clock.epoch()
        self.remediation = RemediationWorkflow(
            self.env,
            settings,
            regions=[one for one in self.scenario.rollout_regions() if regions is None or one.name in regions],
            signals=TestbedSignals(self.monitor, lambda: self.active_run, origin_epoch_s),
            origin_epoch_s=origin_epoch_s,
            metrics=self._job_metrics,
        )
        self.remediation.start()
        return self.remediation

    def _inventory_age_s(self) -> float | None:
        return self.remediation.inventory_age_s() if self.remediation is not None else None

    async def reset(self) -> dict[str, Any]:
        """Resets the testbed from any state: ends run, policy job, faults and mitigations, and restarts every process.

        Raises:
            Busy: another reset is running.
        """
        self.require_idle()
        start, self.resetting = self.runtime.clock.now(), True
        try:
            faults = await self.faults.reset()
            await self._end_policy_job()
            settled = await self._end_run()
            if not settled:
                await self.settle()
        finally:
            self.resetting = False
        return {"faults_ended": faults.ended, "took_s": round(self.runtime.clock.now() - start, 1)}

    def require_idle(self) -> None:
        """Checks that no reset is running.

        Raises:
            Busy: a reset is running.
        """
        if self.resetting:
            raise Busy("a reset is in progress; wait for it")

    async def require_own_settings(self) -> None:
        """Checks that the settings of the testbed are this controller's to change.

        Raises:
            Busy: a reset or a run of another process is in progress.
        """
        self.require_idle()
        await self.other_run.require_none()

    def base_overlay(self) -> Tree:
        """The overlay without mitigations: the settings of the run in progress, otherwise the load profile."""
        run = self.active_run
        return run.plan.topology.settings(run.plan.settings) if run is not None else self._load_overlay()

    def _load_overlay(self) -> Tree:
        return {"loadgen": {"profile": self.load_profile}}

    def plan(self) -> Plan:
        """The plan of the idle testbed: the scenario's topology and load, with the load profile."""
        return make_plan(self.scenario, SEED, overlays=[self._load_overlay()])

    async def set_load_profile(self, profile: Profile) -> None:
        """Sets the load profile of the idle testbed.

        Raises:
            Busy: a run, which has its own load, or a reset is in progress.
        """
        await self.require_own_settings()
        if self.run_is_on:
            raise Busy("a run is in progress and has the load of its scenario; wait for it or abort it")
        self.load_profile = profile
        await self.operations.overlay(self._load_overlay())

    async def settle(self) -> None:
        """Restarts every process from an empty store, and starts the load."""
        self.switches.on.clear()
        self.monitor.forget()
        await self._restart(self.runtime, self.plan())
        await self.faults.forget()
        await self.operations.overlay(self._load_overlay())
        await self.operations.ensure_load()

    async def _end_run(self) -> bool:
        """Aborts the run; returns whether a run on the testbed was aborted, which includes a reset."""
        apart, self.apart = self.apart, None
        if apart is not None:
            await apart.abort()
        run, self.run = self.run, None
        if run is None or not run.active:
            return False
        await run.abort()
        return run.state == "aborted"

    async def _end_policy_job(self) -> None:
        job, self.remediation = self.remediation, None
        if job is not None:
            await job.close()
