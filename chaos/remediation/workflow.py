"""The policy job: runs periodically, can be cancelled at any time, and reports its status like Azure Policy.

`cancel()` waits for changes in flight before it returns, because a storage account may still apply a request whose
caller has disconnected; so no account changes after it.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Literal

from chaos.remediation.accounts import StorageAccounts
from chaos.remediation.gate_model import Signals
from chaos.remediation.inventory import Inventory
from chaos.remediation.metrics import JobMetrics
from chaos.remediation.rollout import RemediationEnv, RemediationJob, Rollout, RolloutRegion, Stopper
from chaos.remediation.settings import RemediationSettings
from services.chassis.clock import iso
from services.chassis.settings import SettingsError

__all__ = ["RemediationEnv", "RemediationWorkflow", "RolloutRegion", "wave_order"]

WorkflowState = Literal["Accepted", "Evaluating", "Cancelling", "Canceled", "Failed", "Complete"]
UNDER_WAY: tuple[WorkflowState, ...] = ("Accepted", "Evaluating", "Cancelling")


def wave_order(regions: Sequence[RolloutRegion], order: Sequence[str]) -> tuple[RolloutRegion, ...]:
    """Canaries first, then `order`, then the rest as listed.

    Raises:
        SettingsError: `order` has an unknown region.
    """
    names = [region.name for region in regions]
    unknown = [name for name in order if name not in names]
    if unknown:
        raise SettingsError(f"remediation.order: unknown region {unknown[0]!r}; known: {', '.join(names)}")
    rank = {name: number for number, name in enumerate(dict.fromkeys((*order, *names)))}
    return tuple(sorted(regions, key=lambda region: (not region.canary, rank[region.name])))


class RemediationWorkflow:
    """A remediation of one policy assignment. `origin_epoch_s` is the Unix time of τ = 0.

    Settings are read at the start of each run; assigning `settings` takes effect in the next one.
    """

    def __init__(
        self,
        env: RemediationEnv,
        settings: RemediationSettings,
        *,
        regions: Sequence[RolloutRegion],
        signals: Signals,
        origin_epoch_s: float,
        metrics: JobMetrics | None = None,
    ) -> None:
        """Pass `metrics` to start several jobs in one process: a metric name can be registered only once."""
        self.settings = settings
        self._env = env
        self._regions = tuple(regions)
        self._signals = signals
        self._origin_epoch_s = origin_epoch_s
        names = [region.name for region in wave_order(regions, settings.order)]
        self._metrics = metrics or JobMetrics(env.metrics, names, self.inventory_age_s)
        self._stopper = Stopper()
        self._task: asyncio.Task[None] | None = None
        self._run: Rollout | None = None
        self._state: WorkflowState = "Accepted"
        self._reason = ""
        self._created_epoch_s = self._updated_epoch_s = env.clock.epoch()

    def __repr__(self) -> str:
        return f"<RemediationWorkflow {self._state}, run {self._run.id if self._run else 'none'}>"

    @property
    def under_way(self) -> bool:
        """Whether a run is in progress or starting; False while the job waits for its next run."""
        return self._state in UNDER_WAY

    def start(self) -> None:
        """Starts the first run now and further runs every `period_s`; restarts a job that has ended.

        Raises:
            RuntimeError: the job is running.
        """
        if self._task is not None and not self._task.done():
            raise RuntimeError("the remediation is running")
        self._stopper = Stopper()
        self._created_epoch_s = self._env.clock.epoch()
        self._task = self._env.background.call(self._run_to_its_end(self._new_job()), "remediation")

    def _new_job(self) -> RemediationJob:
        env = self._env
        return RemediationJob(
            env=env,
            regions=wave_order(self._regions, self.settings.order),
            accounts=StorageAccounts(env.http, env.peers, timeout_s=self.settings.timeout_s),
            inventory=Inventory(),
            signals=self._signals,
            metrics=self._metrics,
            stopper=self._stopper,
            origin_epoch_s=self._origin_epoch_s,
        )

    async def cancel(self) -> None:
        """Cancels the job: no change is made after this returns. No operation on a job that has ended."""
        if self._task is None or self._task.done():
            return
        first = not self._stopper
        self._become("Cancelling")
        self._stopper.set()
        await self._task
        self._become("Canceled")
        if first:
            self._env.events.emit("remediation_canceled", run=self._run.id if self._run else "")

    async def close(self) -> None:
        """Ends the job together with the testbed, without an event: it was not cancelled by an operator."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def status(self) -> dict[str, Any]:
        """The properties of the remediation, named as in Microsoft.PolicyInsights; counts are of the latest run."""
        run, settings = self._run, self.settings
        return {
            "policyAssignmentId": f"/providers/Microsoft.Authorization/policyAssignments/{settings.policy}",
            "resourceDiscoveryMode": "ExistingNonCompliant",
            "resourceCount": settings.resource_count,
            "parallelDeployments": settings.parallel,
            "failureThreshold": {"percentage": settings.gate.failure_threshold_ratio},
            "provisioningState": self._state,
            "statusMessage": self._reason,
            "deploymentStatus": {
                "totalDeployments": run.total if run else 0,
                "successfulDeployments": run.successful if run else 0,
                "failedDeployments": run.failed if run else 0,
            },
            "correlationId": run.id if run else "",
            "createdOn": iso(self._created_epoch_s),
            "lastUpdatedOn": iso(self._updated_epoch_s),
        }

    async def _run_to_its_end(self, job: RemediationJob) -> None:
        """Runs the job; an exception sets the state `Failed`, so that the job can be replaced."""
        try:
            await self._run_periodically(job)
        except Exception as error:
            self._become("Failed", f"{type(error).__name__}: {error}")
            self._env.events.emit("remediation_failed", run=self._run.id if self._run else "", reason=self._reason)

    async def _run_periodically(self, job: RemediationJob) -> None:
        clock, stopper = self._env.clock, job.stopper
        started_s = clock.now()
        period = 0
        while not stopper:
            settings = self.settings
            self._run = Rollout(job, settings, period)
            self._become("Evaluating")
            outcome = await self._run.execute()
            if outcome.halts:
                self._become("Failed", outcome.reason)
                return
            if outcome.result == "complete":
                self._become("Complete")
            elif outcome.result == "stopped":
                self._become("Failed", outcome.reason)
            # A run longer than its period skips periods; two runs never overlap.
            period = int((clock.now() - started_s) // settings.period_s) + 1
            await stopper.sleep(started_s + period * settings.period_s - clock.now())

    def _become(self, state: WorkflowState, reason: str = "") -> None:
        self._state, self._reason = state, reason
        self._updated_epoch_s = self._env.clock.epoch()

    def inventory_age_s(self) -> float | None:
        """Age in seconds of the oldest feed in the latest snapshot; None before the first snapshot."""
        return self._run.snapshot.age_s if self._run and self._run.snapshot else None
