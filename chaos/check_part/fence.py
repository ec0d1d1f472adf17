"""Refuses what a part must not use while it is at work: clocks, chance, and calls that block."""

import datetime
import importlib
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from compose.virtual.kernel.boundary_table import FENCED
from services.parts import declared
from services.parts.kind import PartError

BLOCKING = {
    "builtins": ("open", "input"),
    "io": ("open",),
    "os": ("open", "listdir", "scandir"),
    "select": ("select",),
    "threading": ("Event.wait", "Condition.wait"),
}
"""What blocks or reads beside the rows of the simulation's fence. A pathlib.Path opens files with io.open."""
ALWAYS = 99
CLOCKS = {
    **dict.fromkeys(("clock_gettime", "clock_gettime_ns"), ALWAYS),
    **dict.fromkeys(("localtime", "gmtime", "ctime", "asctime", "process_time", "thread_time"), 0),
    "strftime": 1,
}
"""Of `time`: they read a clock unless they get a time after so many arguments."""
CALENDAR = ("now", "utcnow", "today")
ENVIRONMENT = ("__getitem__", "__iter__")
"""Every way to read a variable ends in one of these."""
THROUGH = ("os", "collections.abc")
"""Modules that read the environment on behalf of their caller."""
LOADING = declared.__name__
"""Reads the environment to build a part, one of our own package too."""


class ForbiddenCall(PartError):
    """A part has used what no part may use."""


class Fence:
    """Forbids calls while `up`: those that block to all, unless `own_calls`, the others to the part's package."""

    def __init__(self, package: str) -> None:
        self._package = package
        self.up = self.own_calls = False
        self.broken = ""
        """The first call that was refused: a part may have caught the error."""

    def guard(self, real: Callable[..., Any], path: str, *, blocks: bool, most: int = ALWAYS) -> Callable[..., Any]:
        """`most`: with more arguments than that the call is allowed."""

        def guarded(*args: Any, **options: Any) -> Any:
            strict = blocks and not self.own_calls
            if self.up and len(args) <= most and (strict or self._calls(_caller(sys._getframe(1)))):
                self.broken = self.broken or f"calls {path}"
                raise ForbiddenCall(f"calls {path}")
            return real(*args, **options)

        return guarded

    def _calls(self, module: str) -> bool:
        return module.partition(".")[0] == self._package and module != LOADING

    @contextmanager
    def at_work(self, own_calls: bool = False) -> Iterator[None]:
        """While the part decides. `own_calls`: beside a virtual world, which opens files and has a fence of its own."""
        self.up, self.own_calls = True, own_calls
        try:
            yield
        finally:
            self.up = False


def _caller(frame: FrameType) -> str:
    """The module that made a call."""
    while (name := str(frame.f_globals.get("__name__", ""))) in THROUGH and frame.f_back is not None:
        frame = frame.f_back
    return name


@contextmanager
def fence_for(package: str) -> Iterator[Fence]:
    """Puts the guards in place. Import the part inside: names that it takes from a module are guarded then."""
    fence = Fence(package)
    places = [*_table(fence), *_waits(fence), *_clocks(fence), *_reads(fence), (datetime, "datetime", _calendar(fence))]
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in places]
    for owner, name, guarded in places:
        setattr(owner, name, guarded)
    try:
        yield fence
    finally:
        for owner, name, real in before:
            setattr(owner, name, real)


def _table(fence: Fence) -> Iterator[tuple[Any, str, Any]]:
    for row in FENCED:
        owner, name = _place(row.module, row.name)
        blocks = not row.why.startswith("refused only")
        yield owner, name, fence.guard(getattr(owner, name), row.path, blocks=blocks)


def _waits(fence: Fence) -> Iterator[tuple[Any, str, Any]]:
    for module, names in BLOCKING.items():
        for path in names:
            owner, name = _place(module, path)
            shown = f"{module}.{path}".removeprefix("builtins.")
            yield owner, name, fence.guard(getattr(owner, name), shown, blocks=True)


def _clocks(fence: Fence) -> Iterator[tuple[Any, str, Any]]:
    for name, most in CLOCKS.items():
        yield time, name, fence.guard(getattr(time, name), f"time.{name}", blocks=False, most=most)


def _reads(fence: Fence) -> Iterator[tuple[Any, str, Any]]:
    variables = type(os.environ)
    for name in ENVIRONMENT:
        yield variables, name, fence.guard(getattr(variables, name), "os.environ", blocks=False)


def _place(module: str, path: str) -> tuple[Any, str]:
    """The owner of the name at the end of a dotted path in a module."""
    owner: Any = importlib.import_module(module)
    *steps, name = path.split(".")
    for step in steps:
        owner = getattr(owner, step)
    return owner, name


def _calendar(fence: Fence) -> type:
    """A `datetime` class whose clock is guarded; the class itself cannot be patched."""
    real = datetime.datetime
    reads = {
        name: staticmethod(fence.guard(getattr(real, name), f"datetime.{name}", blocks=False)) for name in CALENDAR
    }
    kind = type("Kind", (type,), {"__instancecheck__": lambda _cls, one: isinstance(one, real)})
    clock: type = kind("datetime", (real,), reads)
    return clock
