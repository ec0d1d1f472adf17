"""The policy job as a whole: runs on a fixed beat, is cancelled at any time, and reports itself as Azure Policy does.

Cancelling lets changes already on the wire come back before it returns, because a storage account may still apply a
request whose caller has left; so after `cancel()` no account flips any more.
"""

import asyncio
from collections.abc import Sequence
from typing import Any, Literal

from chaos.remediation.accounts import StorageAccounts
from chaos.remediation.gate import Signals
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
        SettingsError: when `order` names a region that does not exist.
    """
    names = [region.name for region in regions]
    unknown = [name for name in order if name not in names]
    if unknown:
        raise SettingsError(f"remediation.order: unknown region {unknown[0]!r}; known: {', '.join(names)}")
    rank = {name: number for number, name in enumerate(dict.fromkeys((*order, *names)))}
    return tuple(sorted(regions, key=lambda region: (not region.canary, rank[region.name])))


class RemediationWorkflow:
    """A remediation of one policy assignment. `origin_epoch_s` is the calendar at τ = 0.

    Settings are read at the beginning of each run; assigning `settings` changes the next one.
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
        """`metrics` is for whoever starts several jobs in one process: a name can be registered only once."""
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
        """Whether it changes accounts, or is about to; a job that waits for its next beat is not."""
        return self._state in UNDER_WAY

    def start(self) -> None:
        """Begins the first run now and further ones every `period_s`; a job that has ended starts afresh.

        Raises:
            RuntimeError: when it is under way.
        """
        if self._task is not None and not self._task.done():
            raise RuntimeError("the remediation is under way")
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
        """Stops the job for good: no change is made after this returns. A job that has ended is left as it is."""
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
        """Ends the job together with the testbed it runs in; nobody cancelled it, so nothing is recorded."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def status(self) -> dict[str, Any]:
        """The properties of the remediation as Microsoft.PolicyInsights names them; counts are of the latest run."""
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
        """A job that raises has failed, and says why: left as it was it could neither be cancelled nor replaced."""
        try:
            await self._beat(job)
        except Exception as error:
            self._become("Failed", f"{type(error).__name__}: {error}")
            self._env.events.emit("remediation_failed", run=self._run.id if self._run else "", reason=self._reason)

    async def _beat(self, job: RemediationJob) -> None:
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
            # A run that outlasts its period skips beats; two runs never overlap.
            period = int((clock.now() - started_s) // settings.period_s) + 1
            await stopper.sleep(started_s + period * settings.period_s - clock.now())

    def _become(self, state: WorkflowState, reason: str = "") -> None:
        self._state, self._reason = state, reason
        self._updated_epoch_s = self._env.clock.epoch()

    def inventory_age_s(self) -> float | None:
        """Age of the oldest word in the latest run's snapshot; None before there is one."""
        return self._run.snapshot.age_s if self._run and self._run.snapshot else None
