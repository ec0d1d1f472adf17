"""Execution of the jobs of a study on an executor: local processes (`pool.py`) or a Dask cluster.

Campaign, matrix and map run on `study_engine`: one cache of results, one progress bar, one message for Ctrl-C.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, as_completed
from contextlib import AbstractContextManager, contextmanager
from typing import Generic

from rich.console import Console
from rich.progress import Progress, TimeRemainingColumn

from chaos.experiment.runs import RUNS
from chaos.progress.progress import counting
from chaos.studies.cache import Cache, Codec, J, R
from compose.runtime import RuntimeUnavailable

Perform = Callable[[J], R]
Done = Callable[[J, R], None]
STOPPED = "stopped; results so far are cached, and the same command resumes from there"


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
