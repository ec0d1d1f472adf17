"""The compose testbed for tests: a project of its own, on ports of its own, up once for all tests.

AFTERSHOCK_TEST_WITHOUT names the services that stay out; by default `grafana`, whose image nothing here needs. After a
failure the report carries the last log lines of the containers that are not well. AFTERSHOCK_TEST_KEEP=1 leaves the
testbed up for a look, and takes one that is up as it is.
"""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from compose.docker import DockerRuntime
from compose.render import stack
from tests.system.system_desk import Desk
from tests.system.system_incident import Incident, watch_incident
from tests.system.system_testbed import PROJECT, Stack
from tests.words.operator import eventually

SEEDS = range(1, int(os.environ.get("AFTERSHOCK_SYSTEM_RUNS", "1")) + 1)


@pytest.fixture(scope="session")
def testbed() -> Iterator[Stack]:
    """The testbed, healthy."""
    if shutil.which("docker") is None or subprocess.run(["docker", "info"], capture_output=True).returncode:
        pytest.fail("the system tests need a Docker engine with Compose v2")
    made = Stack()
    keep = os.environ.get("AFTERSHOCK_TEST_KEEP") == "1"
    if not keep:
        made.compose("down", "--volumes", "--remove-orphans", "--timeout", "1")
    try:
        made.up("--build")
        yield made
    finally:
        if not keep:
            made.compose("down", "--volumes", "--remove-orphans", "--timeout", "1", check=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What needs no containers runs first: beside them it would take the processors that they are measured on.

    Prometheus remembers: the calm day and the incident come before whatever else raises alerts, and the kills last.
    """
    order = {"test_calm_day": 0, "test_pictures": 1, "test_scenario": 1, "test_kills": 3}
    items.sort(key=lambda item: ("testbed" in getattr(item, "fixturenames", ()), order.get(item.path.stem, 2)))


@pytest.fixture(scope="module", autouse=True)
def calm(request: pytest.FixtureRequest) -> None:
    """Each module of tests on the testbed begins from calm: no region is down, no run goes on."""
    if any("testbed" in getattr(item, "fixturenames", ()) for item in request.session.items if _of(item, request)):
        request.getfixturevalue("testbed")
        asyncio.run(_back_to_calm())


def _of(item: pytest.Item, request: pytest.FixtureRequest) -> bool:
    return item.path == request.path


async def _back_to_calm() -> None:
    runtime = DockerRuntime(PROJECT)
    await runtime.attach(stack())
    try:
        desk = Desk(runtime)
        await eventually(desk.answers, within_s=30.0, what="the controller answers")
        status = await desk.done("GET", "/v1/status")
        if status["banner"] or status["run"]:
            await desk.done("POST", "/v1/reset")
    finally:
        await runtime.stop()


async def _with_desk(seed: int, into: Path) -> Incident:
    runtime = DockerRuntime(PROJECT)
    await runtime.attach(stack())
    try:
        return await watch_incident(Desk(runtime), seed, into)
    finally:
        await runtime.stop()


@pytest.fixture(scope="session", params=SEEDS, ids=lambda seed: f"seed-{seed}")
def incident(testbed: Stack, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Incident:
    """One run for all tests that look at one; a second try if the guard refuses the first."""
    for _ in range(2):
        seen = asyncio.run(_with_desk(request.param, tmp_path_factory.mktemp("runs")))
        if not seen.too_slow:
            return seen
    pytest.xfail(f"THIS MACHINE CANNOT JUDGE IT, says the run's own guard: {seen.why}")


@pytest.fixture
async def runtime(testbed: Stack) -> AsyncIterator[DockerRuntime]:
    """A runtime attached to the testbed; whatever a test did to containers is taken back."""
    made = DockerRuntime(PROJECT)
    await made.attach(stack())
    yield made
    await made.restore()
    for container in await made.engine.containers():
        if container.spec and not container.alive:
            await made.engine.start(container)
    await made.stop()


@pytest.fixture
async def desk(testbed: Stack) -> AsyncIterator[Desk]:
    """An operator's desk at the testbed; what a test does there it takes back itself."""
    made = DockerRuntime(PROJECT)
    await made.attach(stack())
    yield Desk(made)
    await made.stop()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Adds the complaints of the containers to the report of a failed test."""
    outcome: Any = yield
    report = outcome.get_result()
    made = getattr(item, "funcargs", {}).get("testbed")
    if report.failed and made is not None:
        report.sections.append(("containers that are not well", made.complaints() or "all are running"))
