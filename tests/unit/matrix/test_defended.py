"""The criteria of a defended run, on the made-up incident and on one that was prevented; and the campaign's table."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.console import Console

from chaos.cli import main
from chaos.mitigations import expand
from chaos.studies.cache import key
from chaos.studies.campaign import command
from chaos.studies.campaign.command import campaign_jobs, summarise
from chaos.studies.campaign.defended import judge_defended, worst_op_success
from chaos.studies.campaign.jobs import CODEC, CampaignResult, CampaignRun
from chaos.verdict.claim_sets.fnj8_vqz.view import IncidentView
from tests.unit.matrix.toy_world import Inline
from tests.unit.record.incident_record import IncidentRecord, fresh_incident

SCENARIO = "azure-fnj8-vqz-short"
DEFENDED = expand(["defended"])


def prevented() -> IncidentRecord:
    """From the start every request to the pair succeeds at the first attempt, without a drain."""
    made = fresh_incident().without_entries("T16", "T17")
    for region in ("eastus", "westus"):
        for name, good in (
            ("identity_client_attempts_total", {"outcome": "ok"}),
            ("identity_client_operations_total", {"result": "success"}),
        ):
            made.rate(name, 0.0, -30.0, 830.0, region=region)
            made.rate(name, 12.0, -30.0, 830.0, region=region, **good)
        made.rate("identity_client_operations_started_total", 12.0, -30.0, 830.0, region=region)
        made.level("identity_workers_busy", 0.5, -30.0, 830.0, region=region)
    return made


def test_the_incident_itself_fails_every_criterion() -> None:
    found = judge_defended(IncidentView(fresh_incident().build()))
    assert not found.holds
    assert found.failed == ("second-wave", "worst-10-s-success", "amplification")


def test_a_wave_that_was_prevented_holds() -> None:
    found = judge_defended(IncidentView(prevented().build()))
    assert (found.failed, found.note) == ((), "")
    assert found.figures["worst_op_success"] == 1.0


def test_ten_bad_seconds_are_enough_to_fail() -> None:
    made = prevented()
    made.rate("identity_client_operations_total", 1.0, 400.0, 410.0, region="eastus", result="failed")
    view = IncidentView(made.build())
    worst = worst_op_success(view)
    assert worst is not None
    assert 0.9 < worst < 0.98
    assert judge_defended(view).failed == ("worst-10-s-success",)
    assert judge_defended(view).note.startswith("worst_op_success 0.9")


def test_what_was_not_recorded_does_not_hold() -> None:
    found = judge_defended(IncidentView(prevented().without("identity_client_operations_total").build()))
    assert found.failed == ("worst-10-s-success",)


def test_a_defended_run_has_no_drain() -> None:
    rows = {entry.row for entry in CampaignRun(SCENARIO, 1, mitigations=("R1",)).plan().timeline}
    assert {"T13", "T14"} <= rows
    assert not {"T16", "T17"} & {
        entry.row for entry in CampaignRun(SCENARIO, 1, mitigations=("R1",)).plan().scenario.actions
    }


def test_a_defended_campaign_has_no_controls() -> None:
    jobs = campaign_jobs(SCENARIO, 2, 1, ["defended"])
    assert [(job.seed, job.perturb, job.mitigations) for job in jobs] == [
        (1, 0.0, DEFENDED),
        (2, 0.0, DEFENDED),
        (1, 0.2, DEFENDED),
    ]
    assert any(job.control for job in campaign_jobs(SCENARIO, 2, 1))


@pytest.mark.parametrize(("failing", "good"), [(0, True), (1, True), (2, False)])
def test_thirty_nine_of_forty_perturbed_runs_must_hold(failing: int, good: bool) -> None:
    jobs = campaign_jobs(SCENARIO, 0, 40, ["defended"])
    results = [
        CampaignResult(job, number >= failing, () if number >= failing else ("x",)) for number, job in enumerate(jobs)
    ]
    table, found = summarise(results)
    assert found is good
    console = Console(width=200)
    with console.capture() as capture:
        console.print(table)
    assert f"{40 - failing} of 40" in capture.get()


def test_a_result_survives_a_json_round_trip() -> None:
    result = CampaignResult(
        CampaignRun(SCENARIO, 1, mitigations=DEFENDED), False, ("x",), "note", {"a": 1.0}, {"F1": "reproduced"}
    )
    assert CODEC.from_document(CODEC.to_document(result)) == result


@pytest.mark.parametrize(
    "changed",
    [{"seed": 2}, {"perturb": 0.2}, {"control": "no-restore"}, {"mitigations": ("R1",)}, {"transport": "http"}],
)
def test_what_decides_a_result_is_in_the_key(changed: dict[str, object]) -> None:
    job = CampaignRun(SCENARIO, 1)
    assert key(CODEC.decides(replace(job, **changed)), "code") != key(CODEC.decides(job), "code")  # type: ignore[arg-type]


def test_a_campaign_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executor = Inline()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "perform", lambda job: CampaignResult(job, True))
    monkeypatch.setattr(command, "processes", lambda _count: nullcontext(executor))
    arguments = ["campaign", "--scenario", SCENARIO, "--with", "defended", "--perturbed", "1", "--jobs", "1"]
    assert CliRunner().invoke(main, [*arguments, "--seeds", "1"], catch_exceptions=False).exit_code == 0
    result = CliRunner().invoke(main, [*arguments, "--seeds", "2"], catch_exceptions=False)
    assert result.exit_code == 0
    assert [(job.seed, job.perturb) for job in executor.jobs] == [(1, 0.0), (1, 0.2), (2, 0.0)]
    assert "2 of 2" in result.stdout


def test_an_unknown_mitigation_is_exit_code_2_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["campaign", "--with", "R99"])
    assert result.exit_code == 2
    assert "mitigation 'R99': unknown" in result.stderr
    assert not list(tmp_path.iterdir())
