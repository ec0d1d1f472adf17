"""The size study on made-up results: intervals, verdicts, the page, and one short calm run."""

import math
from typing import Any

import pytest
from click.testing import CliRunner

from chaos.cli import main
from chaos.studies.matrix import job as matrix_job
from chaos.studies.matrix.defences import defences
from chaos.studies.matrix.outcomes import OP_SUCCESS, RunOutcome
from chaos.studies.matrix.search import Question
from chaos.studies.size.answers import (
    AnswerKind,
    SizeAnswer,
    defence_answer,
    direction,
    incident_answers,
    tipping_answer,
    verdict,
)
from chaos.studies.size.command import groups_of
from chaos.studies.size.job import CODEC, SizeFinding, SizeRun, measured, perform
from chaos.studies.size.page import SizePage, cell, render
from chaos.studies.size.plan import SeedsAt, SizeStudy, parse_loads, parse_sizes, single_mitigations
from chaos.studies.statistics import Estimate, MeanTime, estimate, mean_time, share
from services.chassis.settings import SettingsError
from tests.unit.record.incident_record import E, fresh_incident

FULL = "azure-fnj8-vqz"
SHARE = AnswerKind("x", "x", tolerance=0.1)
STUDY = SizeStudy(FULL, (SeedsAt(0.5, 3), SeedsAt(1.0, 2)), (SeedsAt(0.5, 2),), (SeedsAt(0.5, 2),), 30.0, (1.0, 1.5))


def defended(*values: float) -> list[RunOutcome]:
    return [RunOutcome({OP_SUCCESS: value}) for value in values]


@pytest.mark.xdist_group("scipy")
@pytest.mark.parametrize("count", [0, 1, 4, 30])
def test_a_mean_time_has_garwoods_exact_interval(scipy_stats: Any, count: int) -> None:
    found = mean_time(count, 3600.0)

    assert found.low == pytest.approx(3600.0 / (scipy_stats.chi2.ppf(0.975, 2 * count + 2) / 2))
    if count == 0:
        assert (found.mean, found.high) == (None, None), "without an event it may be as long as you like"
    else:
        assert found.mean == 3600.0 / count
        assert found.high == pytest.approx(3600.0 / (scipy_stats.chi2.ppf(0.025, 2 * count) / 2))
    assert mean_time(0, 0.0) == MeanTime(0, 0.0, None, None, None)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([(0.90, 0.95), (0.92, 0.99)], "stable"),
        ([(0.90, 0.95), (0.97, 0.99)], "stable"),
        ([(0.10, 0.30), (0.40, 0.60)], "depends on size"),
        ([(0.10, 0.50), (0.40, 0.60)], "undecided"),
        ([(0.90, 0.95)], "one size"),
        ([], "not run"),
        ([(0.90, 0.95), (None, None)], "undecided"),
        ([(0.1, 0.2), (0.15, 0.4), (0.5, 0.6)], "depends on size"),
    ],
    ids=["same", "apart inside the tolerance", "apart", "wide", "one size", "none", "one seed", "far ends"],
)
def test_a_verdict_rests_on_the_intervals(values: list[tuple[float, float]], expected: str) -> None:
    assert verdict(SHARE, [Estimate(0.5, low, high, 5) for low, high in values]) == expected


def test_one_seed_at_each_size_decides_nothing() -> None:
    """The retry budget of the issue: .84 at one size and .00 at twice that, each with one seed."""
    answer = defence_answer("budget", {0.5: defended(0.84), 1.0: defended(0.0)})

    assert answer.verdict == "undecided"
    assert (
        defence_answer("budget", {0.5: defended(0.84, 0.0, 0.02), 1.0: defended(0.0, 0.03, 0.01)}).verdict
        == "undecided"
    )


def test_a_difference_has_its_direction_and_reason() -> None:
    far = {0.5: defended(0.1, 0.11, 0.1), 1.0: defended(0.5, 0.51, 0.5)}

    assert defence_answer("x", far).said == "*depends on size*: rises; cause not investigated"
    assert direction([Estimate(value, 0, 0, 2) for value in (1.0, 3.0, 2.0)]) == "not monotonic"
    assert direction([mean_time(2, 100.0), mean_time(0, 100.0)]) == "rises", "no event: longer than any mean"


def test_tipping_is_counted_over_all_seeds_and_what_failed_is_left_out() -> None:
    tips = SizeFinding({"watched_s": 100.0, "tipped": 1.0})
    calm = SizeFinding({"watched_s": 1800.0, "tipped": 0.0})
    answer = tipping_answer(1.0, {0.5: [tips] * 20, 1.0: [calm] * 20, 2.0: [SizeFinding(problem="no record")]})

    assert answer.by_size[0.5] == mean_time(20, 2000.0)
    assert answer.by_size[1.0] == mean_time(0, 36_000.0)
    assert answer.by_size[2.0] == mean_time(0, 0.0)
    assert answer.verdict == "depends on size"
    assert cell(answer, 1.0) == "> 9759 s, 0 in 10.0 h"
    assert cell(answer, 2.0) == cell(answer, 4.0) == "–"


def test_the_facts_and_delays_come_from_the_record() -> None:
    found = measured(fresh_incident().build())

    assert {name: found.values[name] for name in ("F0", "F1", "F2", "F3", "F4")} == dict.fromkeys(
        ("F0", "F1", "F2", "F3", "F4"), 1.0
    )
    assert 0 < (found.values["east_delay_s"] or 0) < (found.values["west_delay_s"] or 0) < 60
    assert 2 < (found.values["peak_amplification"] or 0) < 13
    made = fresh_incident()
    for region in ("eastus", "westus"):
        made.rate("identity_client_attempts_total", 0.0, E - 1, 800.0, layer="sdk", region=region)
        made.rate("identity_client_attempts_total", 12.0, E - 1, 800.0, layer="sdk", region=region, outcome="ok")
    calm = measured(made.build())
    assert (calm.values["east_delay_s"], calm.values["F1"]) == (math.inf, 0.0)
    assert CODEC.from_document(CODEC.to_document(calm)) == calm


def test_every_answer_of_the_study_is_asked_at_every_size() -> None:
    assert {at.size for at in parse_sizes("--sizes", "0.5:10,1:10,2:10,4:10")} == {0.5, 1.0, 2.0, 4.0}
    assert len(STUDY.size_jobs) == len(set(STUDY.size_jobs)) == 5 + 2 * 2
    assert len(STUDY.matrix_jobs) == len(set(STUDY.matrix_jobs)) == 2 * len(defences())
    assert [job.size for job in STUDY.size_jobs] == sorted(job.size for job in STUDY.size_jobs if job.seed == 1) + [
        job.size for job in STUDY.size_jobs if job.seed > 1
    ]
    decided = {str(sorted(CODEC.decides(job).items(), key=str)) for job in STUDY.size_jobs}
    assert len(decided) == len(STUDY.size_jobs), "each has a result of its own in the cache"


def test_what_was_not_run_is_on_the_page() -> None:
    results = {
        job: SizeFinding({"F0": 1.0, "east_delay_s": 9.0 + job.seed}) for job in STUDY.size_jobs if not job.calm_s
    }
    text = render(
        SizePage(FULL, "aftershock size", "abc", "2 results.", groups_of(STUDY, results, {}), list(STUDY.not_asked()))
    )

    assert (
        "| F0: healthy before the restore | 3 of 3 (0.44 to 1.00) | 2 of 2 (0.34 to 1.00) | 0.3 | *undecided* |" in text
    )
    assert "| collapse delay of East US | 11.0 s (8.5 to 13.5), n = 3 | 10.5 s (4.1 to 16.9), n = 2 |" in text
    assert "* the facts at size 2, 4\n" in text
    assert "* the facts over 10 seeds at size 0.5 (3), 1 (2)\n" in text
    assert "* a calm region at size 1, 2, 4\n" in text
    assert next(SizeStudy(FULL, (), (), (), 1.0, (1.0,)).not_asked()) == "the facts at size 0.5, 1, 2, 4"


def test_a_mitigation_is_asked_of_the_runs_of_the_matrix() -> None:
    study = SizeStudy(FULL, (), (), (), 1.0, (1.0,), mitigation=(SeedsAt(0.5, 2), SeedsAt(1.0, 1)))
    question = Question(FULL, ("R1", "X3"), (1, 2), size=0.5)

    names = [one.name for one in single_mitigations()]
    assert names == ["none", *(f"R{number}" for number in range(1, 8)), *(f"X{number}" for number in range(1, 7))]
    assert len(study.matrix_jobs) == len(set(study.matrix_jobs)) == 3 * len(names)
    kept = [matrix_job.CODEC.decides(job) for job in study.matrix_jobs if job.size == 0.5 and job.seed == 2]
    for cell_of_matrix in question.cells()[:3]:
        assert matrix_job.CODEC.decides(question.job(cell_of_matrix.mitigations, 2)) in kept, "one result in the cache"


def test_a_mitigation_that_prevents_at_one_size_only_depends_on_the_size() -> None:
    study = SizeStudy(FULL, (), (), (), 1.0, (1.0,), mitigation=(SeedsAt(0.5, 10), SeedsAt(1.0, 10)))
    names = {one.name: one.mitigations for one in single_mitigations()}

    def outcome(size: float | None, mitigations: tuple[str, ...], seed: int) -> RunOutcome:
        wave = size == 1.0 if mitigations == names["R1"] else mitigations != names["R2"]
        return RunOutcome({"impact_b_min": 100.0 + seed if wave else 0.0}, east_collapses=wave, west_collapses=wave)

    found = {job: outcome(job.size, job.mitigations, job.seed) for job in study.matrix_jobs}
    waves, minutes = groups_of(study, {}, found)

    assert [row.verdict for row in waves.rows[:4]] == ["stable", "depends on size", "stable", "stable"]
    assert cell(waves.rows[0], 0.5) == "10 of 10 (0.72 to 1.00)"
    assert (cell(waves.rows[1], 0.5), cell(waves.rows[1], 1.0)) == ("0 of 10 (0.00 to 0.28)", "10 of 10 (0.72 to 1.00)")
    assert waves.rows[1].said == "*depends on size*: rises; cause not investigated"
    assert [row.verdict for row in minutes.rows[:4]] == ["stable", "depends on size", "stable", "stable"]
    assert cell(minutes.rows[0], 1.0) == "105.5 min (103.3 to 107.7), n = 10"
    assert minutes.rows[0].kind.band == "10 min"
    assert waves.rows[3].kind.label == "R3 Faster rollback"


def test_answers_of_never_and_shares_are_written_with_their_counts() -> None:
    never = SizeAnswer(SHARE, {1.0: estimate([math.inf, 2.0])})
    assert cell(never, 1.0) == "never in 1 of 2"
    assert cell(SizeAnswer(SHARE, {1.0: share([True, False])}), 1.0) == "1 of 2 (0.09 to 0.91)"
    assert [one.kind.name for one in incident_answers({})] == [
        "F0",
        "F1",
        "F2",
        "F3",
        "F4",
        "east_delay_s",
        "west_delay_s",
        "peak_amplification",
    ]


@pytest.mark.parametrize("text", ["x", "0:3", "1:0", "1:2:3", "1:3,1:4", "65:1", "nan:1"])
def test_a_wrong_list_of_sizes_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match=r"^--sizes: "):
        parse_sizes("--sizes", text)


def test_wrong_input_is_exit_code_2_before_anything_runs() -> None:
    for options, said in (
        (["azure-fnj8-vqz-short", "--sizes", "0.5"], "timeline.17.nodes.westus"),
        (["--sizes", "0.3:1"], "regions.0.identity_nodes"),
        (["--calm-loads", "0"], "--calm-loads: should be factors"),
        (["calm-day", "--sizes", "none", "--mitigation-sizes", "1:1"], "SCENARIO"),
        (["calm-day", "--sizes", "none", "--defence-sizes", "1:1"], "SCENARIO"),
    ):
        result = CliRunner().invoke(main, ["size", *options])
        assert (result.exit_code, said in result.output) == (2, True), result.output
    with pytest.raises(SettingsError):
        parse_loads("many")


def test_a_calm_region_is_watched_to_the_end_and_an_overloaded_one_until_it_tips() -> None:
    calm = perform(SizeRun(FULL, 0.5, 1, calm_s=6.0))
    tipped = perform(SizeRun(FULL, 0.5, 1, calm_s=300.0, load=2.6))

    assert calm == SizeFinding({"watched_s": 6.0, "tipped": 0.0})
    assert tipped.values["tipped"] == 1.0, tipped
    assert (tipped.values["watched_s"] or 0.0) < 300.0
