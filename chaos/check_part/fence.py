"""Refuses what a part must not use while it is at work: clocks, chance, and calls that block."""

import builtins
import datetime
import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from compose.virtual.kernel.boundary_table import FENCED
from services.parts.kind import PartError

BLOCKING = ("open", "input")
CALENDAR = ("now", "utcnow", "today")


class ForbiddenCall(PartError):
    """A part has used what no part may use."""


class Fence:
    """Forbids calls while `up`: those that block to all, unless `own_calls`, the others to the part's package."""

    def __init__(self, package: str) -> None:
        self._package = package
        self.up = self.own_calls = False

    def guard(self, real: Callable[..., Any], path: str, *, blocks: bool) -> Callable[..., Any]:
        def guarded(*args: Any, **options: Any) -> Any:
            strict = blocks and not self.own_calls
            if self.up and (strict or self._calls(sys._getframe(1).f_globals.get("__name__", ""))):
                raise ForbiddenCall(f"calls {path}")
            return real(*args, **options)

        return guarded

    def _calls(self, module: str) -> bool:
        return module.partition(".")[0] == self._package

    @contextmanager
    def at_work(self, own_calls: bool = False) -> Iterator[None]:
        """While the part decides. `own_calls`: beside a virtual world, which opens files and has a fence of its own."""
        self.up, self.own_calls = True, own_calls
        try:
            yield
        finally:
            self.up = False


@contextmanager
def fence_for(package: str) -> Iterator[Fence]:
    """Puts the guards in place. Import the part inside: names that it takes from a module are guarded then."""
    fence = Fence(package)
    places = [*_table(fence), *_builtins(fence), (datetime, "datetime", _calendar(fence))]
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
        owner: Any = importlib.import_module(row.module)
        *path, name = row.name.split(".")
        for step in path:
            owner = getattr(owner, step)
        blocks = not row.why.startswith("refused only")
        yield owner, name, fence.guard(getattr(owner, name), row.path, blocks=blocks)


def _builtins(fence: Fence) -> Iterator[tuple[Any, str, Any]]:
    for name in BLOCKING:
        yield builtins, name, fence.guard(getattr(builtins, name), name, blocks=True)


def _calendar(fence: Fence) -> type:
    """A `datetime` class whose clock is guarded; the class itself cannot be patched."""
    real = datetime.datetime
    reads = {
        name: staticmethod(fence.guard(getattr(real, name), f"datetime.{name}", blocks=False)) for name in CALENDAR
    }
    kind = type("Kind", (type,), {"__instancecheck__": lambda _cls, one: isinstance(one, real)})
    clock: type = kind("datetime", (real,), reads)
    return clock
