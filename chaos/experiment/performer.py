"""Performs timeline entries: one method per kind of action."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

from chaos.experiment.desk import REFUSALS, RunDesk
from chaos.experiment.operations import OperationFailed, Operations
from chaos.experiment.plan import Plan
from chaos.experiment.signals import Dashboard
from chaos.experiment.switching import Switchboard
from chaos.faults.desk import ACTION, OwnAction
from chaos.faults.leases import FaultLeases
from chaos.faults.outcomes import UnknownFault
from chaos.mitigations import left_out
from chaos.remediation.gate_model import Signals
from chaos.remediation.metrics import JobMetrics
from chaos.remediation.rollout import RemediationEnv
from chaos.remediation.settings import SECTION, RemediationSettings
from chaos.remediation.workflow import RemediationWorkflow
from chaos.scenarios.actions import (
    Action,
    AuditAccounts,
    CancelRemediation,
    DisableAccounts,
    Drain,
    EndFault,
    InjectFault,
    Mitigate,
    Note,
    Open,
    Own,
    Ramp,
    RestoreAccounts,
    ScaleIdentity,
    SetLoad,
    StartRemediation,
)
from chaos.scenarios.model import Entry
from services.chassis.settings import SettingsError, resolve
from services.parts.loading import build


class Performer:
    """Performs timeline entries through `Operations`, `FaultLeases` and the policy job."""

    def __init__(
        self,
        env: RemediationEnv,
        operations: Operations,
        faults: FaultLeases,
        plan: Plan,
        signals: Signals,
        dashboard: Dashboard,
        zero_epoch_s: float,
    ) -> None:
        self._env = env
        self._faults = faults
        self._began: dict[str, asyncio.Future[str]] = {}
        self._shared: dict[str, Any] = {}
        self._load_of: dict[str, str] = {}
        """The entry whose load factor a region has."""
        self._operations = operations
        self._plan = plan
        self._signals = signals
        self._dashboard = dashboard
        self._zero_epoch_s = zero_epoch_s
        self._switchboard = Switchboard(plan)
        self.remediation: RemediationWorkflow | None = None
        self._job_metrics = JobMetrics(env.metrics, plan.topology.names, self._inventory_age_s)
        self._methods: dict[type[Action], Callable[[str, Any], Awaitable[None]]] = {
            StartRemediation: self._start_remediation,
            CancelRemediation: self._cancel_remediation,
            RestoreAccounts: self._restore_accounts,
            DisableAccounts: self._disable_accounts,
            AuditAccounts: self._audit_accounts,
            ScaleIdentity: self._scale_identity,
            Drain: self._drain,
            Ramp: self._ramp,
            Open: self._open,
            SetLoad: self._set_load,
            InjectFault: self._inject_fault,
            EndFault: self._end_fault,
            Mitigate: self._mitigate,
            Own: self._own,
            Note: self._note,
        }

    async def perform(self, entry: Entry) -> None:
        """Performs one entry. A refused operation is recorded as `action_failed`, and the run continues."""
        try:
            await self._methods[type(entry.action)](entry.id, entry.action)
        except OperationFailed as error:
            self._env.events.emit("action_failed", id=entry.id, error=str(error))

    async def close(self) -> None:
        """Ends the policy job and the active faults of this run."""
        try:
            await self._close_remediation()
        finally:
            await self._faults.end_own("end of the run")

    async def _close_remediation(self) -> None:
        if self.remediation is not None:
            await self.remediation.close()

    async def _start_remediation(self, _id: str, _action: StartRemediation) -> None:
        await self._close_remediation()
        self.remediation = RemediationWorkflow(
            self._env,
            self._remediation_settings(),
            regions=self._plan.scenario.rollout_regions(),
            signals=self._signals,
            origin_epoch_s=self._zero_epoch_s,
            metrics=self._job_metrics,
        )
        self.remediation.start()

    def _inventory_age_s(self) -> float | None:
        return self.remediation.inventory_age_s() if self.remediation is not None else None

    def _remediation_settings(self) -> RemediationSettings:
        return resolve(RemediationSettings, self._switchboard.tree(), SECTION, "")

    async def _cancel_remediation(self, _id: str, _action: CancelRemediation) -> None:
        if self.remediation is None:
            raise OperationFailed("no remediation is running")
        await self.remediation.cancel()

    async def _restore_accounts(self, id_: str, action: RestoreAccounts) -> None:
        await self._operations.restore_accounts(action.regions, action.accounts, spacing_s=action.spacing_s, actor=id_)

    async def _disable_accounts(self, id_: str, action: DisableAccounts) -> None:
        await self._operations.disable_accounts(action.regions, action.accounts, actor=id_)

    async def _audit_accounts(self, id_: str, _action: AuditAccounts) -> None:
        audit = await self._operations.audit_accounts()
        self._env.events.emit(
            "audit",
            id=id_,
            accounts=audit.accounts,
            public_exempt=audit.public_exempt,
            private_exempt=audit.private_exempt,
            **({"unreachable": list(audit.unreachable)} if audit.unreachable else {}),
        )

    async def _scale_identity(self, id_: str, action: ScaleIdentity) -> None:
        for region, count in action.nodes.items():
            added = await self._operations.scale_identity(region, count)
            names = [spec.name for spec in added]
            self._env.events.emit("identity_scaled", id=id_, region=region, count=count, nodes=names)

    async def _drain(self, _id: str, action: Drain) -> None:
        for region in action.regions:
            await self._operations.set_traffic(region, {"mode": "drain"})

    async def _ramp(self, _id: str, action: Ramp) -> None:
        rule = action.model_dump(include={"from_fraction", "to_fraction", "over_s", "hold_s"})
        for region in action.regions:
            await self._operations.set_traffic(region, {"mode": "ramp", **rule})

    async def _open(self, _id: str, action: Open) -> None:
        for region in action.regions:
            await self._operations.set_traffic(region, {"mode": "open"})

    async def _set_load(self, id_: str, action: SetLoad) -> None:
        self._load_of[action.region] = id_
        await self._operations.set_load(action.region, action.factor)
        if action.for_s is not None:
            await asyncio.sleep(action.for_s)
            if self._load_of[action.region] == id_:  # a later entry has its own end
                await self._operations.set_load(action.region, 1.0)

    async def _inject_fault(self, id_: str, action: InjectFault) -> None:
        began: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._began[id_] = began
        started_id = ""
        try:
            started_id = (await self._faults.start(action.spec, actor=id_)).id
        except REFUSALS as error:
            raise OperationFailed(str(error.args[0])) from error
        finally:
            began.set_result(started_id)

    async def _end_fault(self, _id: str, action: EndFault) -> None:
        """Ends a fault. A fault whose lease has just expired has already ended, which is not an error."""
        fault_id = await self._began[action.fault]
        if not fault_id:
            raise OperationFailed(f"fault {action.fault!r} was not started")
        try:
            with contextlib.suppress(UnknownFault):
                await self._faults.stop(fault_id)
        except REFUSALS as error:
            raise OperationFailed(str(error.args[0])) from error

    async def _mitigate(self, id_: str, action: Mitigate) -> None:
        """Services apply the new settings at once, the policy job at its next run."""
        try:
            overlay = self._switchboard.switch(action.on, action.off)
        except SettingsError as error:
            raise OperationFailed(str(error)) from error
        await self._operations.overlay(overlay)
        if self.remediation is not None:
            self.remediation.settings = self._remediation_settings()
        self._env.events.emit("mitigated", id=id_, on=list(self._switchboard.on), left_out=left_out(action.on))

    async def _own(self, id_: str, action: Own) -> None:
        part: OwnAction = build(ACTION, action.part, action.options)
        regions, rng = self._plan.topology.names, self._env.streams[f"own.{id_}"]
        desk = RunDesk(self._operations, self._faults, self._dashboard, self._shared, regions, rng, id_)
        try:
            await part.perform(desk)
        except OperationFailed:
            raise
        except Exception as error:  # the part's own code may raise anything
            raise OperationFailed(f"{action.part}: {type(error).__name__}: {error}") from error

    async def _note(self, _id: str, _action: Note) -> None:
        """No effect on the testbed."""
