"""Faults: catalogue, create (or dry run), list, end; and the reset of the testbed."""

from typing import Any

from pydantic import Field

from chaos.controller import errors
from chaos.controller.api import Call, Calls, ControllerAnswer, Flag, served
from chaos.controller.documents import Calm, FaultCatalogue, FaultEnded, FaultList, FaultPreview, FaultsEnded, FaultView
from chaos.controller.routes.accounts import require_account
from chaos.controller.testbed import Testbed
from chaos.faults.model import FaultSpec
from chaos.faults.records import ActiveFault
from chaos.faults.registry import CATALOGUE, check
from services.chassis.errors import ServiceError
from services.chassis.routes import ResponseSpec
from services.chassis.settings import Settings

ONE = "/v1/faults/{id}"


class DryRun(Settings):
    """Query of `create_fault`."""

    dry_run: Flag = Field(default=False, description="only list the instances that the fault would affect")


class FaultCalls(Calls):
    tag = "faults"

    @served("GET /v1/faults/catalogue", "The kinds of faults and their parameters", FaultCatalogue, "every kind")
    async def list_fault_kinds(self, _call: Call) -> ControllerAnswer:
        return 200, {"faults": [CATALOGUE[kind].describe() for kind in sorted(CATALOGUE)]}

    @served(
        "POST /v1/faults",
        "Start a fault, or list the instances it would affect (dry run)",
        FaultView,
        "started",
        status=201,
        also={200: ResponseSpec("dry run", FaultPreview)},
        errors=(errors.UNAVAILABLE,),
        body=FaultSpec,
        query=DryRun,
    )
    async def create_fault(self, call: Call) -> ControllerAnswer:
        spec: FaultSpec = call.body
        check(spec)
        self._testbed.require_idle()
        found = self._testbed.faults.targets(spec)
        await require_account(self._testbed, spec.target)
        if call.query.dry_run:
            return 200, {"dry_run": True, "instances": [instance.name for instance in found]}
        started = await self._testbed.faults.start(spec, found=found)
        self._testbed.acted("inject_fault", id=started.id, kind=spec.kind)
        return 201, _view(self._testbed, started)

    @served("GET /v1/faults", "Active faults, with their effects so far", FaultList, "oldest first")
    async def list_faults(self, _call: Call) -> ControllerAnswer:
        return 200, {"faults": [_view(self._testbed, fault) for fault in await self._testbed.faults.active()]}

    @served(f"GET {ONE}", "An active fault", FaultView, "the fault", errors=(errors.NOT_FOUND,))
    async def get_fault(self, call: Call) -> ControllerAnswer:
        for fault in await self._testbed.faults.active():
            if fault.id == call.path("id"):
                return 200, _view(self._testbed, fault)
        raise ServiceError(errors.NOT_FOUND, detail=f"no active fault {call.path('id')!r}")

    @served(f"DELETE {ONE}", "End a fault now", FaultEnded, "ended", errors=(errors.UNAVAILABLE,))
    async def end_fault(self, call: Call) -> ControllerAnswer:
        await self._testbed.faults.stop(call.path("id"))
        self._testbed.acted("end_fault", id=call.path("id"))
        return 200, {"id": call.path("id"), "state": "ended"}

    @served("DELETE /v1/faults", "End every fault now", FaultsEnded, "ended")
    async def end_faults(self, _call: Call) -> ControllerAnswer:
        done = await self._testbed.faults.reset()
        return 200, {"ended": done.ended, "unmet": list(done.unmet)}

    @served("POST /v1/reset", "Reset the testbed from any state", Calm, "calm")
    async def reset(self, _call: Call) -> ControllerAnswer:
        done = await self._testbed.reset()
        self._testbed.acted("reset")
        return 200, done


def _view(testbed: Testbed, fault: ActiveFault) -> dict[str, Any]:
    left_s = max(0.0, fault.expires_at - testbed.runtime.clock.epoch())
    return {**fault.document(), "left_s": round(left_s, 3)}
