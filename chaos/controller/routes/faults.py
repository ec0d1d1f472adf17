"""Faults: catalogue, create (or dry run), list, end; and the reset of the testbed."""

from typing import Any

from pydantic import Field

from chaos.controller import errors
from chaos.controller.api import Call, ControllerAnswer, Flag
from chaos.controller.documents import Calm, FaultCatalogue, FaultEnded, FaultList, FaultPreview, FaultsEnded, FaultView
from chaos.controller.testbed import Testbed
from chaos.faults.model import FaultSpec
from chaos.faults.records import ActiveFault
from chaos.faults.registry import CATALOGUE, check
from services.chassis.errors import ServiceError
from services.chassis.routes import Body, ResponseSpec, Route
from services.chassis.settings import Settings

TAG = "faults"
ONE = "/v1/faults/{id}"


class DryRun(Settings):
    """Query of `create_fault`."""

    dry_run: Flag = Field(default=False, description="only list the instances that the fault would affect")


class FaultCalls:
    """Handlers of the fault calls."""

    def __init__(self, testbed: Testbed) -> None:
        self._testbed = testbed

    async def catalogue(self, _call: Call) -> ControllerAnswer:
        return 200, {"faults": [CATALOGUE[kind].describe() for kind in sorted(CATALOGUE)]}

    async def create(self, call: Call) -> ControllerAnswer:
        spec: FaultSpec = call.body
        check(spec)
        if call.query.dry_run:
            return 200, {"dry_run": True, "instances": [spec.name for spec in self._testbed.faults.targets(spec)]}
        started = await self._testbed.faults.start(spec)
        self._testbed.acted("inject_fault", id=started.id, kind=spec.kind)
        return 201, _view(self._testbed, started)

    async def listing(self, _call: Call) -> ControllerAnswer:
        return 200, {"faults": [_view(self._testbed, fault) for fault in await self._testbed.faults.active()]}

    async def show(self, call: Call) -> ControllerAnswer:
        for fault in await self._testbed.faults.active():
            if fault.id == call.path("id"):
                return 200, _view(self._testbed, fault)
        raise ServiceError(errors.NOT_FOUND, detail=f"no active fault {call.path('id')!r}")

    async def end(self, call: Call) -> ControllerAnswer:
        await self._testbed.faults.stop(call.path("id"))
        self._testbed.acted("end_fault", id=call.path("id"))
        return 200, {"id": call.path("id"), "state": "ended"}

    async def end_all(self, _call: Call) -> ControllerAnswer:
        return 200, {"ended": await self._testbed.faults.reset()}

    async def reset(self, _call: Call) -> ControllerAnswer:
        done = await self._testbed.reset()
        self._testbed.acted("reset")
        return 200, done


def routes(testbed: Testbed) -> list[Route]:
    calls = FaultCalls(testbed)
    return [
        Route(
            "GET",
            "/v1/faults/catalogue",
            "list_fault_kinds",
            "The kinds of faults and their parameters",
            calls.catalogue,
            "read",
            {200: ResponseSpec("every kind", FaultCatalogue)},
            tag=TAG,
        ),
        Route(
            "POST",
            "/v1/faults",
            "create_fault",
            "Start a fault, or list the instances it would affect (dry run)",
            calls.create,
            "operate",
            {200: ResponseSpec("dry run", FaultPreview), 201: ResponseSpec("started", FaultView)},
            (errors.UNAVAILABLE,),
            body=Body(FaultSpec),
            query=DryRun,
            tag=TAG,
        ),
        Route(
            "GET",
            "/v1/faults",
            "list_faults",
            "Active faults, with their effects so far",
            calls.listing,
            "read",
            {200: ResponseSpec("oldest first", FaultList)},
            tag=TAG,
        ),
        Route(
            "GET",
            ONE,
            "get_fault",
            "An active fault",
            calls.show,
            "read",
            {200: ResponseSpec("the fault", FaultView)},
            (errors.NOT_FOUND,),
            tag=TAG,
        ),
        *_ending(calls),
    ]


def _ending(calls: FaultCalls) -> list[Route]:
    """Routes that end faults: one, all, and the reset of the testbed."""
    return [
        Route(
            "DELETE",
            ONE,
            "end_fault",
            "End a fault now",
            calls.end,
            "operate",
            {200: ResponseSpec("ended", FaultEnded)},
            (errors.UNAVAILABLE,),
            tag=TAG,
        ),
        Route(
            "DELETE",
            "/v1/faults",
            "end_faults",
            "End every fault now",
            calls.end_all,
            "operate",
            {200: ResponseSpec("ended", FaultsEnded)},
            tag=TAG,
        ),
        Route(
            "POST",
            "/v1/reset",
            "reset",
            "Reset the testbed from any state",
            calls.reset,
            "operate",
            {200: ResponseSpec("calm", Calm)},
            tag=TAG,
        ),
    ]


def _view(testbed: Testbed, fault: ActiveFault) -> dict[str, Any]:
    left_s = max(0.0, fault.expires_at - testbed.runtime.clock.epoch())
    return {**fault.document(), "left_s": round(left_s, 3)}
