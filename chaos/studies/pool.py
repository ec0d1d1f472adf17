"""The pool of local processes that carries out the jobs of a study.

Every process of the pool imports this module at its start, before it knows its job, so it imports little itself.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.process import BaseProcess
from typing import Any

from compose.with_parent import end_with
from services.chassis.interrupts import SIGNALS, postponed

SAFE_PATH = "PYTHONSAFEPATH"
KILL_AGAIN_S = 0.05


@contextmanager
def processes(count: int | None) -> Iterator[Executor]:
    """A pool that starts a new process for every run, `count` at a time or one per core.

    Memory grows with each run, and runs must not share interpreter state. Two runs per process are not possible either:
    in Python 3.11 a pool can hang when a process retires after more than one (gh-115634). An exception in the block,
    such as Ctrl-C, kills the processes; if this process is killed, the kernel kills them.
    """
    with _unheard():
        resource_tracker.ensure_running()  # it unblocks signals at its start, so it has to be started first
    before: set[BaseProcess] = set(multiprocessing.active_children())
    workers = count or os.cpu_count() or 1
    pool = _Pool(workers, _Context(), end_with, (os.getpid(),), max_tasks_per_child=1)
    try:
        with _safe_path():
            yield pool
    except BaseException:
        with postponed():
            _kill(pool, before)
        raise
    finally:
        with postponed():
            pool.shutdown(cancel_futures=True)


def _kill(pool: Executor, others: set[BaseProcess]) -> None:
    """Kills the processes of the pool until it has ended.

    Once is not enough: the pool may start one more meanwhile, and that one would wait forever for the lock of the
    result queue, if a killed process held it.
    """
    ending = threading.Thread(target=pool.shutdown, kwargs={"cancel_futures": True})
    ending.start()
    while ending.is_alive():
        for process in set(multiprocessing.active_children()) - others:
            process.kill()  # without waiting: the pool reaps them
        ending.join(KILL_AGAIN_S)


@contextmanager
def _safe_path() -> Iterator[None]:
    """Processes started inside do not import from the working folder: a file `random.py` there shadows no module."""
    before = os.environ.get(SAFE_PATH)
    os.environ[SAFE_PATH] = before or "1"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(SAFE_PATH, None)


@contextmanager
def _unheard() -> Iterator[None]:
    """A child started inside does not receive signals of the terminal: it inherits the blocked signal mask.

    They are also postponed in this process: another thread may receive one, and it would be raised here.
    """
    with postponed():
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Process(SpawnProcess):
    """A pool that breaks terminates its processes and waits for them; these block SIGTERM (`_unheard`)."""

    def terminate(self) -> None:
        self.kill()


class _Context(SpawnContext):
    Process = _Process


class _Pool(ProcessPoolExecutor):
    """A pool whose processes inherit the blocked signals: they are started in `submit` or by a thread started there."""

    def submit(self, *arguments: Any, **options: Any) -> Any:
        with _unheard():
            return super().submit(*arguments, **options)
