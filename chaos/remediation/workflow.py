"""The policy job: on a fixed beat it takes an inventory snapshot and changes its targets region by region.

Cancelling lets changes already on the wire come back before it returns, because a storage account may still apply a
request whose caller has left; so after `cancel()` no account flips any more.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from chaos.remediation.accounts import PeerUrls, StorageAccounts
from chaos.remediation.gate import PROCEED, STOP, Signals, Wave, decide
from chaos.remediation.inventory import Account, Inventory, Snapshot, contradiction, targets
from chaos.remediation.settings import RemediationSettings
from services.chassis.client import HttpClient
from services.chassis.clock import Clock, iso
from services.chassis.events import Events
from services.chassis.metrics import Metrics
from services.chassis.settings import SettingsError
from services.chassis.streams import Streams

State = Literal["Accepted", "Evaluating", "Cancelling", "Canceled", "Failed", "Complete"]
Result = Literal["complete", "stopped", "canceled"]
OUTCOMES = ("changed", "skipped_exempt", "wrongly_targeted")


class RemediationEnv(Protocol):
    """What the job needs of an `Env`."""

    @property
    def http(self) -> HttpClient: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def events(self) -> Events: ...
    @property
    def metrics(self) -> Metrics: ...
    @property
    def streams(self) -> Streams: ...
    @property
    def peers(self) -> PeerUrls: ...


@dataclass(frozen=True, slots=True)
class RolloutRegion:
    """A region as the job sees it: the short name on every series, and the name people read."""

    name: str
    display: str
    canary: bool = False


@dataclass
class _Run:
    """One beat of the job. `id` is on every change it makes."""

    id: str
    period: int
    started_epoch_s: float
    total: int = 0
    successful: int = 0
    failed: int = 0


def wave_order(regions: Sequence[RolloutRegion], order: Sequence[str]) -> tuple[RolloutRegion, ...]:
    """Canaries first, then `order`, then the rest as listed.

    Raises:
        SettingsError: when `order` names a region that does not exist.
    """
    names = [region.name for region in regions]
    unknown = [name for name in order if name not in names]
    if unknown:
        raise SettingsError(f"remediation.order: unknown region {unknown[0]!r}; known: {', '.join(names)}")
    rank = {name: number for number, name in enumerate((*order, *(n for n in names if n not in order)))}
    return tuple(sorted(regions, key=lambda region: (not region.canary, rank[region.name])))


class RemediationWorkflow:
    """A remediation of one policy assignment. `origin_epoch_s` is the calendar at τ = 0."""

    def __init__(
        self,
        env: RemediationEnv,
        settings: RemediationSettings,
        *,
        regions: Sequence[RolloutRegion],
        signals: Signals,
        origin_epoch_s: float,
    ) -> None:
        self._env = env
        self.settings = settings
        self._signals = signals
        self._origin_epoch_s = origin_epoch_s
        self._waves = wave_order(regions, settings.order)
        self._accounts = StorageAccounts(env.http, env.peers, timeout_s=settings.timeout_s)
        self._metrics = _JobMetrics(env.metrics, [region.name for region in self._waves], self._age_s)
        self._canceling = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._state: State = "Accepted"
        self._run: _Run | None = None
        self._snapshot: Snapshot | None = None
        self._created_epoch_s = self._updated_epoch_s = env.clock.epoch()

    def __repr__(self) -> str:
        run = f"run {self._run.period}" if self._run else "not started"
        return f"<RemediationWorkflow {self._state}, {run}, gate {self.settings.gate.variant}>"

    def start(self) -> None:
        """Begins the first run now and further ones every `period_s`.

        Raises:
            RuntimeError: when it was started before; a remediation is started once and cancelled once.
        """
        if self._task is not None:
            raise RuntimeError("this remediation was started before")
        self._task = asyncio.create_task(self._beat(), name="remediation")

    async def cancel(self) -> None:
        """Stops the job for good: no change is made after this returns. A job that has ended is left as it is."""
        if self._task is None or self._task.done():
            return
        self._become("Cancelling")
        self._canceling.set()
        await self._task
        self._become("Canceled")
        self._env.events.emit("remediation_canceled", run=self._run.id if self._run else "")

    async def close(self) -> None:
        """Ends the job with the testbed it runs in; no operator did it, so nothing is recorded."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def status(self) -> dict[str, Any]:
        """The properties of the remediation, as Microsoft.PolicyInsights names them. Counts are of the latest run."""
        run = self._run
        return {
            "provisioningState": self._state,
            "policyAssignmentId": f"/providers/Microsoft.Authorization/policyAssignments/{self.settings.policy}",
            "resourceDiscoveryMode": "ExistingNonCompliant",
            "resourceCount": self.settings.resource_count,
            "parallelDeployments": self.settings.parallel,
            "failureThreshold": {"percentage": self.settings.gate.failure_threshold_ratio},
            "deploymentStatus": {
                "totalDeployments": run.total if run else 0,
                "successfulDeployments": run.successful if run else 0,
                "failedDeployments": run.failed if run else 0,
            },
            "correlationId": run.id if run else "",
            "createdOn": iso(self._created_epoch_s),
            "lastUpdatedOn": iso(self._updated_epoch_s),
        }

    def _become(self, state: State) -> None:
        self._state = state
        self._updated_epoch_s = self._env.clock.epoch()

    def _t(self) -> float:
        return self._env.clock.epoch() - self._origin_epoch_s

    def _age_s(self) -> float | None:
        return self._snapshot.age_s if self._snapshot else None

    async def _sleep(self, delay_s: float) -> None:
        """Waits, but not beyond a cancellation."""
        try:
            async with asyncio.timeout(delay_s):
                await self._canceling.wait()
        except TimeoutError:
            pass

    async def _beat(self) -> None:
        clock = self._env.clock
        started_s = clock.now()
        inventory = Inventory(started_at_s=clock.epoch())
        period = 0
        while not self._canceling.is_set():
            result = await self._run_once(period, inventory)
            if result == "stopped":
                self._become("Failed")
                return
            # A run that outlasts its period skips beats; two runs never overlap.
            period = int((clock.now() - started_s) // self.settings.period_s) + 1
            await self._sleep(started_s + period * self.settings.period_s - clock.now())

    async def _run_once(self, period: int, inventory: Inventory) -> Result:
        env, settings = self._env, self.settings
        run = self._run = _Run(env.streams.uuid("remediation.run"), period, env.clock.epoch())
        self._become("Evaluating")
        env.events.emit("remediation_started", run=run.id, period=period, defect=settings.inventory.defect)
        accounts, silent = await self._accounts.list_all(region.name for region in self._waves)
        inventory.learn(accounts)
        snapshot = self._snapshot = inventory.snapshot(settings.inventory, env.clock.epoch())
        env.events.emit(
            "remediation_snapshot",
            run=run.id,
            records=len(snapshot.records),
            exemptions_missing=snapshot.exemptions_missing,
            age_s=round(snapshot.age_s, 6),
        )
        refusal = self._refusal(snapshot, accounts, silent)
        result, reason = ("refused", refusal) if refusal else await self._roll_out(run, snapshot)
        return self._finish(run, result, reason)

    def _refusal(self, snapshot: Snapshot, accounts: Sequence[Account], silent: Sequence[str]) -> str:
        if not self.settings.inventory.validate_targets:
            return ""
        if silent:
            return f"the accounts of {silent[0]} could not be listed"
        return contradiction(snapshot, accounts)

    def _finish(self, run: _Run, result: str, reason: str) -> Result:
        """Records the end of a run. A refused one reads `stopped`, but the next beat tries again: it changed nothing."""
        recorded = "stopped" if result == "refused" else result
        self._env.events.emit("remediation_finished", run=run.id, result=recorded, reason=reason)
        self._become("Complete" if result == "complete" else self._state)
        return "complete" if result == "refused" else result  # type: ignore[return-value]
