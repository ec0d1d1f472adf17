"""A scenario under way on the testbed: the same experiment as everywhere, watched over HTTP, aborted with roll-back."""

import asyncio
from pathlib import Path
from typing import Any

from chaos.claims.verdict import judge
from chaos.controller.feed import Feed
from chaos.experiment import Experiment, UnhealthyBaseline
from chaos.plan import Plan
from chaos.progress import glance
from chaos.record import Record
from chaos.report.files import write_report, write_verdict
from chaos.runs import commit, point_latest, write_plan
from compose.runtime import Runtime
from loadgen.recorder import Recorder
from services.chassis.clock import Clock

STATES = ("starting", "running", "judging", "done", "failed", "aborted")


class ScenarioRun:
    """One run. `state` is one of `STATES`; `why` says what went wrong when it failed."""

    def __init__(self, plan: Plan, runtime: Runtime, folder: Path, feed: Feed) -> None:
        self.plan = plan
        self.folder = folder
        self.state = "starting"
        self.why = ""
        self.now: dict[str, Any] = {}
        self._feed = feed
        self._runtime = runtime
        self._experiment = Experiment(plan, runtime, self._recorder, observers=[self._observe])
        self._task: asyncio.Task[None] | None = None

    @property
    def active(self) -> bool:
        return self._task is not None and not self._task.done()

    def start(self) -> None:
        write_plan(self.folder, self.plan.document(self._runtime.name, "http", commit()))
        self._task = asyncio.create_task(self._run(), name=f"run {self.folder.name}")

    async def abort(self) -> None:
        """Ends the run; the experiment's own way out takes back what it did to the testbed."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def document(self) -> dict[str, Any]:
        plan = self.plan
        return {
            "id": self.folder.name,
            "scenario": plan.scenario.name,
            "seed": plan.seed,
            "mitigations": list(plan.mitigations),
            "state": self.state,
            "why": self.why,
            "duration_s": plan.duration_s,
            "now": self.now,
        }

    async def _run(self) -> None:
        try:
            await self._experiment.run()
            self._become("judging")
            await asyncio.to_thread(self._judge)
            self._become("done")
        except asyncio.CancelledError:
            self._become("aborted")
            raise
        except UnhealthyBaseline as error:
            self._become("failed", str(error))
        except Exception as error:
            self._become("failed", f"{type(error).__name__}: {error}")

    def _become(self, state: str, why: str = "") -> None:
        self.state, self.why = state, why
        self._publish("run", {"id": self.folder.name, "state": state, "why": why})

    def _judge(self) -> None:
        record = Record.load(self.folder)
        verdict = judge(record)
        write_verdict(self.folder, verdict)
        write_report(self.folder, record, verdict)
        point_latest(self.folder)

    def _recorder(self, clock: Clock, zero_epoch_s: float) -> Recorder:
        self._become("running")
        return Recorder(clock, zero_epoch_s, folder=self.folder, http=self._runtime.http)

    def _observe(self, experiment: Experiment, t: float) -> None:
        seen = glance(experiment, t)
        self.now = {
            "t": t,
            "incident_clock": seen.incident_clock,
            "phase": seen.phase,
            "attempts_per_s": round(seen.attempts_per_s, 1),
            "amplification": round(seen.amplification, 2),
            "success": {region: round(ratio, 3) for region, ratio in seen.success.items()},
            "backlog": seen.backlog,
            "nodes_up": seen.nodes_up,
        }
        self._publish("tick", self.now)

    def _publish(self, kind: str, fields: dict[str, Any]) -> None:
        at = self._runtime.clock.epoch()
        self._feed.publish({"at": at, "source": "controller", "kind": kind, **fields})
