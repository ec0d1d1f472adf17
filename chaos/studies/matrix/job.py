"""One run of the matrix, as a serialisable job and outcome."""

import json
import subprocess
import sys
from dataclasses import asdict, dataclass, replace
from typing import Any

from pydantic import TypeAdapter

from chaos.experiment.plan import Plan, make_plan, overrides_from
from chaos.experiment.runs import TransportName, carry_out, quiet_libraries
from chaos.record.record import RunRecord
from chaos.scenarios.drill import without_drill
from chaos.scenarios.loader import load
from chaos.scenarios.model import Scenario
from chaos.scenarios.size import sized_settings
from chaos.studies.cache import Codec
from chaos.studies.matrix.outcomes import RunOutcome, outcome
from chaos.studies.matrix.variants import late, unattended, with_replay
from chaos.verdict.claim_set import view_of
from chaos.verdict.verdict import judge_expectations
from compose.children import bound, python

TRANSPORT: TransportName = "direct"


@dataclass(frozen=True)
class MatrixRun:
    """A scenario with mitigations and settings, for one seed."""

    scenario: str
    seed: int
    mitigations: tuple[str, ...] = ()
    assignments: tuple[str, ...] = ()
    unattended: bool = False
    """No operator actions after the restore; otherwise the scenario's actions and a replay of the trigger."""
    size: float | None = None
    """Instead of the scenario's."""
    at_size_1: tuple[str, ...] = ()
    """Further settings, as at size 1."""

    def plan(self) -> Plan:
        """The plan of the run.

        Raises:
            ScenarioError, SettingsError: invalid input.
        """
        change = unattended if self.unattended else with_replay
        scenario = change(self._scenario())
        overlays = [overrides_from(self.assignments), sized_settings(overrides_from(self.at_size_1), scenario.size)]
        return make_plan(scenario, self.seed, overlays=overlays, mitigations=self.mitigations)

    def ends_t(self) -> float:
        """τ of the end of the incident part of the run, in seconds."""
        scenario = self._scenario()
        return (unattended(scenario) if self.unattended else scenario).duration_s

    def _scenario(self) -> Scenario:
        return without_drill(load(self.scenario, size=self.size))


def perform(job: MatrixRun) -> RunOutcome:
    """Runs the job in this process, in virtual time, and measures its record."""
    quiet_libraries()
    finished = carry_out(job.plan(), transport=TRANSPORT)
    if finished.recorder is None or finished.problem or finished.interrupted:
        return RunOutcome(problem=finished.problem or "no record")
    record = RunRecord.from_memory({**finished.plan, "duration_s": job.ends_t()}, finished.recorder)
    view = view_of(record)
    expected = {one.id: one.status for one in judge_expectations(record)}
    return replace(outcome(view, late(view) if job.unattended else None), expected=expected)


def perform_apart(job: MatrixRun) -> RunOutcome:
    """`perform` in a new interpreter: threads and sockets of a cluster worker do not work under virtual time."""
    command = bound(python("-m", "chaos.studies.matrix.job"))
    done = subprocess.run(command, input=json.dumps(asdict(job)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"exit code {done.returncode}: {done.stderr.strip()[-500:]}")
    return CODEC.from_document(json.loads(done.stdout))


def _decides(job: MatrixRun) -> dict[str, Any]:
    return {"unattended": job.unattended, **job.plan().document("virtual", TRANSPORT, "")}


CODEC = Codec("matrix", RunOutcome, _decides, lambda _job, text: RunOutcome(problem=text))


def main() -> None:
    """Reads a job from stdin and writes its outcome to stdout."""
    job = TypeAdapter(MatrixRun).validate_python(json.load(sys.stdin))
    json.dump(CODEC.to_document(perform(job)), sys.stdout)


if __name__ == "__main__":
    main()
