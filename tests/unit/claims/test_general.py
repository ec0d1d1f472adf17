"""Judging, running and studying know no incident: what belongs to one stands in its claim set and its scenarios."""

import re
from pathlib import Path

import pytest

from chaos.scenarios.expect import CLAIM_SETS
from chaos.scenarios.expect_checks import CLAIM_REGIONS
from chaos.scenarios.loader import load, names
from chaos.scenarios.signals_page import reductions_table, signals_table
from chaos.verdict.claim_set import claim_set

ROOT = Path(__file__).parents[3]
SETS = ROOT / "chaos" / "verdict" / "claim_sets"
GENERAL = ("chaos/verdict", "chaos/experiment", "chaos/studies")
SUFFIXES = {".py", ".yaml", ".j2"}


def sources() -> list[Path]:
    found = [path for folder in GENERAL for path in (ROOT / folder).rglob("*") if path.suffix in SUFFIXES]
    return [path for path in found if SETS not in path.parents or path.parent == SETS]


@pytest.mark.parametrize("word", [*names(), "eastus", "westus"])
def test_no_general_code_knows_a_scenario_or_a_region_of_it(word: str) -> None:
    assert len(sources()) > 50
    knows = [str(path.relative_to(ROOT)) for path in sources() if re.search(rf"{word}(?!-short)", path.read_text())]
    assert knows == []


def test_the_claim_sets_are_those_that_a_scenario_may_name() -> None:
    packages = {path.name for path in SETS.iterdir() if (path / "__init__.py").is_file()}
    assert packages == {name.replace("-", "_") for name in CLAIM_SETS}
    for name in CLAIM_SETS:
        claims = claim_set(name)
        assert (claims.name, claims.regions) == (name, CLAIM_REGIONS[name])
        assert {claim.id[0] for claim in claims.claims()} == {group.letter for group in claims.groups}


def test_no_expectation_of_a_scenario_has_the_id_of_a_claim() -> None:
    for scenario in map(load, names()):
        if scenario.claims is not None:
            taken = {claim.id for claim in claim_set(scenario.claims).claims()}
            assert taken.isdisjoint(one.id for one in scenario.expect), scenario.name


def test_the_page_of_scenarios_has_the_tables_of_the_registry() -> None:
    page = (ROOT / "docs" / "scenarios.md").read_text()
    assert signals_table() in page
    assert reductions_table() in page
