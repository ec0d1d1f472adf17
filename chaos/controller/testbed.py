"""The testbed as the controller holds it: runtime, operations, faults, policy job, and the scenario under way."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from chaos.controller.annotations import Annotations, export_faults, export_run
from chaos.controller.feed import Feed
from chaos.controller.rolling import RollingSignals
from chaos.controller.scenario_run import ScenarioRun
from chaos.experiment import ControllerEnv
from chaos.faults.leases import FaultLeases
from chaos.operations import Operations, write_overlay
from chaos.remediation.metrics import JobMetrics
from chaos.remediation.settings import RemediationSettings
from chaos.remediation.workflow import RemediationWorkflow
from chaos.scenarios.model import Scenario
from compose.runtime import Runtime
from services.chassis.events import Events
from services.chassis.streams import Streams

SOURCE = "controller"
OPEN = {"mode": "open"}


class Testbed:
    """One running testbed. `make_run` builds the runtime of a scenario run; it is None where runs are not possible."""

    __test__ = False  # a name that pytest would take for a test class

    def __init__(
        self, runtime: Runtime, scenario: Scenario, runs: Path, make_runtime: Callable[[], Runtime] | None = None
    ) -> None:
        self.runtime = runtime
        self.scenario = scenario
        self.runs = runs
        self.make_runtime = make_runtime
        self.feed = Feed(runtime.clock)
        self.events = Events(self._publish, runtime.clock, SOURCE)
        self.env = ControllerEnv(runtime, self.events, Streams(1, SOURCE))
        self.operations = Operations(runtime, self.regions, self.events)
        self.faults = FaultLeases(runtime, self.events)
        self.signals = RollingSignals(runtime)
        self.annotations = Annotations(self.env.metrics)
        self.settle: Callable[[], Awaitable[None]] | None = None
        self.remediation: RemediationWorkflow | None = None
        self.run: ScenarioRun | None = None
        self.mitigations: set[str] = set()
        self._job_metrics = JobMetrics(self.env.metrics, self.regions, self._inventory_age_s)
        self._actions = self.env.metrics.counter(
            "controller_actions_total", "Operator actions performed, for annotations.", ("action",)
        )

        export_run(self.env.metrics, lambda: self.run.moment if self.run and self.run.active else None)
        export_faults(self.env.metrics, lambda: self.faults.counts().items())

    def _publish(self, event: dict[str, Any]) -> None:
        self.annotations.take(event)
        self.feed.publish(event)

    @property
    def regions(self) -> Sequence[str]:
        return [region.name for region in self.scenario.regions]

    def acted(self, action: str, **details: Any) -> None:
        """Records an operator's action: on the event stream, and as a counter that Grafana annotates."""
        self._actions.labels(action).inc()
        self.events.emit("action", action=action, parameters=details)

    async def open(self) -> None:
        await self.faults.adopt()

    async def close(self) -> None:
        if self.run is not None:
            await self.run.abort()
        if self.remediation is not None:
            await self.remediation.close()
        await self.signals.close()
        await self.faults.close()

    async def start_remediation(
        self, settings: RemediationSettings, regions: Sequence[str] | None = None
    ) -> RemediationWorkflow:
        """Starts the policy job on the testbed as it stands, in all regions unless `regions` names some."""
        if self.remediation is not None:
            await self.remediation.close()
        self.signals.start()
        self.remediation = RemediationWorkflow(
            self.env,
            settings,
            regions=[one for one in self.scenario.rollout_regions() if regions is None or one.name in regions],
            signals=self.signals,
            origin_epoch_s=self.signals.origin_epoch_s,
            metrics=self._job_metrics,
        )
        self.remediation.start()
        return self.remediation

    def _inventory_age_s(self) -> float | None:
        return self.remediation.inventory_age_s() if self.remediation is not None else None

    async def reset(self) -> dict[str, Any]:
        """Back to calm from any state: no run, policy job, fault or mitigation; accounts public, traffic open."""
        if self.run is not None:
            await self.run.abort()
            self.run = None
        if self.remediation is not None:
            await self.remediation.cancel()
            self.remediation = None
        faults = await self.faults.reset()
        self.mitigations.clear()
        await write_overlay(self.runtime, {}, self.events)
        restored = await self.operations.restore_accounts(self.regions, ["*"], spacing_s=0.0, actor="reset")
        for region in self.regions:
            await self.operations.set_traffic(region, OPEN)
            await self.operations.set_load(region, 1.0)
        return {"faults_ended": faults, "accounts_restored": len(restored.accounts)}
