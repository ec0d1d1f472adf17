"""Every word that the testbed understands, performed and proven on every runtime that needs no Docker.

The words come from the registries: an operation of the controller, an action or a kind of fault without a performance
in `tests/words` fails. One testbed per runtime serves all words. `tests/system/test_words.py` does the same in Docker.
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from aiohttp import web

from chaos.controller.app import create_controller
from chaos.controller.testbed import Testbed
from chaos.experiment.plan import make_plan
from chaos.faults.registry import CATALOGUE
from chaos.scenarios.model import Scenario
from compose.local import HOST, LocalRuntime, free_ports
from compose.runtime import Runtime
from compose.virtual.runtime import VirtualRuntime
from compose.virtual.world import TransportKind, VirtualWorld
from services.chassis.app import API
from tests.contract.small_testbed import TOKENS
from tests.words import actions, operations
from tests.words.operator import Operator, eventually
from tests.words.results import (
    Results,
    is_performed,
    perform_actions,
    perform_faults,
    perform_operations,
    said,
    small_scenario,
)

RUN_APART = "tests/unit/controller/test_run_apart.py"
ELSEWHERE: dict[str, dict[operations.Route, str]] = {
    "virtual": {("POST", "/v1/runs"): RUN_APART, ("DELETE", "/v1/runs/current"): RUN_APART},
    "local": {},
}
"""Operations performed by another test: a run apart is a process, which a simulation cannot start."""
SLOW_S = {"virtual": 30.0, "local": 60.0}
SOON_S = {"virtual": 3.0, "local": 15.0}
"""Processes share this machine with other tests: what is asked of them is the effect, not its speed."""
FIRST_S = 30.0
Serve = Callable[[web.Application], Coroutine[Any, Any, str]]


async def perform_all(runtime: Runtime, serve: Serve) -> Results:
    """A small testbed with its controller, and every word on it."""
    scenario = small_scenario()
    plan = make_plan(scenario, 1)
    try:
        await runtime.start(plan.topology, plan.settings, 1, lambda _event: None)
        with TemporaryDirectory() as folder:
            return await _perform_all(runtime, scenario, Testbed(runtime, scenario, Path(folder)), serve)
    finally:
        await runtime.stop()


async def _perform_all(runtime: Runtime, scenario: Scenario, testbed: Testbed, serve: Serve) -> Results:
    try:
        controller = await serve(create_controller(testbed, TOKENS))
        op = Operator(runtime, controller, TOKENS.operate, SLOW_S[runtime.name], SOON_S[runtime.name])
        await testbed.operations.ensure_load()
        await eventually(op.gets_tokens, FIRST_S, "the first token")
        found = await perform_actions(op, scenario)
        if runtime.name != "virtual":
            found |= await perform_faults(op, runtime.name)
        return found | await perform_operations(op, set(ELSEWHERE[runtime.name]))
    finally:
        await testbed.close()


@cache
def virtual(transport: TransportKind) -> Results:
    world = VirtualWorld(seed=1, transport=transport)

    async def serve(app: web.Application) -> str:
        await world.serve(app, "controller", 80)
        return "http://controller"

    async def main() -> Results:
        return await perform_all(VirtualRuntime(world), serve)

    return world.run(main())


@cache
def local() -> Results:
    async def main() -> Results:
        runners: list[web.AppRunner] = []

        async def serve(app: web.Application) -> str:
            port = free_ports(1)[0]
            runners.append(web.AppRunner(app))
            await runners[0].setup()
            await web.TCPSite(runners[0], HOST, port).start()
            return f"http://{HOST}:{port}"

        try:
            return await perform_all(LocalRuntime(), serve)
        finally:
            for runner in runners:
                await runner.cleanup()

    return asyncio.run(main())


def operators_routes() -> list[str]:
    """The registry: the routes that only an operator may call."""
    found: list[str] = []

    async def main(world: VirtualWorld) -> None:
        app = create_controller(Testbed(VirtualRuntime(world), small_scenario(), Path()), TOKENS)
        found.extend(said((route.method, route.path)) for route in app[API].routes if route.access == "operate")

    world = VirtualWorld()
    world.run(main(world))
    return found


WORDS = [*actions.words(), *CATALOGUE, *operators_routes()]
LATER = {said(route) for route in ELSEWHERE["virtual"]}


@pytest.mark.parametrize("transport", [pytest.param("http", marks=pytest.mark.long), "direct"])
@pytest.mark.parametrize("word", [word for word in WORDS if word not in CATALOGUE and word not in LATER])
def test_every_word_has_its_effect_in_virtual_time(word: str, transport: TransportKind) -> None:
    """Kinds of fault: `tests/simulation/test_vocabulary.py`, with exact times."""
    is_performed(virtual(transport), word)


@pytest.mark.long
@pytest.mark.xdist_group("words on processes")
@pytest.mark.real_time
@pytest.mark.timeout(600)
@pytest.mark.parametrize("word", WORDS)
def test_every_word_has_its_effect_on_processes(word: str) -> None:
    is_performed(local(), word)


@pytest.mark.parametrize("file", {file for rows in ELSEWHERE.values() for file in rows.values()})
def test_what_is_performed_elsewhere_is(file: str) -> None:
    text = (Path(__file__).parents[2] / file).read_text()
    assert "/v1/runs" in text
