"""The boundary: the table, the patches, and proof that the real clock is not read."""

import _thread
import asyncio
import datetime
import importlib
import importlib.util
import logging
import os
import random
import secrets
import socket
import subprocess
import sys
import threading
import time
import types
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import jwt
import prometheus_client
import pytest
import tenacity
from aiohttp import web

from compose.virtual.kernel.boundary import MONOTONIC_START_S, PATCHED, Boundary
from compose.virtual.kernel.boundary_table import FENCED, NOT_MODELLED, SIMULATED, TABLE, BoundaryRow
from compose.virtual.kernel.errors import LeftTheSimulation
from compose.virtual.kernel.loop import VirtualLoop
from compose.virtual.world import EPOCH_S, VirtualWorld
from tests.unit.virtual import mini_scenario


def attribute(row: BoundaryRow) -> Any:
    found: Any = importlib.import_module(row.module)
    for step in row.name.split("."):
        found = getattr(found, step)
    return found


@contextmanager
def inside(seed: int = 0) -> Iterator[VirtualLoop]:
    """In the boundary, with the clock at 12.5 s, without a running loop."""
    loop = VirtualLoop()
    loop._now_s = 12.5
    with Boundary(loop, seed, 1_000_000.0).installed():
        yield loop
    loop.close()


def modules_under_watch() -> list[types.ModuleType]:
    names = {row.module.partition(".")[0] for row in TABLE} - {"builtins", "gc", "logging", "datetime", "cryptography"}
    return [
        module
        for name, module in sorted(sys.modules.items())
        if name.partition(".")[0] in names and isinstance(module, types.ModuleType)
    ]


def snapshot() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for module in modules_under_watch():
        for name, value in list(vars(module).items()):
            found[f"{module.__name__}:{name}"] = value
            if isinstance(value, type) and value.__module__ == module.__name__:
                found |= {f"{module.__name__}:{name}.{key}": member for key, member in vars(value).items()}
    return found


# --- table and patches -------------------------------------------------------------------------------------


def test_the_table_is_exactly_what_is_patched() -> None:
    with inside():  # imports everything first
        pass
    before = snapshot()
    with inside():
        during = snapshot()
    after = snapshot()
    own_cache = {"aiohttp.helpers:_cached_current_datetime", "aiohttp.helpers:_cached_formatted_datetime"}
    changed = {path for path, value in during.items() if before.get(path) is not value} - own_cache
    assert changed == {f"{row.module}:{row.name}" for row in PATCHED}
    assert {path for path, value in after.items() if before.get(path) is not value} <= own_cache


def test_every_place_stands_once_in_the_table_and_says_why() -> None:
    paths = [row.path for row in TABLE]
    assert len(paths) == len(set(paths))
    assert all(row.why or row.verdict == "fenced" for row in TABLE)
    assert {row.verdict for row in TABLE} == {"simulated", "fenced", "not modelled"}
    assert all(not row.stand_in for row in NOT_MODELLED)


def test_places_that_are_not_modelled_exist() -> None:
    """A `*` stands for the whole module."""
    for row in NOT_MODELLED:
        assert importlib.import_module(row.module) is not None
        assert row.name == "*" or attribute(row) is not None, row.path


def in_this_thread(trap: Callable[..., Any], real: Callable[..., Any]) -> Callable[..., Any]:
    """What a patch of a whole module calls: threads that other tests left running go on with the real thing."""
    here = threading.get_ident()
    return lambda *given, **named: (trap if threading.get_ident() == here else real)(*given, **named)


@pytest.mark.parametrize("row", SIMULATED, ids=lambda row: row.path)
def test_a_simulated_place_does_not_reach_the_machine(row: BoundaryRow, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, names in ((time, ("time", "monotonic", "perf_counter")), (random, ("random",)), (uuid, ("uuid4",))):
        for name in names:
            asked = in_this_thread(lambda *_: pytest.fail("the machine was asked"), getattr(module, name))
            monkeypatch.setattr(module, name, asked)
    with inside(1):
        found = attribute(row)
        probes: dict[str, Callable[[], Any]] = {
            "time": lambda: (found.time(), found.monotonic(), found.time_ns(), found.gmtime().tm_mday),
            "monotonic": lambda: found(),
            "random": lambda: found.random(),
            "uuid": lambda: found.uuid4(),
            "os": lambda: found.urandom(8),
            "exact": lambda: found(8.56),
            "sys": lambda: (found.version_info, found.maxsize),
            "datetime": lambda: found.now(datetime.UTC).timestamp(),
        }
        first = probes[row.stand_in]()
    expected = {
        "time": (1_000_012.5, MONOTONIC_START_S + 12.5, 1_000_012_500_000_000, 12),
        "monotonic": MONOTONIC_START_S + 12.5,
        "exact": 8.56,
        "sys": ((3, 11), sys.maxsize),
        "datetime": 1_000_012.5,
    }
    if row.stand_in in expected:
        assert first == expected[row.stand_in]
    else:
        with inside(1):
            found = attribute(row)
            assert probes[row.stand_in]() == first
        with inside(2):
            found = attribute(row)
            assert probes[row.stand_in]() != first


# --- libraries on the virtual clock --------------------------------------------------------------------------


def test_a_whole_incident_reads_no_real_clock_and_no_global_random_generator(monkeypatch: pytest.MonkeyPatch) -> None:
    logging.disable(logging.CRITICAL)
    asked: list[str] = []

    def trap(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def ask(*_arguments: object, **_options: object) -> float:
            asked.append(f"{name} by {sys._getframe(2).f_globals.get('__name__')}")
            return 1.0

        return in_this_thread(ask, real)

    for name in ("time", "monotonic", "perf_counter", "time_ns", "monotonic_ns"):
        monkeypatch.setattr(time, name, trap(f"time.{name}", getattr(time, name)))
    for name in ("random", "uniform", "choice", "shuffle", "randint", "sample"):
        monkeypatch.setattr(random, name, trap(f"random.{name}", getattr(random, name)))
    monkeypatch.setattr(uuid, "uuid4", trap("uuid.uuid4", uuid.uuid4))
    try:
        mini_scenario.Scenario("http", 3).run()
    finally:
        logging.disable(logging.NOTSET)
    assert [call for call in asked if "logging" not in call] == []


async def test_the_date_header_is_the_incidents(world: VirtualWorld) -> None:
    async def handler(_request: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.router.add_get("/", handler)
    await world.serve(app, "server")
    await asyncio.sleep(3600)
    async with world.session("client").get("http://server/") as response:
        assert response.headers["Date"] == "Mon, 02 Feb 2026 19:03:00 GMT"


async def test_tenacity_counts_virtual_seconds() -> None:
    attempts: list[float] = []

    @tenacity.retry(stop=tenacity.stop_after_delay(10), wait=tenacity.wait_fixed(3))
    async def fail() -> None:
        attempts.append(asyncio.get_running_loop().time())
        raise LookupError

    with pytest.raises(tenacity.RetryError):
        await fail()
    assert attempts == [0.0, 3.0, 6.0, 9.0, 12.0]


async def test_prometheus_measures_virtual_seconds() -> None:
    registry = prometheus_client.CollectorRegistry()
    await asyncio.sleep(60)
    histogram = prometheus_client.Histogram("h", "h", registry=registry)
    with histogram.time():
        await asyncio.sleep(2.5)
    assert registry.get_sample_value("h_sum") == 2.5
    assert registry.get_sample_value("h_created") == EPOCH_S + 60


async def test_tokens_expire_in_virtual_time() -> None:
    token = jwt.encode({"exp": int(EPOCH_S) + 100}, "k" * 32, algorithm="HS256")
    assert jwt.decode(token, "k" * 32, algorithms=["HS256"])
    await asyncio.sleep(101)
    with pytest.raises(jwt.ExpiredSignatureError):
        jwt.decode(token, "k" * 32, algorithms=["HS256"])


# --- fences --------------------------------------------------------------------------------------------------


def from_our_package(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call something as `services.example` would."""
    scope = {"__name__": "services.example", "function": function, "arguments": arguments}
    exec("def call():\n    return function(*arguments)", scope)
    call: Any = scope["call"]
    return call()


@pytest.mark.parametrize("row", FENCED, ids=lambda row: row.path)
def test_a_fenced_call_from_our_packages_is_refused_by_name(row: BoundaryRow) -> None:
    with inside() as loop:
        fenced = attribute(row)
        with pytest.raises(LeftTheSimulation) as refusal:
            from_our_package(fenced)
        assert row.path in str(refusal.value)
        assert row.stand_in in str(refusal.value)
        assert loop.left == [refusal.value]


def test_other_code_gets_the_real_clock() -> None:
    with inside():
        assert abs(time.time() - datetime.datetime.now(datetime.UTC).timestamp()) < 60
        assert 0 <= random.random() < 1
        assert len(secrets.token_bytes(4)) == 4
        with pytest.raises(LeftTheSimulation, match=r"time\.sleep .*leaves the simulation; use asyncio\.sleep"):
            time.sleep(1)
        with pytest.raises(LeftTheSimulation, match="in-memory network"):
            socket.socket()
        with pytest.raises(LeftTheSimulation, match="asyncio tasks"):
            threading.Thread(target=print).start()
        with pytest.raises(LeftTheSimulation, match=r"subprocess\.Popen"):
            subprocess.run(["true"], check=True)


async def test_another_thread_is_not_fenced() -> None:
    heard: list[float] = []

    def sleep() -> None:
        began = time.monotonic()
        time.sleep(0.001)
        heard.extend((began, time.monotonic()))

    _thread.start_new_thread(sleep, ())
    while len(heard) < 2:
        os.sched_yield()
    assert heard[1] - heard[0] >= 0.001, "the machine's clock, not the loop's"


def test_what_a_library_draws_inside_does_not_move_the_global_stream() -> None:
    random.seed(1)
    expected = random.random()
    random.seed(1)
    with inside():
        random.random()
    assert random.random() == expected


def test_a_swallowed_leak_is_reported_at_the_end_of_the_run() -> None:
    async def leak_quietly() -> str:
        try:
            time.sleep(1)  # noqa: ASYNC251
        except RuntimeError:
            return "swallowed"
        return "slept"

    with pytest.raises(LeftTheSimulation, match=r"time\.sleep"):
        VirtualWorld().run(leak_quietly())
