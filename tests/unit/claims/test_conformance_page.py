"""The page of all claims: made from a small campaign, and the committed one is complete and explained."""

import json
import re
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from rich.console import Console

from chaos.record.files import sealed
from chaos.record.record import RecordError
from chaos.scenarios.loader import load
from chaos.studies.campaign.collect import collect, read, write
from chaos.studies.campaign.command import conformance_command
from chaos.studies.campaign.conformance import render, unexplained
from chaos.studies.campaign.jobs import CampaignResult, CampaignRun
from chaos.verdict import judge
from chaos.verdict.claim_sets.fnj8_vqz import PAIRS, claims
from chaos.verdict.claim_sets.fnj8_vqz.explanations import explanations
from tests.unit.record.incident_record import fresh_incident
from tests.unit.record.mutated import some_mutations

PAGE = Path(__file__).parents[3] / "docs" / "conformance.md"
SCENARIO = "azure-fnj8-vqz"
CONTROL = "careful-tenants"


@pytest.fixture(scope="module")
def plain() -> CampaignResult:
    verdict = judge(fresh_incident().build())
    return CampaignResult(
        CampaignRun(SCENARIO, 1),
        True,
        figures=verdict.figures,
        claims={claim.id: claim.status for claim in verdict.claims},
        details={claim.id: {"measured": claim.measured, "note": claim.note} for claim in verdict.claims},
    )


def of(result: CampaignResult, seed: int, **claims_: str) -> CampaignResult:
    details = {**result.details, **{row: {"measured": {"x": 1}, "note": f"{row} failed"} for row in claims_}}
    return replace(result, job=CampaignRun(SCENARIO, seed), claims={**result.claims, **claims_}, details=details)


def campaign(plain: CampaignResult, broken: int = 1) -> dict[str, Any]:
    """Twenty seeds; the first few contradict M24, all contradict O08."""
    runs = [of(plain, s, **({"M24": "contradicted"} if s <= broken else {}), O08="contradicted") for s in range(1, 21)]
    paired = replace(plain, job=CampaignRun(SCENARIO, 2, control=CONTROL), claims={}, details={})
    shaken = of(replace(plain, job=CampaignRun(SCENARIO, 1, perturb=0.2)), 1, F1="contradicted")
    shaken = replace(shaken, job=CampaignRun(SCENARIO, 1, perturb=0.2))
    return collect(load(SCENARIO), "abc123", [*runs, paired, shaken])


def row(document: dict[str, Any], claim: str) -> dict[str, Any]:
    return next(row for row in (*document["expected"], *document["rows"]) if row["id"] == claim)


def test_every_claim_is_counted_over_the_unperturbed_seeds(plain: CampaignResult) -> None:
    document = campaign(plain)
    assert [row["id"] for row in document["rows"]] == [claim.id for claim in claims()]
    assert [row["id"] for row in document["expected"]] == ["F0", "F1", "F2", "F3", "F4"]
    assert document["seeds"] == list(range(1, 21))
    assert row(document, "F1")["counts"] == {"reproduced": 20}
    assert row(document, "M24")["counts"] == {"contradicted": 1, "reproduced": 19}
    assert row(document, "M24")["others"] == [{"seed": 1, "status": "contradicted", "note": "M24 failed"}]
    assert row(document, "M24")["example"]["seed"] == 2
    assert row(document, "T03")["holds"]
    assert row(document, "T05")["counts"] == {"narrative": 20}


def test_a_claim_about_two_runs_is_counted_over_pairs(plain: CampaignResult) -> None:
    document = campaign(plain)
    assert {name: row(document, name)["counts"] for name in PAIRS} == {name: {"reproduced": 1} for name in PAIRS}
    assert row(document, "M41")["example"]["seed"] == 2
    assert document["controls"] == [{"name": CONTROL, "runs": 1, "holds": 1}]


def test_nineteen_of_twenty_is_enough_and_eighteen_is_not(plain: CampaignResult) -> None:
    assert row(campaign(plain, broken=1), "M24")["holds"]
    assert not row(campaign(plain, broken=2), "M24")["holds"]


def test_the_page_shows_every_row_its_count_and_what_is_to_be_said(plain: CampaignResult) -> None:
    page = render(campaign(plain, broken=2))
    lines = {line.split(" | ")[0].removeprefix("| "): line for line in page.splitlines() if line.startswith("| ")}
    assert {claim.id for claim in claims()} <= set(lines)
    assert "| reproduced 18, contradicted 2 of 20 |" in lines["M24"]
    assert "| reproduced 1 of 1 pairs |" in lines["M41"]
    assert "| underspecified 20 of 20 |" in lines["T03"]
    assert "**M24**, reproduced 18, contradicted 2 of 20: no explanation yet." in page
    assert " - seed 1: contradicted, M24 failed" in page
    assert "**O08**, contradicted 20 of 20: Each time one or few Actions jobs" in page
    assert page.count("Not so in at least 95 % of the runs: ") == 1
    assert all(f"| {name} |" in page for name in explanations().ambiguities)
    assert all(line.count(" | ") == 5 for name, line in lines.items() if name in {claim.id for claim in claims()})


def test_unexplained_rows_fail_the_command(plain: CampaignResult, tmp_path: Path) -> None:
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    write(campaign(plain), good)
    write(campaign(plain, broken=2), bad)
    console = Console(quiet=True)
    assert unexplained(read(bad)) == ["M24"]
    assert conformance_command(good, tmp_path / "page.md", console) == 0
    assert (tmp_path / "page.md").read_text() == render(read(good))
    assert conformance_command(bad, tmp_path / "page.md", console) == 1


def test_a_page_that_cannot_be_written_is_refused_by_name(plain: CampaignResult, tmp_path: Path) -> None:
    file, nowhere = tmp_path / "campaign.json", tmp_path / "missing" / "page.md"
    write(campaign(plain), file)
    with pytest.raises(FileNotFoundError, match=r"missing/page\.md'"):
        conformance_command(file, nowhere, Console(quiet=True))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "not a campaign"),
        ("[]", "not a campaign"),
        (json.dumps({"kind": "aftershock campaign", "rows": []}), "no `sha256` in it"),
        (
            json.dumps(sealed({"kind": "aftershock campaign"})).replace("afters", "befores"),
            "damaged, or changed by hand",
        ),
        (json.dumps(sealed({"rows": []})), "no `kind: aftershock campaign`"),
        (json.dumps(sealed({"kind": "aftershock campaign", "rows": [5]})), r"not a campaign: scenario: .*; rows\.0: "),
    ],
)
def test_a_file_that_is_not_a_campaign_is_refused_by_name(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "c.json"
    file.write_text(text)
    with pytest.raises(RecordError, match=said) as refused:
        read(file)
    assert str(refused.value).startswith(str(file))


def test_a_campaign_of_other_claims_is_refused_by_name(plain: CampaignResult, tmp_path: Path) -> None:
    document = campaign(plain)
    for change, said in (
        ({"rows": [{**document["rows"][0], "id": "M99"}]}, "another table of claims"),
        ({"controls": [{"name": "a", "runs": 1, "holds": 1}]}, "controls: 'a' is none of .*careful-tenants"),
    ):
        write({**document, **change}, tmp_path / "c.json")
        with pytest.raises(RecordError, match=said):
            read(tmp_path / "c.json")


def test_no_campaign_that_is_taken_breaks_its_page(plain: CampaignResult, tmp_path: Path) -> None:
    taken = 0
    for document in some_mutations(campaign(plain), 60, Random(5)):
        write(document, tmp_path / "c.json")
        with suppress(RecordError):
            found = read(tmp_path / "c.json")
            taken += 1
            assert render(found)
    assert 0 < taken < 60


def test_the_committed_page_has_every_claim_as_it_is_worded_today() -> None:
    page = PAGE.read_text()
    rows = [(claim.id, claim.statement) for claim in claims()]
    rows += [(fact.id, fact.says) for fact in load(SCENARIO).expect]
    for name, statement in rows:
        found = re.search(rf"^\| {name} \| (.*)$", page, re.MULTILINE)
        assert found, f"docs/conformance.md has no row {name}"
        assert found[1].startswith(statement.replace("|", "\\|")), name
    assert "no explanation yet" not in page
