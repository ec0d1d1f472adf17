"""Supervised background tasks: restart policy, backoff and reporting.

    keep     must not end: restarted when it raises or returns
    finish   may end: restarted when it raises
    once     may end, never restarted: an error becomes an event
    call     result and errors go to the caller that awaits it

Restarts back off: `FIRST_DELAY_S`, then doubled up to `DELAY_MAX_S`, so a task resumes within two seconds after its
dependency is back. Each failure is the event `task_failed`. From a failure until the next try has run as long as the
delay before it, `failing` names the task and `/readyz` answers 503.

No other module may create a task (`tests/unit/test_background_tasks.py`): a plain asyncio task is not reported when it
fails and not cancelled when its owner stops.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from services.chassis.clock import Clock

T = TypeVar("T")
Work = Callable[[], Awaitable[object]]

FIRST_DELAY_S = 0.25
DELAY_MAX_S = 2.0

Emit = Callable[..., None]
"""Reports a failure, e.g. `Events.emit`."""


class TaskEnded(RuntimeError):
    """A `keep` task returned, or a task was cancelled from within."""


class Background:
    """The background tasks of one owner. `scope()` makes a child that can be stopped before its parent."""

    def __init__(self, clock: Clock, emit: Emit) -> None:
        self._clock = clock
        self._emit = emit
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._scopes: dict[Background, None] = {}
        self._parent: Background | None = None
        self._failing: dict[object, tuple[str, str, float]] = {}
        self._stopped = False

    def __repr__(self) -> str:
        state = "stopped" if self._stopped else f"{len(self._tasks)} tasks, {len(self._scopes)} scopes"
        return f"<Background {state}, failing: {', '.join(self.failing) or 'none'}>"

    def scope(self) -> "Background":
        """A child that can be stopped on its own; its failing tasks count as failing here too."""
        made = Background(self._clock, self._emit)
        made._parent = self
        made._stopped = self._stopped
        self._scopes[made] = None
        return made

    @property
    def failing(self) -> dict[str, str]:
        """Tasks that wait for a restart, or restarted too recently to be trusted, with their last error."""
        now = self._clock.now()
        found = {name: error for name, error, until in self._failing.values() if now < until}
        for scope in self._scopes:
            found |= scope.failing
        return found

    def __len__(self) -> int:
        return len(self._tasks) + sum(len(scope) for scope in self._scopes)

    # --- starting ----------------------------------------------------------------------------------------

    def keep(self, work: Work, name: str) -> asyncio.Task[None]:
        """Runs `work` until stopped; restarts it whenever it ends."""
        return self._start(self._supervise(work, name, may_end=False), name)

    def finish(self, work: Work, name: str) -> asyncio.Task[None]:
        """Runs `work` until it returns; restarts it when it raises."""
        return self._start(self._supervise(work, name, may_end=True), name)

    async def complete(self, work: Work, name: str, errors: tuple[type[Exception], ...]) -> None:
        """Like `finish`, but in the caller's own task: returns when `work` does. Raises errors other than `errors`."""
        await self._supervise(work, name, may_end=True, errors=errors)

    def once(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Runs `work` once; an error only emits an event."""
        task = self._start(work, name)
        task.add_done_callback(self._report)
        return task

    def call(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        """Runs `work` for a caller that takes its result or its error."""
        return self._start(work, name)

    def _start(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        if self._stopped:
            task.cancel()  # before its first step: none of it runs
        else:
            self._tasks[task] = None
            task.add_done_callback(self._forget)
        return task

    def _forget(self, task: asyncio.Task[Any]) -> None:
        del self._tasks[task]

    def _report(self, task: asyncio.Task[Any]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._emit("task_failed", task=task.get_name(), error=repr(error))

    # --- supervising -------------------------------------------------------------------------------------

    async def _supervise(
        self, work: Work, name: str, *, may_end: bool, errors: tuple[type[Exception], ...] = (Exception,)
    ) -> None:
        key, delay_s = object(), FIRST_DELAY_S
        try:
            while True:
                began = self._clock.now()
                error = await _attempt(work, may_end, errors)
                if error is None:
                    return
                if self._clock.now() - began > 2 * DELAY_MAX_S:
                    delay_s = FIRST_DELAY_S  # it has worked in between
                self._failing[key] = name, repr(error), math.inf
                self._emit("task_failed", task=name, error=repr(error), restart_s=delay_s)
                await asyncio.sleep(delay_s)
                self._failing[key] = name, repr(error), self._clock.now() + delay_s
                delay_s = min(DELAY_MAX_S, 2 * delay_s)
        finally:
            self._failing.pop(key, None)

    # --- ending ------------------------------------------------------------------------------------------

    async def stop(self) -> None:
        """Cancels all tasks and returns when they have ended. Work that is started later does not run."""
        self._stopped = True
        if self._parent is not None:
            self._parent._scopes.pop(self, None)
        for scope in list(self._scopes):
            await scope.stop()
        while tasks := [task for task in self._tasks if task is not asyncio.current_task()]:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _attempt(work: Work, may_end: bool, errors: tuple[type[Exception], ...]) -> Exception | None:
    """Runs one try; returns its error, or None."""
    try:
        await work()
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        return TaskEnded(f"cancelled from within: {error}")
    except errors as error:
        return error
    return None if may_end else TaskEnded("it returned")
