"""`Process`: a simulated operating-system process, to be killed or frozen like a real one.

Everything that runs on its behalf carries it in a context variable (`loop.OWNER`): handlers, background
tasks, timers, the callbacks of its connections. So `kill` is SIGKILL: the code gets no more CPU, no
`finally` runs, peers see their connections end. `freeze` is SIGSTOP: connections stay open, bytes queue up,
timers that fall due wait for `thaw`.
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
    """What a process holds open and its death cuts: a transport, a direct exchange, a listener."""

    def abort(self) -> None:
        """End it at once, as the kernel does for a dead process."""


class Process:
    """One simulated process on host `name`; the name is also what links and resolvers see."""

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
        """A fresh context in which code belongs to this process; the caller's own variables stay outside."""
        return self._context.copy()

    def spawn(self, coro: Coroutine[Any, Any, T], *, name: str | None = None) -> asyncio.Task[T]:
        """Start a task of this process."""
        if self.state == "dead":
            coro.close()
            raise RuntimeError(f"{self!r} cannot start a task")
        return self.loop.create_task(coro, name=name, context=self.context())

    def kill(self) -> None:
        """SIGKILL: no code of this process runs any more, and every connection it had ends now.

        The tasks are kept (`remains`) until the world ends: if they were collected, Python would run their
        `finally` blocks, at a moment nobody chose.
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
        """SIGSTOP: nothing of it runs, nothing is lost; requests to it hang."""
        if self.state == "running":
            self.state = "frozen"
            self.loop.halt(self)

    def thaw(self) -> None:
        """SIGCONT."""
        if self.state == "frozen":
            self.state = "running"
            self.loop.resume(self)

    def bury(self) -> None:
        """Let the tasks of a killed process end, once nobody watches any more; thaw a frozen one."""
        if self.state == "dead":
            for task in self.remains:  # again as long as there are any: some take the first one for a timeout
                task.cancel()
            self.remains = [task for task in self.remains if not task.done()]
            self.loop.wind_up(self, _is_an_end)
        else:
            self.thaw()


def runs_after_death(callback: Callback) -> Callback:
    """Marks a method that still runs when its process is dead: the loss of a connection, which aiohttp waits for."""
    callback.runs_after_death = True  # type: ignore[attr-defined]
    return callback


def _is_an_end(callback: Callable[..., object]) -> bool:
    """A step of a task, which has been cancelled, or a marked method. What arrived after the death is not served."""
    is_step = isinstance(getattr(callback, "__self__", None), asyncio.Task)
    return is_step or getattr(callback, "runs_after_death", False)
