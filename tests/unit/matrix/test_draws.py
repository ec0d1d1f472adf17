"""What many perturbed runs say together: how many are healthy, and which parameter decides the rest."""

from itertools import starmap
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from chaos.cli import main
from chaos.experiment.baseline import CollapsedInWarmup, NotEnoughLoad
from chaos.scenarios.loader import load
from chaos.studies.campaign.draws import draws, drivers, rank_correlation, render
from chaos.studies.campaign.jobs import CampaignResult, CampaignRun

SCENARIO = "azure-fnj8-vqz-short"
SERVICE_TIME = "identity.service_time_s"


def run(seed: int, failed: tuple[str, ...] = (), note: str = "") -> CampaignResult:
    return CampaignResult(CampaignRun(SCENARIO, seed, perturb=0.2, size=1.0), not failed, failed, note)


def made(count: int = 60) -> list[CampaignResult]:
    """Draws with the slowest service collapse by themselves; of the other ones every fifth lacks F3."""
    told = load(SCENARIO)
    slow = sorted(draws(told, [run(seed) for seed in range(1, count + 1)]), key=lambda one: one.drawn[SERVICE_TIME])
    tipped = {one.seed for one in slow[-12:]}
    collapsed = str(CollapsedInWarmup("East US"))
    return [
        run(seed, ("baseline",), collapsed) if seed in tipped else run(seed, () if seed % 5 else ("F3",))
        for seed in range(1, count + 1)
    ]


def test_a_draw_has_all_seventeen_parameters_and_what_came_of_it() -> None:
    plain = CampaignResult(CampaignRun(SCENARIO, 1), True)
    found = draws(
        load(SCENARIO),
        [
            plain,
            run(4, ("F0",)),
            run(3, ("F1", "F2")),
            run(2, ("baseline",), str(NotEnoughLoad("3 operations"))),
            run(1, ("baseline",), str(CollapsedInWarmup("East US"))),
            run(5, ("run",), "MemoryError: "),
        ],
    )
    assert [one.seed for one in found] == [1, 2, 3, 4, 5]
    assert {len(one.drawn) for one in found} == {17}
    assert [one.healthy for one in found] == [False, False, True, False, False]
    assert [one.collapsed for one in found] == [True, False, False, False, False]
    assert [bool(one.unmeasured) for one in found] == [False, True, False, False, True]
    assert found[2].failed == ("F1", "F2")


def test_the_parameter_that_decides_is_found_and_no_other_one() -> None:
    found = draws(load(SCENARIO), made())
    ordered = drivers(found, [one.collapsed for one in found])
    assert ordered[0].parameter == SERVICE_TIME
    assert [one.apart for one in ordered] == [True] + 16 * [False]
    assert ordered[0].rho > 0.6


def test_without_a_difference_there_is_no_driver() -> None:
    found = draws(load(SCENARIO), [run(seed) for seed in (1, 2, 3)])
    assert drivers(found, [False] * 3) == []
    assert drivers([], []) == []


@given(st.lists(st.tuples(st.integers(0, 6), st.booleans()), min_size=3, max_size=40))
def test_the_correlation_is_that_of_scipy_with_ties(drawn: list[tuple[int, bool]]) -> None:
    values, flags = [float(value) for value, _ in drawn], [flag for _, flag in drawn]
    if len(set(values)) < 2 or len(set(flags)) < 2:
        assert rank_correlation(values, flags) == 0.0
        return
    assert rank_correlation(values, flags) == pytest.approx(spearmanr(values, flags).statistic, abs=1e-12)


def test_the_page_counts_the_draws_and_names_the_odd_ones() -> None:
    page = render(load(SCENARIO), made(), "aftershock campaign", "abc")
    lines = page.splitlines()
    assert "| collapses by itself, before anything is injected | 12 of 60 (0.12 to 0.32) |" in lines
    lacking = sum(one.failed == ("F3",) for one in made())
    healthy = [line for line in lines if line.startswith("| of those: F3 holds | ")]
    assert healthy[0].split("| ")[2].startswith(f"{48 - lacking} of 48 (")
    assert f"| `{SERVICE_TIME}` | **+" in page
    assert sum(line.startswith("* seed ") for line in lines) == 12 + lacking
    assert "* seed 5: without F3" in lines or "* seed 5: collapses by itself" in lines


def test_the_page_of_draws_that_all_did_the_same_says_so() -> None:
    page = render(load(SCENARIO), list(starmap(run, [(1,), (2,)])), "aftershock campaign", "")
    assert page.count("All draws did the same.") == 2
    assert "None.\n" in page


@pytest.mark.parametrize("arguments", [["--perturbed", "0"], ["--with", "R1"], ["--drop", "T16"]])
def test_a_page_of_other_runs_is_refused_before_the_first_one(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["campaign", "--scenario", SCENARIO, "--page", "page.md", *arguments])
    assert result.exit_code == 2
    assert "--page: shows perturbed runs of the scenario as it is" in result.output
    assert not list(tmp_path.iterdir())
