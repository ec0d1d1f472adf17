"""The link from a claim's row to its span in the curves."""

import re

import pytest

from chaos.record.record import RunRecord
from chaos.report.canvas import LEFT, RIGHT
from chaos.report.moments import ClaimMoment, moments
from chaos.report.page import render
from chaos.verdict import Verdict, judge
from tests.unit.record.incident_record import fresh_incident

CHARTS = ("timeline", "rates", "amplification", "success", "heat-storage", "heat-identity", "busy", "nodes", "backlog")


def by_id(record: RunRecord, verdict: Verdict) -> dict[str, tuple[str, ClaimMoment]]:
    found = moments(record, verdict, CHARTS)
    return {moment.claim.id: (chart, moment) for chart, some in found.items() for moment in some}


def test_every_claim_about_this_run_has_its_span(record: RunRecord, verdict: Verdict) -> None:
    found = by_id(record, verdict)
    for claim in verdict.claims:
        if claim.window is not None:
            moment = found[claim.id][1]
            assert (moment.start, moment.end) == (max(claim.window[0], record.start), min(claim.window[1], record.end))
        elif claim.status not in ("narrative", "not_judged"):
            assert claim.id in found, claim.id
    rows = {entry["id"]: entry["t"] for entry in record.plan["timeline"]}
    assert (found["T05"][1].start, found["T05"][1].end) == (rows["T05"], rows["T05"])  # narrative, but it has a time
    assert verdict.claim("S37").status == "narrative"
    assert "S37" not in found


def test_a_span_is_placed_where_the_axis_of_the_charts_has_it(record: RunRecord, verdict: Verdict) -> None:
    moment = by_id(record, verdict)["F1"][1]
    share = (moment.start - record.start) / (record.end - record.start)
    assert moment.left == pytest.approx(100 * (LEFT + (RIGHT - LEFT) * share), abs=0.01)
    assert 100 * LEFT < moment.left < moment.right < 100 * RIGHT


def test_a_claim_is_shown_in_the_chart_of_what_was_measured(record: RunRecord, verdict: Verdict) -> None:
    charts = {claim: chart for claim, (chart, _moment) in by_id(record, verdict).items()}
    assert charts["F1"] == "success"
    assert charts["T13"] == "timeline"
    assert charts["M24"] == "amplification"
    assert charts["S01"] == "heat-storage"


def test_every_link_of_the_page_leads_to_one_place_and_back(record: RunRecord, verdict: Verdict) -> None:
    page = render(record, verdict)
    ids = re.findall(r' id="([^"]+)"', page)
    links = re.findall(r'<a [^>]*href="#([^"]+)"', page)
    assert set(links) <= set(ids)
    for claim in by_id(record, verdict):
        assert {f"at-{claim}", claim} <= set(links), claim
        assert page.count(f".charts:has(#at-{claim}:target) {{") == 1
    assert page.count('<div class="span"></div>') == page.count("<figure ")


def test_the_page_says_how_to_repeat_the_run() -> None:
    made = fresh_incident()
    made.plan = {**made.plan, "command": "aftershock run azure-fnj8-vqz --seed 1", "commit": "0123456789ab"}
    record = made.build()
    footer = render(record, judge(record)).partition("<footer>")[2]
    assert "aftershock run azure-fnj8-vqz --seed 1" in footer
    assert re.search(r"Seed 1, commit <code>0123456789ab</code>", footer)
