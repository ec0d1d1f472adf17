"""A scenario run in virtual time in a separate process, for a testbed that does not support runs.

The local testbed of `aftershock serve` already uses the machine's capacity; a second set of processes would distort the
measurements. The virtual run takes seconds and does not affect the testbed. Its record is that of `aftershock run`.
"""

import asyncio
from contextlib import suppress
from pathlib import Path

from chaos.controller.run_state import ControlledRun
from chaos.controller.telling import Telling
from chaos.experiment.plan import Plan
from chaos.report.files import VERDICT_FILE
from compose.children import Child, end, python
from services.chassis.background import Background

RUNTIME = "virtual"


class RunApart(ControlledRun):
    """One run, with the same states as a run on the testbed."""

    def __init__(self, plan: Plan, folder: Path, telling: Telling, background: Background) -> None:
        super().__init__(plan, folder, RUNTIME, telling, background)

    def start(self) -> None:
        child = Child(f"run {self.folder.name}", self._command(), self._log)
        self._become("running")
        self._task = self._background.once(self._follow(child), child.name)

    async def abort(self) -> None:
        """Ends the process; the record so far is kept."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def _command(self) -> list[str]:
        plan = self.plan
        words = ["-m", "chaos", "run", plan.scenario.name, "--runtime", RUNTIME, "--transport", "direct"]
        words += ["--seed", str(plan.seed), "--out", str(self.folder)]
        return python(*words, *(["--with", ",".join(plan.mitigations)] if plan.mitigations else []))

    @property
    def _log(self) -> Path:
        """The log file, next to the folder, which must be empty at the start of a run."""
        return self.folder.with_name(f".{self.folder.name}.log")

    async def _follow(self, child: Child) -> None:
        try:
            await child.wait()
            judged = (self.folder / VERDICT_FILE).is_file()
            self._become(*(("done", "") if judged else ("failed", child.exit_summary())))
        except asyncio.CancelledError:
            self._become("aborted")
            raise
        finally:
            await end([child])
            with suppress(OSError):
                self._log.unlink(missing_ok=True)
