"""An Azure DevOps pipeline run: it needs an agent, which is a new machine with the agent extension.

The run has a time limit. The agent's machine has its own timeout, and its provisioning continues if the run fails.
"""

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any, Literal

from pydantic import Field

from loadgen.journeys.base import BaseJourneyParameters
from loadgen.machines import Extension, Machine, Machines, outcome
from loadgen.site import FAILED, SUCCESS, JourneyOutcome, Site, Steps
from services.clients.arm import Ended

OPERATION = "run_pipeline"
TIMED_OUT = "AgentWaitTimeout"

AwaitedAgent = asyncio.Future["Machine | Ended | None"]
"""The machine, or how its provisioning ended, or None if the run timed out first."""


class PipelineParameters(BaseJourneyParameters):
    kind: Literal["pipeline"]
    extension: Extension
    timeout_s: Annotated[float, Field(gt=0)]
    """A run without an agent fails after this long."""
    run_s: Annotated[float, Field(ge=0)]
    """Duration of the tasks on the agent."""
    patience_mean_s: Annotated[float, Field(gt=0)] | None = None
    """Patience of the agent pool for one machine; default: the setting of the same name."""


class PipelineJourney:
    """Pipeline runs in one region."""

    def __init__(self, site: Site, parameters: PipelineParameters) -> None:
        self._site = site
        self._parameters = parameters
        self._machines = Machines(site, "vm", parameters.extension)

    def setup(self) -> Steps:
        return []

    def start(self, planned: float) -> Coroutine[Any, Any, JourneyOutcome] | None:
        agent: AwaitedAgent = asyncio.get_running_loop().create_future()
        patience_s = self._site.patience(self._parameters.patience_mean_s)
        self._site.tools.spawn(self._order(agent, planned + patience_s))
        return self._run(agent, planned + self._parameters.timeout_s)

    async def _order(self, agent: AwaitedAgent, deadline: float) -> None:
        """Provisions an agent for one run; if it is too late, it is deleted."""
        machine = self._machines.new()
        ended = await self._machines.create(machine, deadline)
        if not agent.done():
            agent.set_result(machine if ended.ok else ended)
        elif ended.ok:
            await self._discard(machine)

    async def _run(self, agent: AwaitedAgent, deadline: float) -> JourneyOutcome:
        left_s = max(0.0, deadline - self._site.tools.now)
        timer = asyncio.get_running_loop().call_later(left_s, _time_out, agent)
        machine = await agent
        timer.cancel()
        if machine is None:
            return JourneyOutcome(FAILED, OPERATION, TIMED_OUT)
        if isinstance(machine, Ended):
            return outcome(machine, OPERATION)
        await asyncio.sleep(self._parameters.run_s)
        await self._discard(machine)
        return JourneyOutcome(SUCCESS, OPERATION)

    async def _discard(self, machine: Machine) -> None:
        if self._site.tools.settings.discard_used:
            await self._machines.discard(machine)


def _time_out(agent: AwaitedAgent) -> None:
    if not agent.done():
        agent.set_result(None)
