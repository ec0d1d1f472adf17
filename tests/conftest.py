"""Which clock a test runs on.

Every `async def test_…` runs on a `VirtualLoop` inside the boundary: time jumps, order is fixed, and a real
socket, thread or clock is an error that names the call. Tests marked `real_time`, and everything under
`tests/system` and `tests/clients`, get an ordinary loop; those marked `both_clocks` run on each. Plain tests may not
use sockets either.

    async def test_it(world):                                       # a VirtualWorld on the running loop
    @pytest.mark.parametrize("world", ["http", "direct"], indirect=True)  # both transports
"""

from __future__ import annotations

import asyncio
import gc
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from multiprocessing.util import get_temp_dir
from pathlib import Path
from typing import Any, cast

import pytest

from compose.virtual.kernel.boundary import Boundary
from compose.virtual.kernel.loop import VirtualLoop
from compose.virtual.world import EPOCH_S, TransportKind, VirtualWorld
from services.chassis.background import Background
from services.chassis.clock import Clock

REAL_TIME_FOLDERS = tuple(Path(__file__).parent / name for name in ("system", "clients"))


def pytest_configure(config: pytest.Config) -> None:
    """Markers that this file gives a meaning to."""
    config.addinivalue_line("markers", "real_time: runs on an ordinary event loop, may use sockets")
    config.addinivalue_line("markers", "both_clocks: runs twice, in virtual time and on an ordinary event loop")


@pytest.hookimpl(tryfirst=True)  # pytest-xdist reads the groups in the same hook
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests of a file are of one group, unless they name another: what they share is made by one worker, once.

    Those marked `long` share nothing.
    """
    for item in items:
        if item.get_closest_marker("xdist_group") is None and item.get_closest_marker("long") is None:
            item.add_marker(pytest.mark.xdist_group(item.path.relative_to(Path(__file__).parent).as_posix()))


COLLECTOR_THRESHOLDS = (50_000, 20, 50)
"""With Python's own (700, 10, 10) a sixth of the tests' CPU time goes to the collector: each test drops a world."""


def pytest_collection() -> None:
    """Modules and test items stay: there is nothing to find."""
    gc.disable()


def pytest_collection_finish() -> None:
    """What the imports and the collection made stays to the end; the garbage collector need not walk it again."""
    gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)
    gc.enable()


def new_virtual_loop() -> VirtualLoop:
    """A virtual loop with the boundary in force while it runs."""
    loop = VirtualLoop(around=lambda: boundary.installed())
    boundary = Boundary(loop, seed=0, epoch_s=EPOCH_S)
    return loop


LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "virtual": new_virtual_loop,
    "real": asyncio.new_event_loop,
}


def clocks(item: pytest.Item) -> tuple[str, ...]:
    """Which of `LOOPS` a test runs on."""
    if item.get_closest_marker("both_clocks") is not None:
        return ("virtual", "real")
    real = item.get_closest_marker("real_time") is not None
    return ("real",) if real or any(folder in item.path.parents for folder in REAL_TIME_FOLDERS) else ("virtual",)


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loops that pytest-asyncio runs a test on."""
    return {name: LOOPS[name] for name in clocks(item)}


@pytest.fixture(scope="session", autouse=True)
def temporary_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What tests and their processes leave in the temporary folder, a defect's traceback say, goes with the run."""
    get_temp_dir()  # that of multiprocessing, which removes it when the process ends: later than pytest removes ours
    folder = str(tmp_path_factory.mktemp("tmp"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", folder)
        patch.setattr(tempfile, "tempdir", folder)
        yield


@pytest.fixture(autouse=True)
def no_sockets(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fast tests do not touch the network, not even by accident."""
    if "real" in clocks(request.node):
        return

    def refuse(*_args: object, **_options: object) -> None:
        raise RuntimeError("sockets are forbidden in fast tests; mark the test real_time, or use `world`")

    for name in ("connect", "connect_ex", "bind"):
        monkeypatch.setattr(socket.socket, name, refuse)


@pytest.fixture
async def world(request: pytest.FixtureRequest) -> AsyncIterator[VirtualWorld]:
    """A world on the running loop; `indirect=True` parameters choose the transport."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop), "the world fixture needs the virtual loop; drop the real_time mark"
    transport = cast(TransportKind, getattr(request, "param", "http"))
    world = VirtualWorld(transport=transport, loop=loop)
    yield world
    await world.aclose()


@pytest.fixture(scope="session")
def scipy_stats() -> Any:
    """The reference for our own statistics. It takes a second to load: tests that use it are of the group "scipy"."""
    from scipy import stats

    return stats


@pytest.fixture
async def background() -> AsyncIterator[Background]:
    """Supervised tasks on the running loop; what still runs ends with the test."""
    made = Background(Clock(asyncio.get_running_loop().time, EPOCH_S), lambda _kind, /, **_fields: None)
    yield made
    await made.stop()
