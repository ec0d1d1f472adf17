"""The jobs of a map over an executor; the processes are those of the matrix."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, as_completed

from chaos.studies.map.points import MapFinding, MapRun, perform


def findings(jobs: Sequence[MapRun], executor: Executor) -> Iterator[tuple[MapRun, MapFinding]]:
    """What becomes of each job, as it comes. One that fails is a finding too: a point that was not measured."""
    futures = {executor.submit(perform, job): job for job in jobs}
    for future in as_completed(futures):
        error = future.exception()
        unmeasured = MapFinding("unmeasured", (), f"{type(error).__name__}: {error}")
        yield futures[future], unmeasured if error is not None else future.result()
