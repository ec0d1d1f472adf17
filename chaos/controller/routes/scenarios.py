"""Scenarios: list, start one, watch it, abort it with roll-back. One at a time."""

import contextlib

from aiohttp import web
from pydantic import Field

from chaos.controller import errors
from chaos.controller.api import Answer, Call
from chaos.controller.documents import RunView, ScenarioList
from chaos.controller.scenario_run import ScenarioRun
from chaos.controller.testbed import Testbed
from chaos.plan import make_plan
from chaos.runs import new_folder
from chaos.scenarios.loader import ScenarioError, load, names
from chaos.scenarios.model import Scenario
from chaos.scenarios.restrict import restrict
from services.chassis.errors import ServiceError
from services.chassis.routes import Body, Reply, Route
from services.chassis.settings import Settings

TAG = "scenarios"
SSE_HEADERS = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


class StartRun(Settings):
    """A run of a scenario on this testbed, in real time."""

    scenario: str
    seed: int = Field(default=1, ge=0, le=2**53 - 1)
    mitigations: tuple[str, ...] = ()


def routes(testbed: Testbed) -> list[Route]:
    async def listing(_call: Call) -> Answer:
        return 200, {"scenarios": [_view(load(name)) for name in names()]}

    async def start(call: Call) -> Answer:
        if testbed.run is not None and testbed.run.active:
            raise ServiceError(errors.CONFLICT, detail=f"run {testbed.run.folder.name} is under way; abort it first")
        testbed.require_idle()
        if testbed.make_runtime is None:
            raise ServiceError(errors.UNSUPPORTED, detail="this testbed cannot run scenarios")
        try:
            run = _make_run(testbed, call.body)
            run.start()
        except OSError as error:
            raise ServiceError(errors.UNAVAILABLE, detail=f"no record can be written: {error}") from error
        testbed.run = run
        testbed.acted("start_scenario", scenario=call.body.scenario, seed=call.body.seed)
        return 202, run.document()

    async def current(_call: Call) -> Answer:
        return 200, _run(testbed).document()

    async def abort(_call: Call) -> Answer:
        run = _run(testbed)
        await run.abort()
        testbed.acted("abort_scenario")
        return 200, run.document()

    async def watch(call: Call) -> web.StreamResponse:
        response = web.StreamResponse(headers=SSE_HEADERS)
        await response.prepare(call.request)
        with contextlib.suppress(ConnectionResetError):  # the listener has left
            async for frame in testbed.feed.listen():
                await response.write(frame)
        return response

    path = "/v1/runs/current"
    return [
        Route(
            "GET",
            "/v1/scenarios",
            "list_scenarios",
            "Scenarios that come with Aftershock",
            listing,
            "read",
            {200: Reply("by name", ScenarioList)},
            tag=TAG,
        ),
        Route(
            "POST",
            "/v1/runs",
            "start_run",
            "Start a scenario",
            start,
            "operate",
            {202: Reply("started", RunView)},
            (errors.UNAVAILABLE,),
            body=Body(StartRun),
            tag=TAG,
        ),
        Route(
            "GET",
            path,
            "get_current_run",
            "The run under way, or the last one",
            current,
            "read",
            {200: Reply("its state", RunView)},
            (errors.NOT_FOUND,),
            tag=TAG,
        ),
        Route(
            "DELETE",
            path,
            "abort_run",
            "Abort the run and take back what it did",
            abort,
            "operate",
            {200: Reply("aborted", RunView)},
            tag=TAG,
        ),
        Route(
            "GET",
            "/v1/events",
            "watch_events",
            "Everything that happens, as server-sent events",
            watch,
            "read",
            {200: Reply("a stream", {"type": "string"}, "text/event-stream")},
            tag=TAG,
        ),
    ]


def _make_run(testbed: Testbed, body: StartRun) -> ScenarioRun:
    try:
        scenario = load(body.scenario) if body.scenario in names() else None
    except ScenarioError as error:
        raise ServiceError(errors.INVALID, detail=str(error)) from error
    if scenario is None:
        raise ServiceError(errors.NOT_FOUND, detail=f"unknown scenario {body.scenario!r}; known: {', '.join(names())}")
    scenario = restrict(scenario, testbed.regions)
    plan = make_plan(scenario, body.seed, mitigations=body.mitigations, command=_command(body))
    plan.require_offered(testbed.runtime.name)
    folder = new_folder(f"{scenario.name}-compose-s{body.seed}", testbed.runs, clock=testbed.runtime.clock)
    assert testbed.make_runtime is not None
    return ScenarioRun(
        plan,
        testbed.make_runtime(),
        folder,
        testbed.telling,
        settle=testbed.settle,
        background=testbed.env.background,
    )


def _command(body: StartRun) -> str:
    extra = f" --with {','.join(body.mitigations)}" if body.mitigations else ""
    return f"aftershock run {body.scenario} --runtime compose --seed {body.seed}{extra}"


def _run(testbed: Testbed) -> ScenarioRun:
    if testbed.run is None:
        raise ServiceError(errors.NOT_FOUND, detail="no scenario was started")
    return testbed.run


def _view(scenario: Scenario) -> dict[str, object]:
    return {
        "name": scenario.name,
        "title": scenario.title,
        "duration_s": scenario.duration_s,
        "source": scenario.source,
    }
