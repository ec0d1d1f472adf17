"""Execution of the jobs of a study in local processes or on a Dask cluster, through `concurrent.futures` executors.

Campaign, matrix and map run on `study_engine`: one cache of results, one progress bar, one message for Ctrl-C.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.process import BaseProcess
from typing import Any, Generic

from rich.console import Console
from rich.progress import Progress, TimeRemainingColumn

from chaos.experiment.runs import RUNS
from chaos.progress.progress import counting
from chaos.studies.cache import Cache, Codec, J, R
from compose.runtime import RuntimeUnavailable
from compose.with_parent import end_with
from services.chassis.interrupts import SIGNALS, postponed

Perform = Callable[[J], R]
Done = Callable[[J, R], None]
SAFE_PATH = "PYTHONSAFEPATH"
KILL_AGAIN_S = 0.05
STOPPED = "stopped; results so far are cached, and the same command resumes from there"


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

    Once is not enough: the pool may start one more meanwhile, and that one would wait for ever for the lock of the
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


@contextmanager
def cluster(address: str, timeout_s: float = 10.0) -> Iterator[Executor]:
    """The workers of a Dask scheduler. They need this package, and the scenario file if it is not a built-in scenario.

    Raises:
        RuntimeUnavailable: Dask is not installed, or the scheduler does not answer.
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
    """Gives the results of jobs, from the cache if possible. `computed` counts the runs executed."""

    def __init__(
        self, executor: Executor, perform: Perform[J, R], cache: Cache[J, R], progress: Progress | None = None
    ) -> None:
        self._executor, self._perform, self._cache = executor, perform, cache
        self._progress = progress or Progress(disable=True)
        self._known: dict[J, R] = {}
        self.computed = 0

    def outcomes(
        self, jobs: Iterable[J], name: str = "runs", done: Done[J, R] = lambda _job, _result: None
    ) -> dict[J, R]:
        """Result by job, with a progress bar `name`.

        A failed run gives a result with a problem, which is not cached.
        """
        wanted = list(dict.fromkeys(jobs))
        bar = self._progress.add_task(name, total=len(wanted))

        def finish(job: J, result: R) -> None:
            self._known[job] = result
            self._progress.advance(bar)
            done(job, result)

        missing = []
        for job in wanted:
            found = self._known.get(job) or self._cache.get(job)
            if found is None:
                missing.append(job)
            else:
                finish(job, found)
        futures = {self._executor.submit(self._perform, job): job for job in missing}
        for future in as_completed(futures):
            job, error = futures[future], future.exception()
            self.computed += 1
            if error is not None:
                finish(job, self._cache.codec.failed(job, f"{type(error).__name__}: {error}"))
                continue
            self._cache.put(job, future.result())
            finish(job, future.result())
        return {job: self._known[job] for job in wanted}

    def __repr__(self) -> str:
        return f"<StudyEngine {len(self._known)} known, {self.computed} computed>"


@contextmanager
def study_engine(
    codec: Codec[J, R], perform: Perform[J, R], executor: AbstractContextManager[Executor], console: Console
) -> Iterator[StudyEngine[J, R]]:
    """The engine of one command. Results are cached as they arrive, so an interrupt does not lose them."""
    cache = Cache(RUNS / f"{codec.study}-cache", codec)
    bars = Progress(*counting(), TimeRemainingColumn(), console=console, transient=True)
    try:
        with executor as running, bars as progress:
            yield StudyEngine(running, perform, cache, progress)
    except KeyboardInterrupt:
        console.print(STOPPED)
        raise
