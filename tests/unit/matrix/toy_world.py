"""A made-up world in which outcomes follow from the mitigations by a rule. Nothing here was measured."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from chaos.studies.matrix.job import MatrixRun
from chaos.studies.matrix.outcomes import COLUMNS, RunOutcome

SCENARIO = "azure-fnj8-vqz-short"


class Inline(Executor):
    """Does everything at once, here, and keeps what it was asked."""

    def __init__(self) -> None:
        self.jobs: list[Any] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        self.jobs.append(args[0])
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except RuntimeError as error:
            future.set_exception(error)
        return future


def world(job: MatrixRun) -> RunOutcome:
    """R2 prevents the first wave, R1 the second, R6 and R7 together too; R7 spares West US; X4 helps at times."""
    on = set(job.mitigations)
    first = "R2" not in on
    second = first and "R1" not in on and not {"R6", "R7"} <= on and not ("X4" in on and job.seed == 1)
    values: dict[str, float | None] = {column.name: 10.0 * second + job.seed / 10 for column in COLUMNS}
    values["impact_a_min"] = 300.0 * first
    values["peak_attempts_per_s"] = 400.0 * second + (200.0 if "R3" in on else 0.0) + job.seed
    values["recovery_min"] = float("inf") if second and "X2" in on else 500.0
    values["worst_success"] = 0.0 if second else 1.0
    return RunOutcome(values, first, second, second and "R7" not in on, not second, 200.0)
