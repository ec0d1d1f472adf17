"""The desk of a user's action, on a running testbed."""

import asyncio
import contextlib
from collections.abc import Mapping, MutableMapping, Sequence
from random import Random
from typing import Any

from chaos.experiment.operations import OperationFailed, Operations
from chaos.experiment.signals import Dashboard, UnreadSignal
from chaos.faults.leases import FaultLeases
from chaos.faults.model import FaultSpec, FaultTarget
from chaos.faults.outcomes import StoreSilent, UnknownFault
from chaos.faults.targets import UnknownTarget
from compose.runtime import RuntimeUnavailable, UnknownInstance
from services.chassis.settings import SettingsError

REFUSALS = (SettingsError, UnknownTarget, UnknownInstance, RuntimeUnavailable, StoreSilent)
"""Errors with which the testbed may refuse a fault."""


class RunDesk:
    """`chaos.faults.desk.OperatorDesk` over the operations of a run; `actor` is recorded as the cause."""

    def __init__(
        self,
        operations: Operations,
        faults: FaultLeases,
        dashboard: Dashboard,
        shared: MutableMapping[str, Any],
        regions: Sequence[str],
        rng: Random,
        actor: str,
    ) -> None:
        self._operations = operations
        self._faults = faults
        self._dashboard = dashboard
        self.shared = shared
        self.regions = tuple(regions)
        self.rng = rng
        self._actor = actor

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)

    async def reading(self, signal: str, region: str, over_s: float) -> float | None:
        try:
            return self._dashboard.reading(signal, region, over_s)
        except UnreadSignal as error:
            raise OperationFailed(str(error)) from error

    async def set_load(self, region: str, factor: float) -> None:
        await self._operations.set_load(region, factor)

    async def scale_identity(self, region: str, count: int) -> None:
        await self._operations.scale_identity(region, count)

    async def set_traffic(self, region: str, rule: Mapping[str, Any]) -> None:
        await self._operations.set_traffic(region, rule)

    async def restore_accounts(self, regions: Sequence[str], accounts: Sequence[str]) -> None:
        await self._operations.restore_accounts(regions, accounts, spacing_s=0.0, actor=self._actor)

    async def disable_accounts(self, regions: Sequence[str], accounts: Sequence[str]) -> None:
        await self._operations.disable_accounts(regions, accounts, actor=self._actor)

    async def inject_fault(
        self, kind: str, target: Mapping[str, str], parameters: Mapping[str, Any], lease_s: float
    ) -> str:
        spec = FaultSpec(kind=kind, target=FaultTarget(**target), parameters=dict(parameters), lease_s=lease_s)
        try:
            return (await self._faults.start(spec, actor=self._actor)).id
        except REFUSALS as error:
            raise OperationFailed(str(error.args[0])) from error

    async def end_fault(self, fault: str) -> None:
        try:
            with contextlib.suppress(UnknownFault):
                await self._faults.stop(fault)
        except REFUSALS as error:
            raise OperationFailed(str(error.args[0])) from error

    async def settings(self, change: Mapping[str, Any]) -> None:
        await self._operations.overlay(dict(change))

    def __repr__(self) -> str:
        return f"<RunDesk of {self._actor}>"
