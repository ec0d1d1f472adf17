"""The boundary between the simulation and the real machine: applies the rows of `boundary_table`.

The patches are active only while the virtual loop runs (`VirtualLoop(around=...)`), so pytest and the command
line never see them. Libraries are patched by named module attribute. The few global names (`time.time`,
`random.random`, `uuid.uuid4` …) check their caller: calls from our own packages are refused, because these have a
clock and named streams; all other callers get the real function.
"""

from __future__ import annotations

import importlib
import os
import random
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, tzinfo
from typing import Any, cast

from compose.virtual.kernel.boundary_table import FENCED, SIMULATED, BoundaryRow
from compose.virtual.kernel.loop import VirtualLoop
from services.parts.loading import part_modules

OUR_PACKAGES = frozenset({"services", "loadgen", "compose", "chaos"})

MONOTONIC_START_S = 1000.0
"""Start of the monotonic clocks. Not 0, because code that tests a start time for truth would take 0 for unset."""


TASKS_OF_THE_LOOP = (3, 11)
"""The last Python version on which aiohttp creates its tasks through the loop."""


class _Module:
    """A proxy for a module: overrides a few names and forwards the rest to the real module."""

    def __init__(self, real: object, **own: Any) -> None:
        self._real = real
        self.__dict__.update(own)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


PATCHED = (*SIMULATED, *FENCED)


class Boundary:
    """The replacements of one world. They are created once, so that streams continue when the loop is restarted."""

    def __init__(self, loop: VirtualLoop, seed: int = 0, epoch_s: float = 0.0) -> None:
        self.loop = loop
        self.seed = seed
        self.epoch_s = epoch_s
        self._time = self._time_module()
        self._replacements: list[tuple[Any, str, Any]] = []

    def __repr__(self) -> str:
        return f"<Boundary seed {self.seed}, epoch {self.epoch_s:.0f}, {len(PATCHED)} rows>"

    @contextmanager
    def installed(self) -> Iterator[Boundary]:
        """Apply all patches, and undo them on exit."""
        if not self._replacements:
            self._replacements = [self._replacement(row) for row in PATCHED]
        undo = [(owner, name, getattr(owner, name)) for owner, name, _ in self._replacements]
        state = random.getstate()
        for owner, name, replacement in self._replacements:
            setattr(owner, name, replacement)
        _forget_cached_date()
        try:
            yield self
        finally:
            for owner, name, original in reversed(undo):
                setattr(owner, name, original)
            random.setstate(state)
            _forget_cached_date()

    # --- simulated rows --------------------------------------------------------------------------------

    def wall_s(self) -> float:
        """The return value of `time.time()` in the simulation: Unix time in seconds."""
        return self.epoch_s + self.loop._now_s

    def monotonic_s(self) -> float:
        """The return value of `time.monotonic()` in the simulation, in seconds."""
        return MONOTONIC_START_S + self.loop._now_s

    def _time_module(self) -> _Module:
        wall, monotonic, fence = self.wall_s, self.monotonic_s, self.loop.fence
        return _Module(
            time,
            time=wall,
            time_ns=lambda: round(wall() * 1e9),
            monotonic=monotonic,
            monotonic_ns=lambda: round(monotonic() * 1e9),
            perf_counter=monotonic,
            gmtime=lambda at=None: time.gmtime(wall() if at is None else at),
            localtime=lambda at=None: time.gmtime(wall() if at is None else at),
            sleep=lambda _seconds: fence("time.sleep", "asyncio.sleep"),
        )

    def _stand_in(self, row: BoundaryRow) -> Any:
        stream = random.Random(f"{self.seed}:{row.path}")
        if row.stand_in == "time":
            return self._time
        if row.stand_in == "monotonic":
            return self.monotonic_s
        if row.stand_in == "random":
            return stream
        if row.stand_in == "uuid":
            identify = _identifiers(stream)
            return _Module(uuid, uuid4=identify, uuid1=identify)
        if row.stand_in == "os":
            return _Module(os, urandom=stream.randbytes)
        if row.stand_in == "sys":
            return _Module(sys, version_info=TASKS_OF_THE_LOOP)
        if row.stand_in == "datetime":
            return _datetime_class(self.wall_s)
        if row.stand_in == "exact":
            return float
        raise LookupError(f"{row.path}: no stand-in called {row.stand_in!r}")

    # --- fenced rows -----------------------------------------------------------------------------------

    def _fence(self, row: BoundaryRow, real: Callable[..., Any]) -> Callable[..., Any]:
        loop, path, instead = self.loop, row.path, row.stand_in
        fenced = OUR_PACKAGES.union(part_modules())
        for_all = not row.why.startswith("refused only")

        def guard(*args: Any, **options: Any) -> Any:
            caller = sys._getframe(1).f_globals.get("__name__", "")
            if _is_this_thread(loop) and (for_all or caller.partition(".")[0] in fenced):
                loop.fence(f"{path} (called by {caller})", instead)
            return real(*args, **options)

        return guard

    def _replacement(self, row: BoundaryRow) -> tuple[Any, str, Any]:
        owner: Any = importlib.import_module(row.module)
        *path, name = row.name.split(".")
        for step in path:
            owner = getattr(owner, step)
        real = getattr(owner, name)  # an AttributeError here means that the library has changed: update the table
        return owner, name, self._fence(row, real) if row.verdict == "fenced" else self._stand_in(row)


def _is_this_thread(loop: VirtualLoop) -> bool:
    """Whether the call comes from the loop's thread; other threads (a debugger, a server) are not fenced."""
    running_in: int | None = loop._thread_id  # type: ignore[attr-defined]
    return running_in is None or running_in == threading.get_ident()


def _identifiers(stream: random.Random) -> Callable[..., uuid.UUID]:
    return lambda *_: uuid.UUID(int=stream.getrandbits(128), version=4)


def _datetime_class(wall_s: Callable[[], float]) -> type[datetime]:
    """A `datetime` class with a virtual `now`; `isinstance` accepts every datetime."""

    class Kind(type):
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, datetime)

    class VirtualDatetime(datetime, metaclass=Kind):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.fromtimestamp(wall_s(), tz or UTC)

    return VirtualDatetime


def _forget_cached_date() -> None:
    """aiohttp caches the Date header for one second: drop a value that comes from the other clock."""
    helpers = cast(Any, importlib.import_module("aiohttp.helpers"))
    helpers._cached_current_datetime = None
    helpers._cached_formatted_datetime = ""
