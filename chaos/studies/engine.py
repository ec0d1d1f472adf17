"""Jobs to results, over processes or a cluster. Both are `concurrent.futures` executors; neither is ours."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import resource_tracker
from typing import Any, Generic

from chaos.studies.cache import Cache, J, R
from compose.runtime import RuntimeUnavailable
from compose.with_parent import end_with
from services.chassis.interrupts import SIGNALS, postponed

Perform = Callable[[J], R]
Done = Callable[[J, R], None]


@contextmanager
def processes(count: int) -> Iterator[Executor]:
    """A fresh process for every run: memory grows, and a virtual world must not inherit a half-used one.

    Not two runs a process: in Python 3.11 a pool can hang when a process retires after more than one (gh-115634).
    Whatever ends the block early, Ctrl-C above all, ends the processes too; if nothing can, because this process was
    killed, the kernel does.
    """
    os.environ.setdefault("PYTHONSAFEPATH", "1")  # a file `random.py` of the user's is not the module `random`
    with _unheard():
        resource_tracker.ensure_running()  # it unblocks signals when it starts, so it must have started before
    before = set(multiprocessing.active_children())
    pool = _Pool(count, multiprocessing.get_context("spawn"), end_with, (os.getpid(),), max_tasks_per_child=1)
    try:
        yield pool
    except BaseException:
        with postponed():
            for process in set(multiprocessing.active_children()) - before:
                process.kill()  # the pool reaps them: two who wait for one process disagree about its end
        raise
    finally:
        with postponed():
            pool.shutdown(cancel_futures=True)


@contextmanager
def _unheard() -> Iterator[None]:
    """A child begun inside never hears what a terminal sends to all: it inherits the blocked signals.

    They are postponed too: another thread of this process may be sent one, and it would be raised here all the same.
    """
    with postponed():
        before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Pool(ProcessPoolExecutor):
    """Its first processes are begun in `submit`, the others by a thread that is."""

    def submit(self, *arguments: Any, **options: Any) -> Any:
        with _unheard():
            return super().submit(*arguments, **options)


@contextmanager
def cluster(address: str, timeout_s: float = 10.0) -> Iterator[Executor]:
    """The workers of a Dask scheduler. They need this package installed, and the scenario's file if it is one.

    Raises:
        RuntimeUnavailable: without Dask, or without an answer at the address.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise RuntimeUnavailable("--scheduler needs Dask: pip install 'aftershock[cluster]'") from error
    try:
        client = Client(address, timeout=timeout_s, set_as_default=False)
    except (OSError, ValueError) as error:
        raise RuntimeUnavailable(f"no Dask scheduler at {address}: {error}") from error
    with client:
        yield client.get_executor(pure=False)


class StudyEngine(Generic[J, R]):
    """Gives every job's result, from the cache where it is known. `computed` counts the runs that were needed."""

    def __init__(self, executor: Executor, perform: Perform[J, R], cache: Cache[J, R]) -> None:
        self._executor, self._perform, self._cache = executor, perform, cache
        self._known: dict[J, R] = {}
        self.computed = 0

    def outcomes(self, jobs: Iterable[J], done: Done[J, R] = lambda _job, _result: None) -> dict[J, R]:
        """Result by job. A run that fails is a result with a problem, and is not kept."""
        wanted = list(dict.fromkeys(jobs))
        missing = []
        for job in wanted:
            found = self._known.get(job) or self._cache.get(job)
            if found is None:
                missing.append(job)
            else:
                self._finish(job, found, done)
        futures = {self._executor.submit(self._perform, job): job for job in missing}
        for future in as_completed(futures):
            job, error = futures[future], future.exception()
            self.computed += 1
            if error is not None:
                self._finish(job, self._cache.codec.failed(job, f"{type(error).__name__}: {error}"), done)
                continue
            self._cache.put(job, future.result())
            self._finish(job, future.result(), done)
        return {job: self._known[job] for job in wanted}

    def _finish(self, job: J, result: R, done: Done[J, R]) -> None:
        self._known[job] = result
        done(job, result)

    def __repr__(self) -> str:
        return f"<StudyEngine {len(self._known)} known, {self.computed} computed>"
