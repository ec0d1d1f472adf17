"""A GitHub Actions job: it waits for a hosted runner, for a limited time, and runs on it.

It can fail only with a timeout in the queue, never with a storage error: the job calls only the runner pool.
"""

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from loadgen.journeys.base import BaseJourneyParameters, Weights
from loadgen.machines import MachineNeeds
from loadgen.site import FAILED, SUCCESS, JourneyOutcome, Site, Steps

RUNNER_TYPES = ("standard", "larger")
RunnerType = Literal["standard", "larger"]


class JobParameters(BaseJourneyParameters):
    """Common parameters of jobs on hosted runners."""

    runner_types: dict[RunnerType, Annotated[float, Field(gt=0)]]
    """Relative weight of each runner type."""
    run_s: Annotated[float, Field(ge=0)]
    """Duration of the job on its runner."""
    wait_s: Annotated[float, Field(gt=0)] | None = None
    """Longest wait for a runner; default: the setting `runner_wait_s`."""


class RunnerJobParameters(JobParameters):
    kind: Literal["runner_job"]
    machines: dict[RunnerType, MachineNeeds]
    """What the pool's machines need, by runner type."""

    @field_validator("machines")
    @classmethod
    def _every_type(cls, value: dict[RunnerType, MachineNeeds]) -> dict[RunnerType, MachineNeeds]:
        missing = [name for name in RUNNER_TYPES if name not in value]
        if missing:
            raise ValueError(f"missing: {', '.join(missing)}")
        return value


class RunnerJobJourney:
    """Jobs of one tenant in one region."""

    operation = "run_job"
    timeout_code = "RunnerWaitTimeout"

    def __init__(self, site: Site, parameters: JobParameters) -> None:
        self._site = site
        self._parameters = parameters
        self._types: Weights = {str(name): weight for name, weight in parameters.runner_types.items()}

    def setup(self) -> Steps:
        return []

    def start(self, planned: float) -> Coroutine[Any, Any, JourneyOutcome] | None:
        runner_type = self._site.choose(self._types)
        self._site.tools.pools[self._site.region].order(runner_type)
        wait_s = self._parameters.wait_s or self._site.tools.settings.runner_wait_s
        return self._run(runner_type, planned + wait_s)

    async def _run(self, runner_type: str, deadline: float) -> JourneyOutcome:
        pool = self._site.tools.pools[self._site.region]
        detail = {"runner": runner_type}
        runner = await pool.acquire(runner_type, deadline)
        if runner is None:
            return JourneyOutcome(FAILED, self.operation, self.timeout_code, detail)
        await asyncio.sleep(self._parameters.run_s)
        pool.release(runner_type, runner)
        return JourneyOutcome(SUCCESS, self.operation, "", detail)
