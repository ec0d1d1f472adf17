"""Jobs to outcomes, over processes or a cluster. Both are `concurrent.futures` executors; neither is ours."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from multiprocessing import get_context

from chaos.matrix.cache import Cache
from chaos.matrix.job import Job, perform, perform_apart
from chaos.matrix.outcomes import Outcome
from compose.runtime import RuntimeUnavailable

Perform = Callable[[Job], Outcome]
Done = Callable[[Job, Outcome], None]


@contextmanager
def processes(count: int) -> Iterator[tuple[Executor, Perform]]:
    """A fresh process for every run: memory grows, and a virtual world must not inherit a half-used one.

    Not two runs a process: in Python 3.11 a pool can hang when a process retires after more than one (gh-115634).
    """
    pool = ProcessPoolExecutor(count, mp_context=get_context("spawn"), max_tasks_per_child=1)
    try:
        yield pool, perform
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def cluster(address: str) -> Iterator[tuple[Executor, Perform]]:
    """The workers of a Dask scheduler. They need this package installed, and the scenario's file if it is one.

    Raises:
        RuntimeUnavailable: without Dask, or without an answer at the address.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise RuntimeUnavailable("--scheduler needs Dask: pip install 'aftershock[cluster]'") from error
    try:
        client = Client(address, timeout=10)
    except (OSError, ValueError) as error:
        raise RuntimeUnavailable(f"no Dask scheduler at {address}: {error}") from error
    with client:
        yield client.get_executor(pure=False), perform_apart


class Engine:
    """Gives every job's outcome, from the cache where it is known. `computed` counts the runs that were needed."""

    def __init__(self, executor: Executor, perform: Perform, cache: Cache) -> None:
        self._executor, self._perform, self._cache = executor, perform, cache
        self._known: dict[Job, Outcome] = {}
        self.computed = 0

    def outcomes(self, jobs: Iterable[Job], done: Done = lambda _job, _outcome: None) -> dict[Job, Outcome]:
        """Outcome by job. A run that fails is an outcome with a problem, and is not kept."""
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
                self._finish(job, Outcome(problem=f"{type(error).__name__}: {error}"), done)
                continue
            self._cache.put(job, future.result())
            self._finish(job, future.result(), done)
        return {job: self._known[job] for job in wanted}

    def _finish(self, job: Job, outcome: Outcome, done: Done) -> None:
        self._known[job] = outcome
        done(job, outcome)

    def __repr__(self) -> str:
        return f"<Engine {len(self._known)} known, {self.computed} computed>"
