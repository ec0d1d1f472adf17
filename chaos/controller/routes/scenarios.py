"""Scenarios: list, start, watch, abort with rollback. One run at a time."""

from pathlib import Path

from aiohttp import web
from pydantic import Field

from chaos.controller import errors
from chaos.controller.api import Call, Calls, ControllerAnswer, served
from chaos.controller.run_apart import RUNTIME, RunApart
from chaos.controller.run_documents import RunView, ScenarioList
from chaos.controller.scenario_run import ScenarioRun
from chaos.controller.testbed import Testbed
from chaos.experiment.plan import Plan, make_plan
from chaos.experiment.runs import new_folder
from chaos.scenarios.loader import ScenarioError, load, names
from chaos.scenarios.model import Scenario
from chaos.scenarios.restrict import restrict
from services.chassis.errors import ServiceError
from services.chassis.settings import Settings

CURRENT = "/v1/runs/current"
SSE_HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


class StartRun(Settings):
    """A run of a scenario: on this testbed in real time if it supports that, otherwise separately in virtual time."""

    scenario: str
    seed: int = Field(default=1, ge=0, le=2**53 - 1)
    mitigations: tuple[str, ...] = ()


class ScenarioCalls(Calls):
    tag = "scenarios"

    @served("GET /v1/scenarios", "The built-in scenarios", ScenarioList, "by name")
    async def list_scenarios(self, _call: Call) -> ControllerAnswer:
        return 200, {"scenarios": [_view(load(name)) for name in names()]}

    @served(
        "POST /v1/runs", "Start a scenario", RunView, "started", status=202, errors=(errors.UNAVAILABLE,), body=StartRun
    )
    async def start_run(self, call: Call) -> ControllerAnswer:
        latest = self._testbed.latest_run
        if latest is not None and latest.active:
            raise ServiceError(errors.CONFLICT, detail=f"run {latest.folder.name} is in progress; abort it first")
        await self._testbed.require_own_settings()
        scenario = _scenario(call.body.scenario)
        try:
            run = _start_here(self._testbed, scenario, call.body) or _start_apart(self._testbed, scenario, call.body)
        except OSError as error:
            raise ServiceError(errors.UNAVAILABLE, detail=f"no record can be written: {error}") from error
        self._testbed.acted("start_scenario", scenario=call.body.scenario, seed=call.body.seed)
        return 202, run.document()

    @served(f"GET {CURRENT}", "The run in progress, or the last one", RunView, "its state", errors=(errors.NOT_FOUND,))
    async def get_current_run(self, _call: Call) -> ControllerAnswer:
        return 200, _run(self._testbed).document()

    @served(f"DELETE {CURRENT}", "Abort the run and revert its changes", RunView, "aborted")
    async def abort_run(self, _call: Call) -> ControllerAnswer:
        run = _run(self._testbed)
        await run.abort()
        self._testbed.acted("abort_scenario")
        return 200, run.document()

    @served(
        "GET /v1/events",
        "All events, as server-sent events",
        {"description": "events, each with a line of JSON"},
        "a stream",
        media="text/event-stream",
    )
    async def watch_events(self, call: Call) -> web.StreamResponse:
        response = web.StreamResponse(headers=SSE_HEADERS)
        await response.prepare(call.request)
        try:
            await self._testbed.feed.send(response.write)
        except TimeoutError:
            if call.request.transport is not None:
                call.request.transport.abort()  # it would not read the end either
        except ConnectionResetError:
            pass  # the listener has disconnected
        return response


def _scenario(name: str) -> Scenario:
    try:
        scenario = load(name) if name in names() else None
    except ScenarioError as error:
        raise ServiceError(errors.INVALID, detail=str(error)) from error
    if scenario is None:
        raise ServiceError(errors.NOT_FOUND, detail=f"unknown scenario {name!r}; known: {', '.join(names())}")
    return scenario


def _start_here(testbed: Testbed, scenario: Scenario, body: StartRun) -> ScenarioRun | None:
    """A run on the testbed, restricted to its regions; None if the testbed does not support runs."""
    if testbed.make_runtime is None:
        return None
    plan, folder = _prepare(testbed, restrict(scenario, testbed.regions), body, "compose", testbed.runtime.name)
    run = ScenarioRun(
        plan,
        testbed.make_runtime(),
        folder,
        testbed.telling,
        prepare=testbed.faults.reset,
        settle=testbed.settle,
        background=testbed.env.background,
    )
    run.start()
    testbed.run = run
    return run


def _start_apart(testbed: Testbed, scenario: Scenario, body: StartRun) -> RunApart:
    """A run in virtual time with all regions of the scenario; the testbed is not affected."""
    plan, folder = _prepare(testbed, scenario, body, RUNTIME, RUNTIME)
    run = RunApart(plan, folder, testbed.telling, testbed.env.background)
    run.start()
    testbed.apart = run
    return run


def _prepare(testbed: Testbed, scenario: Scenario, body: StartRun, label: str, runtime: str) -> tuple[Plan, Path]:
    """The plan, validated before anything is written, and a new folder."""
    extra = f" --with {','.join(body.mitigations)}" if body.mitigations else ""
    command = f"aftershock run {body.scenario} --runtime {label} --seed {body.seed}{extra}"
    plan = make_plan(scenario, body.seed, mitigations=body.mitigations, command=command)
    plan.require_offered(runtime)
    return plan, new_folder(f"{scenario.name}-{label}-s{body.seed}", testbed.runs, clock=testbed.runtime.clock)


def _run(testbed: Testbed) -> ScenarioRun | RunApart:
    if testbed.latest_run is None:
        raise ServiceError(errors.NOT_FOUND, detail="no scenario was started")
    return testbed.latest_run


def _view(scenario: Scenario) -> dict[str, object]:
    return {
        "name": scenario.name,
        "title": scenario.title,
        "duration_s": scenario.duration_s,
        "source": scenario.source,
    }
