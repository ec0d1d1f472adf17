"""A scenario in virtual time, in a process of its own: on a testbed that cannot carry a run out itself.

`aftershock serve` holds one machine's worth of processes; a second set for a run would change what is measured. The run
takes seconds instead, and touches nothing of the testbed. Its record is the same as that of `aftershock run`.
"""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

from chaos.controller.telling import Telling
from chaos.experiment.plan import Plan
from chaos.report.files import VERDICT_FILE
from compose.children import Child, end, python
from services.chassis.background import Background

RUNTIME = "virtual"


class RunApart:
    """One run; its states are those of a run on the testbed."""

    def __init__(self, plan: Plan, folder: Path, telling: Telling, background: Background) -> None:
        self.plan = plan
        self.folder = folder
        self.state = "starting"
        self.why = ""
        self._telling = telling
        self._background = background
        self._task: asyncio.Task[None] | None = None

    @property
    def active(self) -> bool:
        return self._task is not None and not self._task.done()

    def start(self) -> None:
        child = Child(f"run {self.folder.name}", self._command(), self._log)
        self._become("running")
        self._task = self._background.once(self._follow(child), child.name)

    async def abort(self) -> None:
        """Ends the process; what it has recorded so far stays."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def document(self) -> dict[str, Any]:
        return {
            "id": self.folder.name,
            "scenario": self.plan.scenario.name,
            "seed": self.plan.seed,
            "mitigations": list(self.plan.mitigations),
            "runtime": RUNTIME,
            "state": self.state,
            "why": self.why,
            "duration_s": self.plan.duration_s,
            "zero_epoch_s": 0.0,
            "now": {},
        }

    def _command(self) -> list[str]:
        plan = self.plan
        words = ["-m", "chaos", "run", plan.scenario.name, "--runtime", RUNTIME, "--transport", "direct"]
        words += ["--seed", str(plan.seed), "--out", str(self.folder)]
        return python(*words, *(["--with", ",".join(plan.mitigations)] if plan.mitigations else []))

    @property
    def _log(self) -> Path:
        """Beside the folder, which has to be empty for a run to write in it."""
        return self.folder.with_name(f".{self.folder.name}.log")

    async def _follow(self, child: Child) -> None:
        try:
            await child.wait()
            judged = (self.folder / VERDICT_FILE).is_file()
            self._become(*(("done", "") if judged else ("failed", child.last_words())))
        except asyncio.CancelledError:
            self._become("aborted")
            raise
        finally:
            await end([child])
            with suppress(OSError):
                self._log.unlink(missing_ok=True)

    def _become(self, state: str, why: str = "") -> None:
        self.state, self.why = state, why
        self._telling.state("run", id=self.folder.name, state=state, why=why)
