"""Switching mitigations while the testbed runs."""

from chaos.controller.api import Call, Calls, ControllerAnswer, served
from chaos.controller.documents import MitigationList, MitigationSwitched
from chaos.mitigations import catalogue
from services.chassis.settings import Settings


class SwitchRequest(Settings):
    """Whether the mitigation is on."""

    on: bool


class MitigationCalls(Calls):
    tag = "mitigations"

    @served("GET /v1/mitigations", "The mitigations and their state", MitigationList, "the catalogue")
    async def list_mitigations(self, _call: Call) -> ControllerAnswer:
        rows = [{**row, "on": row["id"] in self._testbed.mitigations} for row in catalogue()]
        return 200, {"mitigations": rows}

    @served(
        "PUT /v1/mitigations/{id}", "Switch a mitigation on or off", MitigationSwitched, "switched", body=SwitchRequest
    )
    async def switch_mitigation(self, call: Call) -> ControllerAnswer:
        name = call.path("id")
        await self._testbed.require_own_settings()
        wanted = await self._testbed.switches.switch(name, on=call.body.on)
        self._testbed.acted("mitigate", id=name, on=call.body.on)
        return 200, {"id": name, "on": call.body.on, "all_on": sorted(wanted)}
