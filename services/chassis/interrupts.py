"""SIGINT, SIGTERM and SIGHUP: all three request an orderly shutdown.

A signal can arrive between any two instructions, even while a file is being written. There are three ways to handle
one: by default it is raised as `Interrupted`; inside `on_signal` it calls a function, e.g. to stop an event loop in
order; inside `postponed` it is deferred to the end of the block.
"""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated", signal.SIGHUP: "hung up"}
SIGNALS_UNTIL_EXIT = 3
"""The signal with this number exits at once, without an orderly shutdown. Child processes then end by themselves."""

SignalHandler = Callable[["Interrupted"], None]


class Interrupted(KeyboardInterrupt):
    """A signal requested shutdown. `code` is the matching exit code."""

    def __init__(self, number: int) -> None:
        super().__init__(WORDS[signal.Signals(number)])
        self.code = 128 + number


class _SignalHandling:
    """The current signal handling; one per process, because signals are."""

    def __init__(self) -> None:
        self.handlers: list[SignalHandler] = []
        self.count = 0

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        self.count += 1
        if self.count >= SIGNALS_UNTIL_EXIT and self.handlers:
            os._exit(128 + number)
        if not self.handlers:
            raise Interrupted(number)
        self.handlers[-1](Interrupted(number))


_HANDLING = _SignalHandling()


@contextmanager
def listening(*, last: bool = False) -> Iterator[None]:
    """Handles the three signals inside the block; does nothing outside the main thread, where Python allows none.

    Args:
        last: the process ends after the block. A further signal then ends it at once with the exit code that a shell
            shows for it, instead of raising somewhere in the interpreter's shutdown.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _HANDLING.count = 0
    # Shells ignore SIGINT for background jobs, and `nohup` ignores SIGHUP: leave those ignored.
    heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, _HANDLING) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if last else handler)


@contextmanager
def on_signal(handler: SignalHandler) -> Iterator[None]:
    """Inside the block, a signal calls `handler` instead of raising."""
    _HANDLING.handlers.append(handler)
    try:
        yield
    finally:
        _HANDLING.handlers.pop()


@contextmanager
def postponed() -> Iterator[None]:
    """Inside the block, signals are deferred; the first one is raised at its end."""
    waiting: list[Interrupted] = []
    with on_signal(waiting.append):
        yield
    if waiting:
        raise waiting[0]


def run(main: Coroutine[Any, Any, T]) -> T:
    """Runs `main` on uvloop. The first signal cancels `main`, which then stops what it started.

    Raises:
        Interrupted: after `main` has ended, if a signal arrived.
    """
    import uvloop

    heard: list[Interrupted] = []
    cancel: list[Callable[[], object]] = []

    def handle(interrupted: Interrupted) -> None:
        heard.append(interrupted)
        if len(heard) == 1:
            _mention(f"{interrupted}: stopping …")
            for one in cancel:
                one()
        else:
            _mention("still stopping; repeat to exit at once")

    async def supervised() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        if task is not None:
            cancel.append(lambda: loop.call_soon_threadsafe(task.cancel))
        if heard:
            main.close()
            raise heard[0]
        return await main

    try:
        with on_signal(handle):
            result = uvloop.run(supervised())
    except BaseException as error:
        if heard:
            raise heard[0] from error
        raise
    if heard:
        raise heard[0]
    return result


def _mention(text: str) -> None:
    with suppress(OSError, ValueError, AttributeError):
        print(text, file=sys.stderr, flush=True)
