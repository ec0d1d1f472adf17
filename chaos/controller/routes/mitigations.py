"""Mitigations on and off while the testbed runs."""

from chaos.controller.api import Answer, Call
from chaos.controller.documents import MitigationList, MitigationSwitched
from chaos.controller.testbed import Testbed
from chaos.experiment.operations import write_overlay
from chaos.mitigations import catalogue, expand, run_time_overlay
from services.chassis.routes import Body, Reply, Route
from services.chassis.settings import Settings, merge

TAG = "mitigations"


class Switch(Settings):
    """Whether the mitigation is on."""

    on: bool


def routes(testbed: Testbed) -> list[Route]:
    async def listing(_call: Call) -> Answer:
        rows = [{**row, "on": row["id"] in testbed.mitigations} for row in catalogue()]
        return 200, {"mitigations": rows}

    async def switch(call: Call) -> Answer:
        name = call.path("id")
        run_time_overlay([name])  # refuses what is unknown or cannot be switched while services run
        meant = set(expand([name]))
        wanted = testbed.mitigations | meant if call.body.on else testbed.mitigations - meant
        overlay = run_time_overlay(sorted(wanted))
        await write_overlay(testbed.runtime, merge(testbed.base_overlay(), overlay), testbed.events)
        testbed.mitigations = wanted
        testbed.acted("mitigate", id=name, on=call.body.on)
        return 200, {"id": name, "on": call.body.on, "all_on": sorted(wanted)}

    return [
        Route(
            "GET",
            "/v1/mitigations",
            "list_mitigations",
            "What can be switched, and what is on",
            listing,
            "read",
            {200: Reply("the catalogue", MitigationList)},
            tag=TAG,
        ),
        Route(
            "PUT",
            "/v1/mitigations/{id}",
            "switch_mitigation",
            "Switch a mitigation on or off",
            switch,
            "operate",
            {200: Reply("switched", MitigationSwitched)},
            body=Body(Switch),
            tag=TAG,
        ),
    ]
