"""Every operation of the controller and every action of a scenario, performed and proven in Docker.

The words come from the registries, the performances from `tests/words`; `tests/contract/test_words.py` is the same on
the other runtimes. All words share one attached runtime. Kinds of fault: `test_wire_faults.py`.
"""

import asyncio
from pathlib import Path

import pytest

from chaos.scenarios.loader import load
from chaos.scenarios.restrict import restrict
from compose.docker import DockerRuntime
from compose.render import REGIONS, stack
from tests.contract.test_words import operators_routes
from tests.system.system_desk import CONTROLLER
from tests.system.system_testbed import PROJECT, TOKENS, Stack
from tests.words import actions
from tests.words.operations import Route
from tests.words.operator import Operator
from tests.words.results import Results, is_performed, perform_actions, perform_operations, said

pytestmark = [pytest.mark.system, pytest.mark.timeout(600)]
ELSEWHERE: dict[Route, tuple[str, str]] = {
    ("POST", "/v1/runs"): ("system_incident.py", '"POST", "/v1/runs"'),
    ("DELETE", "/v1/runs/current"): ("test_calm_day.py", '"DELETE", "/v1/runs/current"'),
    ("POST", "/v1/reset"): ("test_kills.py", '"POST", "/v1/reset"'),
}
"""Operations that another file performs, because they restart every container: the file, and how it says so."""
SLOW_S, SOON_S = 30.0, 5.0


@pytest.fixture(scope="module")
def results(testbed: Stack) -> Results:
    return asyncio.run(_all_words())


async def _all_words() -> Results:
    runtime = DockerRuntime(PROJECT)
    await runtime.attach(stack())
    scenario = restrict(load("azure-fnj8-vqz-short"), REGIONS)
    job = restrict(load("calm-day"), REGIONS).remediation
    op = Operator(runtime, CONTROLLER, TOKENS["AFTERSHOCK_OPERATE_TOKEN"], SLOW_S, SOON_S)
    try:
        found = await perform_actions(op, scenario.model_copy(update={"remediation": job}))
        return found | await perform_operations(op, set(ELSEWHERE))
    finally:
        await runtime.restore()
        await runtime.stop()


@pytest.mark.parametrize(
    "word", [*actions.words(), *(word for word in operators_routes() if word not in set(map(said, ELSEWHERE)))]
)
def test_every_word_has_its_effect_in_docker(word: str, results: Results) -> None:
    is_performed(results, word)


@pytest.mark.parametrize("route", ELSEWHERE, ids=said)
def test_what_is_performed_elsewhere_is(route: Route) -> None:
    file, words = ELSEWHERE[route]
    assert words in (Path(__file__).parent / file).read_text()
