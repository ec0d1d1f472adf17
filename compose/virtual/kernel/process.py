"""`Process`: a simulated operating-system process that can be killed or frozen like a real one.

All code of the process carries it in a context variable (`loop.OWNER`): handlers, background tasks, timers, callbacks
of its connections. `kill` acts like SIGKILL: the code gets no more CPU, no `finally` runs, peers see their connections
end. `freeze` acts like SIGSTOP: connections stay open, bytes queue up, due timers wait for `thaw`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import Any, Literal, Protocol, TypeVar

from compose.virtual.kernel.loop import OWNER, SequencedTask, VirtualLoop

T = TypeVar("T")
Callback = TypeVar("Callback", bound=Callable[..., object])


class Abortable(Protocol):
    """A resource closed when the process that holds it dies: a transport, a direct exchange, a listener."""

    def abort(self) -> None:
        """Close it immediately, as the kernel does for a dead process."""


class Process:
    """One simulated process on host `name`, which is also its name for links and name resolution."""

    def __init__(self, name: str, loop: VirtualLoop) -> None:
        self.name = name
        self.state: Literal["running", "frozen", "dead"] = "running"
        self.open: dict[Abortable, None] = {}
        self.remains: list[SequencedTask] = []
        self.loop = loop
        self._context = copy_context()
        self._context.run(OWNER.set, self)

    def __repr__(self) -> str:
        return f"<Process {self.name} {self.state}>"

    def __str__(self) -> str:
        return self.name

    def context(self) -> Context:
        """A new context in which code belongs to this process; it does not contain the caller's variables."""
        return self._context.copy()

    def spawn(self, coro: Coroutine[Any, Any, T], *, name: str | None = None) -> asyncio.Task[T]:
        """Start a task of this process. Raises RuntimeError when the process is dead."""
        if self.state == "dead":
            coro.close()
            raise RuntimeError(f"{self!r} cannot start a task")
        return self.loop.create_task(coro, name=name, context=self.context())

    def kill(self) -> None:
        """SIGKILL: no code of this process runs any more, and all its connections end now.

        The tasks are kept (`remains`) until the world ends. If they were garbage-collected, Python would run their
        `finally` blocks at an arbitrary time.
        """
        if self.state == "dead":
            return
        self.state = "dead"
        self.remains = self.loop.tasks_of(self)
        self.loop.halt(self)
        for connection in list(self.open):
            connection.abort()
        self.open.clear()

    def freeze(self) -> None:
        """SIGSTOP: its code stops running, its state is kept, requests to it hang."""
        if self.state == "running":
            self.state = "frozen"
            self.loop.halt(self)

    def thaw(self) -> None:
        """SIGCONT: run again, starting with the callbacks that became due meanwhile."""
        if self.state == "frozen":
            self.state = "running"
            self.loop.resume(self)

    def reap(self) -> None:
        """At the end of the run: cancel the tasks of a killed process and let them finish; thaw a frozen process."""
        if self.state == "dead":
            for task in self.remains:  # repeated in later rounds: some tasks take the first cancel for a timeout
                task.cancel()
            self.remains = [task for task in self.remains if not task.done()]
            self.loop.wind_up(self, _is_an_end)
        else:
            self.thaw()


def runs_after_death(callback: Callback) -> Callback:
    """Marks a method that still runs after its process has died: `connection_lost`, which aiohttp waits for."""
    callback.runs_after_death = True  # type: ignore[attr-defined]
    return callback


def _is_an_end(callback: Callable[..., object]) -> bool:
    """A step of a (cancelled) task, or a marked method. Requests that arrived after the death are not served."""
    is_step = isinstance(getattr(callback, "__self__", None), asyncio.Task)
    return is_step or getattr(callback, "runs_after_death", False)
