"""When a figure agrees, and what counts as a failure."""

import math

import pytest

from chaos.studies.statistics import student_quantile
from chaos.studies.validation.rows import Difference, JudgedRow, Published, Row, between, formula, printed

SEEDS = 4
STEP = 0.01
SAMPLES = (-STEP, STEP, -STEP, STEP)
T = student_quantile(0.9995, SEEDS - 1)
ERROR = T * math.sqrt(4 / 3) * STEP / 2
"""Of the mean of SAMPLES, whose deviation is STEP · √(4/3)."""


def judged(published: Published, mean: float) -> JudgedRow:
    row = Row("V00", "a book", "a set-up", "A", "a band", SEEDS, (published,), lambda _seed, _tree: {})
    return row.judged([{published.name: mean + step} for step in SAMPLES])


def verdict(published: Published, mean: float) -> str:
    return judged(published, mean).figures[0].verdict


def test_a_formula_has_our_error_as_its_band_and_nothing_more() -> None:
    exact = formula("share", 0.5, precision=1.0)
    assert verdict(exact, 0.5 + 0.99 * ERROR) == "agrees"
    assert verdict(exact, 0.5 + 1.01 * ERROR) == "contradicted"
    assert verdict(exact, 0.5 - 1.01 * ERROR) == "contradicted"


def test_a_printed_value_has_half_a_unit_of_its_last_digit_besides() -> None:
    value = printed("load", "1.14", precision=1.0)
    assert verdict(value, 1.145 + 0.99 * ERROR) == "agrees"
    assert verdict(value, 1.145 + 1.01 * ERROR) == "contradicted"


def test_a_value_from_few_runs_has_their_spread_too() -> None:
    value = printed("load", "1", precision=1.0, runs=SEEDS)
    assert verdict(value, 1.5 + 1.4 * ERROR) == "agrees"
    assert verdict(value, 1.5 + 1.42 * ERROR) == "contradicted"


def test_an_error_too_wide_to_tell_is_no_agreement() -> None:
    assert verdict(formula("share", 0.5, precision=1.01 * ERROR), 0.5) == "agrees"
    unclear = judged(formula("share", 0.5, precision=0.99 * ERROR), 0.5)
    assert unclear.figures[0].verdict == "undecided"
    assert not unclear.expected


def test_one_seed_gives_no_interval_and_no_verdict() -> None:
    row = Row("V00", "a book", "a set-up", "A", "a band", 1, (formula("x", 1.0, 9.0),), lambda _seed, _tree: {})
    assert row.judged([{"x": 1.0}]).figures[0].verdict == "undecided"


def test_a_range_agrees_within_its_ends() -> None:
    span = between("per second", 7, 10, precision=1.0)
    assert verdict(span, 8.0) == "agrees"
    assert verdict(span, 10.0 + 1.01 * ERROR) == "contradicted"


def test_a_reason_covers_only_the_range_that_it_predicts() -> None:
    known = formula("share", 0.5, 1.0, differs=Difference("ours is slower", 0.2, 0.3))
    assert verdict(known, 0.25) == "differs"
    assert judged(known, 0.25).expected
    assert "ours is slower" in judged(known, 0.25).figures[0].said
    assert verdict(known, 0.9) == "contradicted"
    assert not judged(known, 0.9).expected


@pytest.mark.parametrize("mean", [math.inf])
def test_what_never_came_is_undecided(mean: float) -> None:
    assert verdict(formula("share", 0.5, 1.0), mean) == "undecided"
