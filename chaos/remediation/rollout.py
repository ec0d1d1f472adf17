"""One run of the policy job: snapshot, validation, then the regions one after the other with the gate between them.

A region without changes needs no bake time: the gate is evaluated only for changes of this run.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from chaos.remediation.accounts import PeerUrls, StorageAccounts
from chaos.remediation.gate import Gate
from chaos.remediation.gate_model import HOLD, STOP, Decision, RolloutWave, Signals
from chaos.remediation.inventory import Inventory, InventoryAccount, Snapshot, contradiction, targets
from chaos.remediation.metrics import CHANGED, SKIPPED, WRONG, JobMetrics
from chaos.remediation.settings import RemediationSettings
from services.chassis.background import Background
from services.chassis.clock import Clock
from services.chassis.events import Events
from services.chassis.http import HttpClient
from services.chassis.metrics import Metrics
from services.chassis.streams import Streams

RolloutResult = Literal["complete", "stopped", "canceled"]


class RemediationEnv(Protocol):
    """The part of `Env` that the job needs."""

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
    @property
    def background(self) -> Background: ...


@dataclass(frozen=True, slots=True)
class RolloutRegion:
    """A region of the rollout: the short name used as metric label, and the display name."""

    name: str
    display: str
    canary: bool = False


class Stopper:
    """The cancellation flag of the job; setting it ends its waits."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def __bool__(self) -> bool:
        return self._event.is_set()

    def set(self) -> None:
        self._event.set()

    async def sleep(self, delay_s: float) -> None:
        """Waits for `delay_s` seconds, or until the cancellation."""
        try:
            async with asyncio.timeout(max(0.0, delay_s)):
                await self._event.wait()
        except TimeoutError:
            return


@dataclass(frozen=True, slots=True)
class RemediationJob:
    """Shared by all runs of one job. `origin_epoch_s` is the Unix time of τ = 0."""

    env: RemediationEnv
    regions: tuple[RolloutRegion, ...]
    accounts: StorageAccounts
    inventory: Inventory
    signals: Signals
    metrics: JobMetrics
    stopper: Stopper
    origin_epoch_s: float

    def t(self) -> float:
        return self.env.clock.epoch() - self.origin_epoch_s


@dataclass(frozen=True, slots=True)
class RolloutOutcome:
    """Result of a run. After one that `halts`, the job does not run again until an operator restarts it."""

    result: RolloutResult
    reason: str = ""
    halts: bool = False


class Rollout:
    """One run. `id` is the correlation id of every change it makes."""

    def __init__(self, job: RemediationJob, settings: RemediationSettings, period: int) -> None:
        self._job = job
        self._settings = settings
        self._period = period
        self._gate = Gate(settings.gate)
        self.id = job.env.streams.uuid("remediation.run")
        self.total = self.successful = self.failed = 0
        self.snapshot: Snapshot | None = None

    async def execute(self) -> RolloutOutcome:
        """Executes the run, with start and end events."""
        emit = self._job.env.events.emit
        emit("remediation_started", run=self.id, period=self._period, defect=self._settings.inventory.defect)
        outcome = await self._execute()
        emit("remediation_finished", run=self.id, result=outcome.result, reason=outcome.reason)
        return outcome

    async def _execute(self) -> RolloutOutcome:
        accounts, silent = await self._job.accounts.list_all(region.name for region in self._job.regions)
        snapshot = self._take_snapshot(accounts)
        refusal = self._refusal(snapshot, accounts, silent)
        if refusal:
            return RolloutOutcome("stopped", f"refused: {refusal}")
        for region in self._job.regions:
            if self._job.stopper:
                break
            decision = await self._visit(region, snapshot)
            if decision is not None and decision.verdict == STOP:
                return RolloutOutcome("stopped", decision.reason, halts=True)
        return RolloutOutcome("canceled" if self._job.stopper else "complete")

    def _take_snapshot(self, accounts: Sequence[InventoryAccount]) -> Snapshot:
        job = self._job
        job.inventory.learn(accounts)
        snapshot = self.snapshot = job.inventory.snapshot(self._settings.inventory, job.env.clock.epoch())
        job.env.events.emit(
            "remediation_snapshot",
            run=self.id,
            records=len(snapshot.records),
            exemptions_missing=snapshot.exemptions_missing,
            age_s=round(snapshot.age_s, 6),
        )
        return snapshot

    def _refusal(self, snapshot: Snapshot, accounts: Sequence[InventoryAccount], silent: Sequence[str]) -> str:
        if not self._settings.inventory.validate_targets:
            return ""
        if silent:
            return f"the accounts of {silent[0]} could not be listed"
        return contradiction(snapshot, accounts)

    async def _visit(self, region: RolloutRegion, snapshot: Snapshot) -> Decision | None:
        """Changes one region and waits for the gate; None without changes."""
        job = self._job
        accounts = await job.accounts.list(region.name) or ()
        chosen = targets(snapshot, accounts)[: max(0, self._settings.resource_count - self.total)]
        skipped = sum(account.public and snapshot.exempt(account.name) for account in accounts)
        job.metrics.account(region.name, SKIPPED, skipped)
        job.env.events.emit(
            "remediation_wave_started", run=self.id, region=region.name, targets=[account.name for account in chosen]
        )
        started_t = job.t()
        failed_before, successful_before = self.failed, self.successful
        await self._change_all(chosen)
        if not chosen or job.stopper:
            return None
        wave = RolloutWave(
            region.name, region.display, started_t, self.successful - successful_before, self.failed - failed_before
        )
        return await self._pass_gate(wave)

    async def _change_all(self, chosen: Sequence[InventoryAccount]) -> None:
        waiting = deque(chosen)

        async def worker() -> None:
            while waiting and not self._job.stopper:
                await self._change(waiting.popleft())

        await asyncio.gather(*(worker() for _ in range(min(self._settings.parallel, len(chosen)))))

    async def _change(self, account: InventoryAccount) -> None:
        self.total += 1
        reply = await self._job.accounts.set_public(account, False, actor=self.id)
        if reply.ok:
            self.successful += 1
            self._job.metrics.account(account.region, WRONG if account.exempt else CHANGED)
        else:
            self.failed += 1

    async def _pass_gate(self, wave: RolloutWave) -> Decision | None:
        """Polls the gate until it no longer holds; None if the job was cancelled meanwhile."""
        gate = self._settings.gate
        await self._job.stopper.sleep(gate.settle_s)
        said: tuple[str, str] | None = None
        while not self._job.stopper:
            decision = self._gate.decide(self._job.signals, wave, self._job.t())
            self._job.metrics.decision(decision.verdict, self._gate.counted_as(decision))
            if (decision.verdict, decision.reason) != said:
                said = decision.verdict, decision.reason
                self._record(wave, decision)
            if decision.verdict != HOLD:
                return decision
            await self._job.stopper.sleep(gate.poll_s)
        return None

    def _record(self, wave: RolloutWave, decision: Decision) -> None:
        ratio = None if decision.ratio is None else round(decision.ratio, 6)
        self._job.env.events.emit(
            "gate_decision",
            run=self.id,
            region=wave.region,
            decision=decision.verdict,
            reason=decision.reason,
            variant=self._settings.gate.part or self._settings.gate.variant,
            observed={"failure_ratio": ratio, "samples": decision.samples},
            watched_s=round(self._job.t() - wave.started_t, 6),
            bake_s=self._settings.gate.bake_s,
        )
