"""Switching mitigations while the testbed runs."""

from chaos.controller.api import Call, ControllerAnswer
from chaos.controller.documents import MitigationList, MitigationSwitched
from chaos.controller.testbed import Testbed
from chaos.mitigations import catalogue
from services.chassis.routes import Body, ResponseSpec, Route
from services.chassis.settings import Settings

TAG = "mitigations"


class SwitchRequest(Settings):
    """Whether the mitigation is on."""

    on: bool


def routes(testbed: Testbed) -> list[Route]:
    async def listing(_call: Call) -> ControllerAnswer:
        rows = [{**row, "on": row["id"] in testbed.mitigations} for row in catalogue()]
        return 200, {"mitigations": rows}

    async def switch(call: Call) -> ControllerAnswer:
        name = call.path("id")
        testbed.require_idle()
        wanted = await testbed.switches.switch(name, on=call.body.on)
        testbed.acted("mitigate", id=name, on=call.body.on)
        return 200, {"id": name, "on": call.body.on, "all_on": sorted(wanted)}

    return [
        Route(
            "GET",
            "/v1/mitigations",
            "list_mitigations",
            "The mitigations and their state",
            listing,
            "read",
            {200: ResponseSpec("the catalogue", MitigationList)},
            tag=TAG,
        ),
        Route(
            "PUT",
            "/v1/mitigations/{id}",
            "switch_mitigation",
            "Switch a mitigation on or off",
            switch,
            "operate",
            {200: ResponseSpec("switched", MitigationSwitched)},
            body=Body(SwitchRequest),
            tag=TAG,
        ),
    ]
