"""Starts the controller on a testbed: a compose project, or a local testbed that it starts itself."""

from dataclasses import replace

from chaos.controller.app import create_controller, run_until_cancelled
from chaos.controller.auth import Tokens, load_tokens
from chaos.controller.load_keeper import LoadKeeper
from chaos.controller.settings import TOKEN_FILE, ControllerSettings
from chaos.controller.testbed import Testbed
from chaos.experiment.plan import Plan, make_plan
from chaos.scenarios.loader import load
from chaos.scenarios.model import Scenario
from chaos.scenarios.restrict import restrict
from compose.runtime import Runtime


class ControllerFailed(RuntimeError):
    """The controller cannot start; the message says why."""


async def serve_compose(settings: ControllerSettings) -> None:
    """Runs the controller of a compose testbed; it acts on containers of its own project only."""
    from compose.docker import DockerRuntime
    from compose.render import REGIONS

    tokens = _tokens(settings)
    scenario = restrict(load(settings.scenario), REGIONS)
    plan = make_plan(scenario, 1)
    runtime = DockerRuntime(settings.project)
    await runtime.attach(plan.topology)

    def make_runtime() -> Runtime:
        return DockerRuntime(settings.project)

    async def restart(_runtime: Runtime, plan: Plan) -> None:
        await runtime.reset(plan.topology, plan.settings, plan.seed)

    testbed = Testbed(runtime, scenario, settings.runs, make_runtime, restart, settings.load)
    await runtime.observe(testbed.env.background)
    await _serve(testbed, settings, tokens)


async def serve_local(settings: ControllerSettings, scenario: Scenario) -> None:
    """Runs the controller on a local testbed that it starts and stops."""
    from compose.local import LocalRuntime

    tokens = _tokens(settings)
    plan = make_plan(scenario, 1, overlays=[{"loadgen": {"profile": settings.load}}])
    runtime = LocalRuntime()
    try:
        print(f"starting {len(plan.topology.instances())} processes …", flush=True)
        await runtime.start(plan.topology, plan.settings, plan.seed, lambda _event: None)
        await _serve(Testbed(runtime, scenario, settings.runs, load_profile=settings.load), settings, tokens)
    finally:
        await runtime.stop()


def _tokens(settings: ControllerSettings) -> tuple[Tokens, bool]:
    """Loaded before any process starts, because the folder may not be writable."""
    return load_tokens(settings.runs / TOKEN_FILE, settings.read_token, settings.operate_token)


async def _serve(testbed: Testbed, settings: ControllerSettings, loaded: tuple[Tokens, bool]) -> None:
    tokens, made = loaded
    tokens = replace(tokens, project=testbed.runtime.secret)
    if settings.secret_file is not None:
        settings.secret_file.write_text(testbed.runtime.secret, encoding="utf-8")
    app = create_controller(testbed, tokens, webhook_url=settings.webhook_url)

    keepers: list[LoadKeeper] = []

    async def ready() -> None:
        keepers.append(LoadKeeper(testbed))
        print(_greeting(settings, tokens, made), flush=True)

    try:
        await run_until_cancelled(app, settings.host, settings.port, ready)
    finally:
        for keeper in keepers:
            await keeper.close()


def _greeting(settings: ControllerSettings, tokens: Tokens, made: bool) -> str:
    url = f"http://{settings.address}"
    shown = f"\n  operate token  {tokens.operate}\n  read token     {tokens.read}" if made else ""
    return f"chaos controller on {url} (OpenAPI: {url}/openapi.json){shown}"
