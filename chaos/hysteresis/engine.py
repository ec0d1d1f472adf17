"""The jobs of a map over processes, by the standard library."""

import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

from chaos.hysteresis.points import Finding, Job, perform


def findings(jobs: Sequence[Job], processes: int) -> Iterator[tuple[Job, Finding]]:
    """What becomes of each job, as it comes; one that fails is a finding too.

    A fresh process for every job: memory grows, and a virtual world must not inherit a half-used one. Workers ignore
    Ctrl-C, so that what is under way ends in order while this process stops handing out more.
    """
    pool = ProcessPoolExecutor(
        processes, mp_context=get_context("spawn"), max_tasks_per_child=1, initializer=_ignore_interrupts
    )
    try:
        futures = {pool.submit(perform, job): job for job in jobs}
        for future in as_completed(futures):
            error = future.exception()
            unmeasured = Finding("unmeasured", (), f"{type(error).__name__}: {error}")
            yield futures[future], unmeasured if error is not None else future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
