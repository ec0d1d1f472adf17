"""A whole small testbed in virtual time with a controller in front of it: two paired regions, one node each."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from chaos.controller.app import create_controller
from chaos.controller.testbed import Testbed
from chaos.experiment.plan import make_plan
from compose.virtual.runtime import VirtualRuntime
from compose.virtual.world import VirtualWorld
from services.chassis.http import HttpClient
from tests.api_contract import Contract
from tests.contract.small_testbed import pair
from tests.unit.controller.controller_desk import TOKENS, Desk


@pytest.fixture
async def desk(world: VirtualWorld, tmp_path: Path) -> AsyncIterator[Desk]:
    scenario = pair()
    plan = make_plan(scenario, 1)
    runtime = VirtualRuntime(world)
    await runtime.start(plan.topology, plan.settings, 1, lambda _event: None)
    testbed = Testbed(runtime, scenario, tmp_path)
    app = create_controller(testbed, TOKENS)
    await world.serve(app, "controller", 80)
    yield Desk(world, testbed, plan, HttpClient(world.session("desk")), Contract.of(app))
    await runtime.stop()
