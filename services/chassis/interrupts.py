"""Ctrl-C, SIGTERM and SIGHUP, which all mean the same: close what is open and go.

A signal arrives between any two instructions, also in the middle of writing a file. So there are three ways to hear
one: it is raised as `Interrupted` where nothing is at stake; inside `told` a function hears of it, for whoever has an
event loop to end in order; inside `postponed` it waits until the block is done.
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
"""Whoever asks so often does not want to wait for what is being closed. Children end by themselves then."""

Told = Callable[["Interrupted"], None]


class Interrupted(KeyboardInterrupt):
    """A signal that asks the program to end. `code` is the exit code that says so."""

    def __init__(self, number: int) -> None:
        super().__init__(WORDS[signal.Signals(number)])
        self.code = 128 + number


class _Hearing:
    """Who hears the next signal; one for the process, as signals are."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.count = 0

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        self.count += 1
        if self.count >= SIGNALS_UNTIL_EXIT and self.told:
            os._exit(128 + number)
        if not self.told:
            raise Interrupted(number)
        self.told[-1](Interrupted(number))


_HEARING = _Hearing()


@contextmanager
def listening() -> Iterator[None]:
    """The three signals are heard inside; outside they do what they did before. Only a main thread can hear."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _HEARING.count = 0
    # A background job of a shell has SIGINT ignored, and `nohup` SIGHUP: that is to stay.
    heard = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, _HEARING) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def told(hear: Told) -> Iterator[None]:
    """Inside, a signal calls `hear` and raises nothing."""
    _HEARING.told.append(hear)
    try:
        yield
    finally:
        _HEARING.told.pop()


@contextmanager
def postponed() -> Iterator[None]:
    """Inside, a signal waits; the first of them is raised at the end of the block."""
    waiting: list[Interrupted] = []
    with told(waiting.append):
        yield
    if waiting:
        raise waiting[0]


def run(main: Coroutine[Any, Any, T]) -> T:
    """Runs `main` on a uvloop; the first signal cancels it, so that it stops what it started; more are not needed.

    Raises:
        Interrupted: when a signal came, once `main` has ended.
    """
    import uvloop

    heard: list[Interrupted] = []
    cancel: list[Callable[[], object]] = []

    def hear(interrupted: Interrupted) -> None:
        heard.append(interrupted)
        if len(heard) == 1:
            _mention(f"{interrupted}: stopping …")
            for one in cancel:
                one()
        else:
            _mention("still stopping; once more to leave at once")

    async def supervised() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        if task is not None:
            cancel.append(lambda: loop.call_soon_threadsafe(task.cancel))
        if heard:
            main.close()
            raise heard[0]
        return await main

    try:
        with told(hear):
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
