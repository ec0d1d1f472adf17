"""From outcomes to sentences, sets, surprises and three files; on the toy world."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from click.testing import CliRunner

from chaos.cli import main
from chaos.mitigations import expand
from chaos.studies.cache import Cache
from chaos.studies.engine import StudyEngine
from chaos.studies.matrix import command, words
from chaos.studies.matrix.cells import MatrixCell
from chaos.studies.matrix.files import as_csv, as_document, write
from chaos.studies.matrix.job import CODEC, MatrixRun
from chaos.studies.matrix.outcomes import COLUMNS, RunOutcome
from chaos.studies.matrix.page import _fields, relative, render
from chaos.studies.matrix.search import Question
from chaos.studies.matrix.summary import EVENTS, Matrix, SummaryRow, is_worse
from chaos.studies.statistics import Estimate
from tests.unit.matrix.toy_world import SCENARIO, Inline, world

NAMES = ("R1", "R2", "R3", "R6", "R7", "X2", "X4")
BY_NAME = {column.name: column for column in COLUMNS}


@cache
def _made(
    seeds: int = 5,
    names: tuple[str, ...] = NAMES,
    size: int = 2,
    perform: Callable[[MatrixRun], RunOutcome] = world,
) -> tuple[Matrix, tuple[MatrixRun, ...]]:
    executor = Inline()
    with TemporaryDirectory() as folder:
        engine = StudyEngine(executor, perform, Cache(Path(folder), CODEC, "code"))
        question = Question(SCENARIO, names, range(1, seeds + 1), (), size)
        return command.make_matrix(question, engine), tuple(executor.jobs)


def test_minimal_sets_are_found_for_each_wave() -> None:
    first, second = _made()[0].sets
    assert (first.wave, first.found) == ("first_wave", [("R2",)])
    assert (second.wave, second.found) == ("second_wave", [("R1",), ("R2",), ("R6", "R7")])
    assert _made()[0].row("R6+R7").cell.kind == "set"


def test_what_was_not_searched_is_said() -> None:
    first, second = _made()[0].sets
    assert (second.searched_to, second.of, second.complete) == (2, 7, False)
    assert words.sets(second).endswith("combinations of 3 to 7 were not.")
    assert words.sets(first).startswith("Smallest combinations without a first wave (storage) in any of 5 seeds: R2. ")
    alone = _made(size=1)[0].sets[1]
    assert alone.found == [("R1",), ("R2",)]
    assert words.sets(alone).endswith("8 combinations of at most 1 were tried; combinations of 2 to 7 were not.")


def test_a_search_to_the_full_size_is_complete() -> None:
    sets = _made(2, ("R3", "R6", "R7"), 3)[0].sets
    assert [one.complete for one in sets] == [True, True]
    assert sets[1].found == [("R6", "R7")]
    assert words.sets(sets[0]).startswith("No combination without a first wave (storage) in any of 2 seeds was found.")


def test_a_pair_that_fails_in_one_seed_is_not_tried_in_the_next() -> None:
    jobs = _made()[1]
    assert {job.seed for job in jobs if set(job.mitigations) == {"R3", "R6"}} == {1}
    assert {job.seed for job in jobs if set(job.mitigations) == {"R6", "R7"}} == {1, 2, 3, 4, 5}
    assert {job.seed for job in jobs if set(job.mitigations) == {"R3", "X4"}} == {1, 2}
    assert len(jobs) == len(set(jobs))


def test_the_headline_says_what_prevents_what_does_not_and_what_harms() -> None:
    assert words.headline(_made()[0]) == [
        "Alone, R1 and R2 prevent the second wave (identity); R3, R6, R7 and X2 do not; X4 does in some seeds only.",
        "Alone, R2 prevents the first wave (storage); R1, R3, R6, R7, X2 and X4 do not.",
        "The publisher's seven repair items together prevent the second wave.",
        "Worse than doing nothing in something: R3 (Peak attempts); X2 (Recovery).",
    ]


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (("R3", "X4"), "R3 does not prevent the second wave (identity); X4 does in some seeds only."),
        (("R3", "R6"), "R3 and R6 do not prevent the second wave (identity)."),
        (("X4",), "X4 prevents the second wave (identity) in some seeds only."),
    ],
)
def test_of_some_repairs_nothing_is_said_about_the_others(names: tuple[str, ...], said: str) -> None:
    assert words.headline(_made(5, names, 1)[0])[0] == f"Alone, {said}"


@pytest.mark.parametrize(
    ("minutes", "said"),
    [
        ((7.0, 7.2), ["With R1 that is so in name only: over 5 % of attempts fail for 7 of 10 minutes."]),
        ((1.0, 9.4), []),
        ((5.0, 5.0), []),
    ],
    ids=["most of them", "the interval reaches below half", "half of them"],
)
def test_a_collapse_that_is_prevented_in_name_only_is_told_beside_it(
    minutes: tuple[float, float], said: list[str]
) -> None:
    def long(job: MatrixRun) -> RunOutcome:
        known = world(job)
        return (
            replace(known, values={**known.values, "impact_b_min": minutes[job.seed % 2]})
            if "R1" in job.mitigations
            else known
        )

    sentences = words.headline(_made(5, ("R1", "X4"), 1, long)[0])
    assert sentences[0].startswith("Alone, R1 prevents the second wave (identity); ")
    assert [one for one in sentences if "in name only" in one] == said
    assert sentences[1:2] == said or not said


def test_each_repair_has_its_line() -> None:
    lines = {one.id: one for one in words.repairs(_made()[0])}
    assert (lines["R2"].first, lines["R2"].first_tone) == ("prevented", "better")
    assert (lines["R2"].first_heat, lines["R7"].second_heat) == (words.EFFECT_HEAT, words.EFFECT_HEAT * words.FAINTEST)
    assert (lines["R1"].first, lines["R1"].first_tone) == ("not prevented: 300 of 300 min", "")
    assert lines["R1"].second == "prevented"
    assert lines["R7"].second == "West US is spared: 10 of 10 min"
    assert lines["X4"].second == "in 4 of 5 seeds; over 5 % of attempts fail for 8 of 10 min"
    assert lines["X4"].second_tone == "", "neither the seeds nor the minutes are apart"
    assert (lines["R3"].second, lines["R3"].worse) == ("not prevented: 10 of 10 min", "Peak attempts")


@pytest.mark.parametrize(("seeds", "tone"), [(5, "better"), (3, "")])
def test_a_wave_in_some_seeds_that_hurts_for_less_time_is_better(seeds: int, tone: str) -> None:
    def brief(job: MatrixRun) -> RunOutcome:
        known = world(job)
        return replace(known, values={**known.values, "impact_b_min": 2.0}) if "X4" in job.mitigations else known

    (x4,) = words.repairs(_made(seeds, ("X4",), 1, brief)[0])
    assert x4.second.endswith("seeds; over 5 % of attempts fail for 2 of 10 min")
    assert x4.second_tone == tone
    assert x4.second_heat == pytest.approx(words.EFFECT_HEAT * (0.8 if tone else 1.0), rel=0.05)


def test_with_one_seed_nothing_is_said_to_be_worse_by_chance() -> None:
    assert words.headline(_made(1)[0])[-1] == "Whether something makes an outcome worse takes at least 4 seeds to say."


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_few_seeds_prevent_nothing_spare_nothing_and_say_so(seeds: int) -> None:
    """An event in none of three seeds and one in all three can have the same probability."""
    matrix = _made(seeds)[0]
    lines = {one.id: one for one in words.repairs(matrix)}

    said = words.headline(matrix)
    assert said[0].startswith("Alone, no repair is shown to prevent the second wave (identity); ")
    lucky = "R1, R2 and X4" if seeds == 1 else "R1 and R2"
    assert f"with {lucky} it occurs in no seed, but {seeds} seed" in said[0]
    assert said[2].startswith("With the publisher's seven repair items it occurs in no seed, but ")
    assert (lines["R1"].second, lines["R1"].second_tone) == (f"in 0 of {seeds} seeds", "")
    assert lines["R7"].second == "not prevented: 10 of 10 min"
    assert not any(matrix.prevents(row, event) for row in matrix.rows for event in EVENTS)
    coloured = [one for row in matrix.rows for one in _fields(matrix, row).values() if one.tone]
    assert coloured == [] or seeds > 1


def test_a_never_among_few_seeds_is_not_worse_but_in_all_of_five_it_is() -> None:
    recovery = BY_NAME["recovery_min"]
    three, five = (Estimate(5.0, 4.0, 6.0, seeds) for seeds in (3, 5))

    assert not is_worse(recovery, three, Estimate(None, None, None, 3, never=3))
    assert is_worse(recovery, five, Estimate(None, None, None, 5, never=5))
    assert not is_worse(recovery, five, Estimate(None, None, None, 5, never=1))


def test_an_interval_stays_inside_what_a_quantity_can_be() -> None:
    def row(name: str, *values: float) -> Estimate:
        runs = {seed: RunOutcome({name: value}, counted_until_t=700.0) for seed, value in enumerate(values)}
        return SummaryRow.of(MatrixCell("none", ()), runs).estimates[name]

    assert row("peak_amplification", 1.0, 1.1, 12.0).low == 1.0
    assert row("worst_success", 0.2, 0.9, 1.0).high == 1.0
    assert row("wasted_ratio", 0.0, 0.1, 0.9).low == 0.0
    assert row("impact_b_min", 650.0, 100.0, 690.0).high == 700.0
    assert row("failed_operations", 0.0, 0.0, 9000.0).low == 0.0
    assert {column.name for column in COLUMNS if column.unit == "%" and column.most != 1.0} == set()


def test_a_surprising_cell_is_listed() -> None:
    found = {(one.cell.name, one.column.name) for one in _made()[0].worse}
    assert {("R3", "peak_attempts_per_s"), ("X2", "recovery_min")} <= found
    assert not any(name in ("none", "R1", "R6", "R7", "X4") for name, _ in found)


def test_worse_means_that_the_intervals_are_apart_the_wrong_way_round() -> None:
    attempts, success = BY_NAME["peak_attempts_per_s"], BY_NAME["worst_success"]
    low, high, wide = Estimate(2.0, 1.0, 3.0, 5), Estimate(5.0, 4.0, 6.0, 5), Estimate(5.0, 2.5, 7.5, 5)
    assert is_worse(attempts, low, high)
    assert not is_worse(attempts, high, low)
    assert not is_worse(attempts, low, wide)
    assert is_worse(success, high, low)
    assert not is_worse(success, low, high)
    assert not is_worse(attempts, low, Estimate(9.0, None, None, 1))


def test_shading_compares_with_doing_nothing() -> None:
    attempts = BY_NAME["peak_attempts_per_s"]
    one, two, never = Estimate(1.0, 1.0, 1.0, 5), Estimate(2.0, 2.0, 2.0, 5), Estimate(None, None, None, 5, never=5)
    assert relative(attempts, two, one) == -0.5
    assert relative(attempts, one, two) == 0.5
    assert relative(BY_NAME["worst_success"], one, two) == -0.5
    assert relative(attempts, one, never) == 1.0
    assert relative(attempts, never, one) == -1.0
    assert relative(attempts, one, Estimate(None, None, None, 0)) == 0.0
    assert relative(attempts, one, Estimate(9.0, 0.5, 17.5, 5)) == 0.0, "the intervals overlap"
    assert relative(attempts, one, Estimate(None, None, None, 1, never=1)) == 0.0, "one seed"


def test_the_page_has_the_headline_and_every_cell_and_needs_nothing_else() -> None:
    matrix = _made()[0]
    page = render(matrix)
    assert "Alone, R1 and R2 prevent the second wave (identity);" in page
    assert "With none of them the first wave hits customers for 300 minutes and the second for 10." in page
    for row in matrix.rows:
        assert f'id="cell-{row.cell.name.replace(" ", "-")}"' in page
    assert page.count("<details") == len(matrix.rows)
    assert "<script" not in page
    assert "http" not in page
    assert "prefers-color-scheme: dark" in page


def test_csv_has_a_line_for_every_cell_and_outcome() -> None:
    matrix = _made()[0]
    lines = list(csv.DictReader(as_csv(matrix).splitlines()))
    assert len(lines) == len(matrix.rows) * (len(COLUMNS) + len(EVENTS))
    line = next(one for one in lines if one["cell"] == "all but R1" and one["outcome"] == "impact_a_min")
    assert (line["mitigations"], line["mean"], line["measured"]) == ("R2 R3 R6 R7 X2 X4", "0.0", "5")


def test_json_has_everything_and_no_number_that_json_lacks(tmp_path: Path) -> None:
    matrix = _made()[0]
    paths = write(tmp_path, matrix)
    assert sorted(path.name for path in paths) == ["matrix.csv", "matrix.html", "matrix.json"]
    document = json.loads((tmp_path / "matrix.json").read_text(), parse_constant=pytest.fail)
    assert document == json.loads(json.dumps(as_document(matrix)))
    assert [one["id"] for one in document["repairs"]] == list(NAMES)
    assert document["minimal_sufficient_sets"][1]["found"] == [["R1"], ["R2"], ["R6", "R7"]]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["nowhere"], "unknown scenario 'nowhere'"),
        ([SCENARIO, "--mitigations", "R1,R99"], "mitigation 'R99': unknown"),
        ([SCENARIO, "--set", "identity.colour=red"], "colour"),
    ],
    ids=["scenario", "mitigation", "setting"],
)
def test_what_a_user_can_get_wrong_is_exit_code_2_before_anything_runs(
    arguments: list[str], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["matrix", *arguments])
    assert result.exit_code == 2
    assert text in result.stderr
    assert not list(tmp_path.iterdir())


def test_by_default_all_thirteen_are_asked_about() -> None:
    options = {"mitigations": "", "scenario": SCENARIO, "seeds": 2, "assignments": (), "sets_max_size": 2, "size": None}
    question = command._question(options)
    assert question.mitigations == expand(["all"])
    assert list(question.seeds) == [1, 2]
