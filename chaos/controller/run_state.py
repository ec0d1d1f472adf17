"""What a run on the testbed and a run apart have in common: identity, state, and the document of both."""

import asyncio
from pathlib import Path
from typing import Any

from chaos.controller.telling import Telling
from chaos.experiment.plan import Plan
from services.chassis.background import Background

ENDED = frozenset({"done", "failed", "aborted"})


class ControlledRun:
    """One run that the controller started. `why` is the reason of a failure.

    `state` is starting, running, settling, judging, done, failed or aborted.
    """

    def __init__(self, plan: Plan, folder: Path, runtime_name: str, telling: Telling, background: Background) -> None:
        self.plan = plan
        self.folder = folder
        self.state = "starting"
        self.why = ""
        self.now: dict[str, Any] = {}
        self.zero_epoch_s = 0.0
        self._runtime_name = runtime_name
        self._telling = telling
        self._background = background
        self._task: asyncio.Task[None] | None = None

    @property
    def active(self) -> bool:
        return self._task is not None and not self._task.done()

    def document(self) -> dict[str, Any]:
        return {
            "id": self.folder.name,
            "scenario": self.plan.scenario.name,
            "seed": self.plan.seed,
            "size": self.plan.scenario.size,
            "mitigations": list(self.plan.mitigations),
            "runtime": self._runtime_name,
            "state": self.state,
            "why": self.why,
            "duration_s": self.plan.duration_s,
            "zero_epoch_s": self.zero_epoch_s,
            "now": self.now,
        }

    def _become(self, state: str, why: str = "") -> None:
        self.state, self.why = state, why
        self._telling.state("run", id=self.folder.name, state=state, why=why)
