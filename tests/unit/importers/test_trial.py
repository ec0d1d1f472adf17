"""What `try-retries` concludes from the outcomes of its runs, and that the settings reach a run."""

import json
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from chaos.cli import main
from chaos.importers.known import understand
from chaos.studies.matrix.job import MatrixRun
from chaos.studies.matrix.outcomes import RunOutcome
from chaos.studies.trial import command
from chaos.studies.trial.command import WORKFLOW, assignments, judge, verdict
from services.clients.identity.client import IdentityClientSettings
from services.policies.backoff import Backoff
from tests.unit.matrix.toy_world import Inline

FILE = "retry_policy: {retry_on: 5xx, num_retries: 1}\n"


def outcome(success: float | None, *, wave: bool, failed: float = 10.0) -> RunOutcome:
    values = {"op_success": success, "peak_amplification": 2.0, "failed_operations": failed, "backlog_peak": 5.0}
    return RunOutcome(values, east_collapses=wave, west_collapses=False)


DOWN = judge([outcome(0.1, wave=True), outcome(0.2, wave=True)])
BACK = judge([outcome(0.99, wave=True), outcome(0.97, wave=True)])
CALM = judge([outcome(1.0, wave=False), outcome(1.0, wave=False)])
MIXED = judge([outcome(1.0, wave=True), outcome(0.5, wave=True)])


@pytest.mark.parametrize(
    ("yours", "text"),
    [
        (DOWN, "Yours collapses, and stays down in 2 of 2 seeds. The shipped retries stay down."),
        (MIXED, "Yours collapses, and stays down in 1 of 2 seeds. The shipped retries stay down."),
        (BACK, "Yours collapses and recovers by itself. The shipped retries stay down."),
        (CALM, "Yours does not collapse. The shipped retries stay down."),
    ],
)
def test_the_answer_is_a_sentence(yours: object, text: str) -> None:
    assert verdict(yours, DOWN) == text  # type: ignore[arg-type]


def test_a_trial_lasts_if_a_seed_stays_down_and_has_its_interval() -> None:
    assert [one.lasting for one in (DOWN, MIXED, BACK, CALM)] == [True, True, False, False]
    assert (MIXED.recovers.count, MIXED.recovers.measured) == (1, 2)
    assert judge([outcome(1.0, wave=False, failed=8.0), outcome(1.0, wave=False)]).costs["failed_operations"].mean == 9


def test_what_could_not_be_measured_is_no_recovery_and_no_collapse() -> None:
    lost = judge([RunOutcome(problem="no record")])

    assert verdict(lost, DOWN) == "Could not be measured."
    assert lost.problems == ("no record",)


@pytest.mark.parametrize(("keep", "attempts"), [(False, 1), (True, 3)])
def test_the_settings_reach_the_callers_of_a_run(keep: bool, attempts: int, tmp_path: Path) -> None:
    (tmp_path / "envoy.yaml").write_text(FILE)
    texts = assignments(understand(tmp_path / "envoy.yaml").settings, keep_workflow=keep)

    plan = MatrixRun("azure-fnj8-vqz-short", 1, assignments=texts, unattended=True).plan()

    client = IdentityClientSettings.model_validate(plan.settings["identity_client"])
    assert isinstance(client.sdk.own(), Backoff)
    assert client.sdk.own().retry_on == {"timeout", "connection", "5xx"}
    assert client.workflow.attempts == attempts
    assert WORKFLOW in texts or keep


def toy(job: MatrixRun) -> RunOutcome:
    """The user's retries recover in the first seed only, the shipped ones never."""
    mine = bool(job.assignments)
    return outcome(1.0 if mine and job.seed == 1 else 0.0, wave=True, failed=10.0 if mine else 100.0)


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """The command over the toy world, in a folder with a configuration."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "processes", lambda _jobs: nullcontext(Inline()))
    monkeypatch.setattr(command, "perform", toy)
    (tmp_path / "envoy.yaml").write_text(FILE)
    return lambda *arguments: CliRunner().invoke(main, ["try-retries", "envoy.yaml", "--seeds", "2", *arguments])


def test_the_command_answers_in_one_screen_and_with_its_exit_code(invoke: Callable[..., Result]) -> None:
    result = invoke()

    assert result.exit_code == 1, "it stays down in a seed"
    assert len(result.output.splitlines()) <= 24
    assert "Yours collapses, and stays down in 1 of 2 seeds. The shipped retries stay down." in result.output
    lines = {line.split("  ")[0].strip(): line for line in result.output.splitlines()}
    assert "1 of 2 seeds" in lines["recovers by itself"]
    assert "0 of 2 seeds" in lines["recovers by itself"]
    assert "100" in lines["failed operations"]
    assert "2 seeds; 95 % intervals in brackets" in result.output


def test_the_result_as_json_names_settings_and_figures(invoke: Callable[..., Result]) -> None:
    document = json.loads(invoke("--json").stdout)

    assert document["library"] == "envoy"
    assert 'identity_client.sdk.part="services.policies.backoff:Backoff"' in document["settings"]
    assert (document["yours"]["recovers"]["count"], document["shipped"]["recovers"]["count"]) == (1, 0)
    assert document["shipped"]["costs"]["failed_operations"]["mean"] == 100.0


def test_a_configuration_that_is_not_understood_is_exit_code_2(invoke: Callable[..., Result]) -> None:
    result = invoke("--as", "grpc")

    assert result.exit_code == 2
    assert "envoy.yaml: retry_policy: unknown field" in result.output
