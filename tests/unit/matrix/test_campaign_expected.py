"""The campaign of another timeline, and its table of expectations over the seeds."""

from dataclasses import replace

from rich.console import Console

from chaos.scenarios.loader import load
from chaos.studies.campaign.command import campaign_jobs
from chaos.studies.campaign.expected import expectations_table
from chaos.studies.campaign.jobs import CODEC, CampaignResult, CampaignRun
from chaos.verdict.claim_sets.fnj8_vqz.controls import CONTROLS
from chaos.verdict.times import NEVER

SCENARIO = "azure-fnj8-vqz-short"


def shown(results: list[CampaignResult]) -> list[str]:
    console = Console(width=200)
    with console.capture() as capture:
        console.print(expectations_table(load(SCENARIO).expect[:2], results))
    return [" ".join(line.split()) for line in capture.get().splitlines()]


def result(seed: int, status: str, success: float, collapse_t: float) -> CampaignResult:
    measured = {"success": success, "collapse_t": collapse_t, "ordered": True}
    job = CampaignRun(SCENARIO, seed)
    return CampaignResult(job, True, claims={"F0": status}, details={"F0": {"measured": measured}})


def test_the_table_counts_what_held_and_gives_means_with_intervals() -> None:
    rows = [result(1, "reproduced", 0.9, 70.0), result(2, "contradicted", 0.7, NEVER), result(3, "not_judged", 0.8, 72)]
    perturbed = replace(result(4, "contradicted", 0.0, 0.0), job=CampaignRun(SCENARIO, 4, perturb=0.2))

    lines = shown([*rows, perturbed])

    assert lines[0] == "expectations over 3 seeds, 95 % intervals in brackets"
    (first,) = (line for line in lines if line.startswith("F0"))
    assert "1 of 2 (9% to 91%)" in first
    assert "success 0.8 (0.552 to 1.05)" in first
    assert any("collapse_t never in 1 of 3" in line for line in lines)
    assert any(line.startswith("F1") and "not judged" in line for line in lines), "nothing was said of it"


def test_a_campaign_of_another_timeline_runs_it_and_has_no_controls() -> None:
    jobs = campaign_jobs(SCENARIO, 2, 1, drops=["T16"], changes=["T17.over_s=1"])

    assert [job.group for job in jobs] == [
        "without T16, T17.over_s=1",
        "without T16, T17.over_s=1",
        "without T16, T17.over_s=1, ±20% perturbed",
    ]
    plan = jobs[0].plan()
    by_id = {entry.id: entry for entry in plan.timeline}
    assert "T16" not in by_id
    assert by_id["T17"].action.parameters()["over_s"] == 1
    assert CODEC.decides(jobs[0]) != CODEC.decides(CampaignRun(SCENARIO, jobs[0].seed))


def test_its_result_survives_a_json_round_trip() -> None:
    one = CampaignResult(CampaignRun(SCENARIO, 1, drops=("T16",), changes=("T17.over_s=1",)), True)
    document = CODEC.to_document(one)
    document["job"] = {**document["job"], "drops": ["T16"], "changes": ["T17.over_s=1"]}
    assert CODEC.from_document(document) == one


def test_every_control_is_run_over_the_first_five_seeds() -> None:
    jobs = [job for job in campaign_jobs(SCENARIO, 8, 0) if job.control]
    assert {name: [job.seed for job in jobs if job.control == name] for name in CONTROLS} == {
        name: [1, 2, 3, 4, 5] for name in CONTROLS
    }
    assert {job.seed for job in campaign_jobs(SCENARIO, 2, 0) if job.control} == {1, 2}
