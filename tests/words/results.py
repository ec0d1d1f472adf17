"""All words on one testbed, one after the other; each with what it failed of, if it failed."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence

from chaos.faults.registry import CATALOGUE
from chaos.scenarios.loader import load
from chaos.scenarios.model import Scenario
from chaos.scenarios.restrict import restrict
from tests.words import actions, operations
from tests.words.actions import Stage
from tests.words.faults import CASES, FaultCase
from tests.words.operations import Route
from tests.words.operator import REGION, Operator, eventually

Results = dict[str, BaseException | None]
LONG_S = 60.0


def small_scenario() -> Scenario:
    """One region of one node, with the policy job of a calm day."""
    scenario = restrict(load("azure-fnj8-vqz-short"), [REGION])
    nodes = tuple(region.model_copy(update={"identity_nodes": 1}) for region in scenario.regions)
    return scenario.model_copy(
        update={"regions": nodes, "remediation": restrict(load("calm-day"), [REGION]).remediation}
    )


async def _each(performances: Iterable[tuple[Sequence[str], Callable[[], Awaitable[None]]]]) -> Results:
    found: Results = {}
    for words, perform in performances:
        failed: BaseException | None = None
        try:
            await perform()
        except Exception as error:
            failed = error
        found |= dict.fromkeys(words, failed)
    return found


def said(route: Route) -> str:
    return " ".join(route)


async def perform_operations(op: Operator, elsewhere: Collection[Route]) -> Results:
    """Every operation of the controller, without those performed elsewhere."""

    def bound(performance: operations.Performance) -> Callable[[], Awaitable[None]]:
        return lambda: performance(op)

    groups = operations.grouped(elsewhere)
    return await _each((list(map(said, routes)), bound(performance)) for performance, routes in groups)


async def perform_actions(op: Operator, scenario: Scenario) -> Results:
    """Every action of a timeline."""
    groups: dict[actions.StagePerformance, list[str]] = {}
    for word, performance in actions.PERFORMED.items():
        groups.setdefault(performance, []).append(word)

    def staged(performance: actions.StagePerformance) -> Callable[[], Awaitable[None]]:
        async def perform() -> None:
            stage = Stage(op, scenario)
            try:
                await performance(stage)
            finally:
                await stage.close()

        return perform

    return await _each((words, staged(performance)) for performance, words in groups.items())


async def perform_faults(op: Operator, runtime: str) -> Results:
    """Every kind of fault: it acts, it is ended, it is over; a kind that the runtime does not offer is refused."""

    def bound(case: FaultCase) -> Callable[[], Awaitable[None]]:
        return lambda: _act_and_end(op, case) if runtime in _offered(case.kind) else _is_refused(op, case)

    return await _each(([case.kind], bound(case)) for case in CASES)


def _offered(kind: str) -> Sequence[str]:
    return CATALOGUE[kind].runtimes


async def _act_and_end(op: Operator, case: FaultCase) -> None:
    fault = (await op.done("POST", "/v1/faults", {**case.body, "lease_s": LONG_S}))["id"]
    try:
        await eventually(lambda: case.shows(op), within_s=op.soon_s, what=f"{case.kind} has its effect")
    finally:
        await op.done("DELETE", f"/v1/faults/{fault}")

    async def over() -> bool:
        return not await case.shows(op) and (await op.ask(case.victim)).ok

    await eventually(over, within_s=case.back_s + op.slow_s, what=f"{case.kind} is over")


async def _is_refused(op: Operator, case: FaultCase) -> None:
    reply = await op.call("POST", "/v1/faults", {**case.body, "lease_s": LONG_S})
    assert reply.status == 501, reply.body
    assert "not supported by" in reply.body.decode()


def is_performed(results: Results, word: str) -> None:
    assert word in results, f"{word}: nothing in tests/words performs it"
    error = results[word]
    if error is not None:
        raise error
