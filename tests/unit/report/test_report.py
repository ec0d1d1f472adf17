"""The page, the table, the files and the comparison, from a made-up record and from records that lack things."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from io import StringIO
from pathlib import Path
from typing import ClassVar

import pytest
from rich.console import Console

from chaos.record.record import RecordError, RunRecord
from chaos.record.series import SeriesTable
from chaos.report import words
from chaos.report.compare import Comparison, compare, flat, print_comparison
from chaos.report.files import read_verdict, write_report, write_verdict
from chaos.report.page import render
from chaos.report.table import print_verdict
from chaos.verdict import Verdict, judge
from chaos.verdict.claim_sets.fnj8_vqz import CHECKS
from chaos.verdict.claim_sets.fnj8_vqz.view import IncidentView
from tests.unit.record.incident_record import E, IncidentRecord, calm_day, fresh_incident


@pytest.fixture(scope="module")
def page(record: RunRecord, verdict: Verdict) -> str:
    return render(record, verdict)


class Reader(HTMLParser):
    """Checks that elements nest, and collects what a browser would fetch."""

    VOID: ClassVar[set[str]] = {"meta", "input", "br", "link", "img"}

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.fetched: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name == "id" and value:
                self.ids.append(value)
            if name in ("src", "href", "xlink:href") and value and not value.startswith(("#", "data:")):
                self.fetched.append(value)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    return reader


def test_the_page_needs_nothing_from_outside_and_no_script(page: str) -> None:
    reader = read(page)
    assert reader.fetched == []
    assert "script" not in reader.tags
    assert "url(http" not in page
    assert "@import" not in page


def test_the_page_says_the_headline_every_claim_and_the_command(page: str, verdict: Verdict) -> None:
    assert words.headline(verdict) in page
    for claim in verdict.claims:
        assert f'<span class="id">{claim.id}</span>' in page
    assert page.count('class="claim ') == len(verdict.claims)
    assert "contradicted" not in re.findall(r'class="claim (\w+)"', page)


def test_the_page_holds_the_curves_of_the_run_in_the_pages_colours(page: str) -> None:
    keys = re.findall(r'<figure id="([\w-]+)">', page)
    assert keys == [
        "timeline",
        "rates",
        "amplification",
        "success",
        "heat-storage",
        "heat-identity",
        "work",
        "queue",
        "busy",
        "nodes",
        "backlog",
    ]
    svgs = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(svgs) == len(keys)
    assert all('role="img"' in svg and "aria-label=" in svg for svg in svgs)
    assert not re.search(r"#0[1-9]0[1-9]0[1-9]", page), "a placeholder colour was left"
    assert "var(--east)" in page


def test_no_two_elements_share_an_id(page: str) -> None:
    ids = read(page).ids
    assert len(ids) == len(set(ids))


def test_operator_actions_are_named_on_the_curves(page: str) -> None:
    for label in ("T09 restore East", "T13 scale-out 1", "T16 drain", "T17 ramp"):
        assert label in page


def test_the_drill_after_the_incident_is_drawn_though_the_incident_has_ended(record: RunRecord, page: str) -> None:
    view = IncidentView(record)
    assert view.record.end < view.drilled.record.end
    assert ">DRILL<" in page
    assert "Alerts from there on are the drill" in page, "bars after the end of the incident are explained"
    before = record.until(view.at.end - 1)
    undrilled = render(before, judge(before))
    assert ">DRILL<" not in undrilled
    assert "are the drill" not in undrilled


def test_text_from_the_record_is_escaped() -> None:
    made = fresh_incident()
    made.plan = {**made.plan, "title": "<b>bold</b>", "command": "aftershock run '<x>'"}
    page = render(made.build(), judge(made.build()))
    assert "<b>bold</b>" not in page
    assert "&lt;b&gt;bold&lt;/b&gt;" in page


def test_a_record_without_samples_still_gives_a_page() -> None:
    empty = RunRecord(fresh_incident().plan, [], SeriesTable())
    page = render(empty, judge(empty))
    assert "This run cannot be judged: no samples." in page
    assert "<figure" not in page
    read(page)


@pytest.mark.parametrize("t", [-20, 370])
def test_an_interrupted_record_still_gives_a_page(t: float) -> None:
    cut = fresh_incident().cut(t).build()
    read(render(cut, judge(cut)))


def test_a_calm_day_gives_a_page() -> None:
    calm = calm_day().build()
    page = render(calm, judge(calm))
    assert "A calm day: no retries, no collapse." in page


def test_a_record_with_few_metrics_gives_a_page() -> None:
    made = fresh_incident()
    for name in ("identity_node_up", "provisioner_jobs", "identity_work_completed_total", "identity_queue_length"):
        made.without(name)
    read(render(made.build(), judge(made.build())))


# Words


def test_headlines_for_each_outcome(verdict: Verdict) -> None:
    assert words.headline(verdict).startswith("Incident reproduced: East US was overloaded")
    broken = judge(fresh_incident().level("provisioner_jobs", 50.0, 730, 760, state="blocked").build())
    assert words.headline(broken) == "The run differs from the report: F4 does not hold."


def test_figures_in_their_units() -> None:
    clock = words.IncidentCalendar({"starts_at": "2026-02-02T18:03:00+00:00"})
    assert words.figure("time_east_collapse_t", 366.0, clock) == "00:09 UTC"
    assert words.figure("time_east_collapse_t", 366.0) == "τ 366"
    assert words.figure("recovered_t", "never", clock) == "never"
    assert words.figure("peak_amplification", 11.92) == "×11.9"
    assert words.figure("wasted_ratio", 0.348) == "34.8%"
    assert words.figure("failed_operations", 7321.0) == "7 321"
    assert words.figure("identity_impact_s", 356.0, clock) == "5 h 56 min"
    assert words.figure("identity_impact_s", 9.0, clock) == "9 min"
    assert words.figure("identity_impact_s", 9.0) == "9 s"
    assert words.figure("crashes", None) == "–"


def test_every_figure_has_a_label(verdict: Verdict) -> None:
    assert set(verdict.figures) == set(words.LABELS)
    assert words.label("time_north_collapse_t") == "north collapses"
    assert [name for name, label in words.LABELS.items() if "US" in label and not name.startswith("time_")] == []


def test_a_shortened_incident_is_shown_in_bench_seconds() -> None:
    clock = words.IncidentCalendar({"starts_at": "2026-02-02T18:03:00+00:00", "detection_pace": 0.25})
    assert words.figure("recovered_t", 180.0, clock) == "180 s"
    assert words.figure("identity_impact_s", 90.0, clock) == "90 s"


# Table


def printed(verdict: Verdict, **options: bool) -> str:
    console = Console(file=StringIO(), width=140, force_terminal=False)
    print_verdict(verdict, console, **options)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert isinstance(text, str)
    return text


def test_the_terminal_shows_facts_figures_and_a_tally(verdict: Verdict) -> None:
    text = printed(verdict)
    assert all(f" {fact} " in text for fact in ("F0", "F1", "F2", "F3", "F4"))
    assert "as expected" in text
    assert "Contradicted claims" not in text
    assert re.search(r"systems +37 reproduced 2 narrative", text)


def test_the_terminal_shows_contradicted_claims_with_their_reason() -> None:
    text = printed(judge(fresh_incident().without_events("audit").build()))
    assert "Contradicted claims" in text
    assert "T15" in text
    assert "never" in text


def test_the_terminal_can_show_every_claim(verdict: Verdict) -> None:
    text = printed(verdict, all_claims=True)
    assert all(f" {claim} " in text for claim in CHECKS)


# Files


def test_the_verdict_file_is_what_the_contract_says(tmp_path: Path, verdict: Verdict) -> None:
    path = write_verdict(tmp_path, verdict)
    document = json.loads(path.read_text())
    assert list(document)[:4] == ["scenario", "seed", "runtime", "status"]
    assert {"figures", "claims"} <= set(document)
    assert read_verdict(tmp_path) == verdict
    assert [p.name for p in tmp_path.iterdir()] == ["verdict.json"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [(None, "not judged yet"), ("{", r"verdict\.json:1: not JSON"), ('{"claims": []}', "not a verdict")],
)
def test_a_missing_or_broken_verdict_is_refused(tmp_path: Path, content: str | None, complaint: str) -> None:
    if content is not None:
        (tmp_path / "verdict.json").write_text(content)
    with pytest.raises(RecordError, match=complaint):
        read_verdict(tmp_path)


def test_a_run_that_is_not_of_the_models_size_says_so_wherever_it_is_shown(record: RunRecord) -> None:
    half = replace(record, plan={**record.plan, "size": 0.5})
    said = "0.5 times the model&#39;s size"
    assert said in render(half, judge(half))
    assert said not in render(record, judge(record))
    console = Console(file=StringIO(), width=200)
    print_verdict(judge(half), console)
    assert "seed 1 · virtual · 0.5 times the model's size" in console.file.getvalue()  # type: ignore[attr-defined]
    assert compare(record, half).plan["size"][1] == 0.5


def test_the_report_file_is_the_page_and_rendering_it_again_gives_the_same(
    tmp_path: Path, record: RunRecord, verdict: Verdict, page: str
) -> None:
    assert write_report(tmp_path, record, verdict).read_text() == page


# Comparison


@pytest.fixture(scope="module")
def comparison() -> Comparison:
    doctored = fresh_incident().without_events("audit").without_entries("T13")
    doctored.plan = {**doctored.plan, "seed": 2, "settings": {**doctored.plan["settings"], "identity": {"workers": 4}}}
    return compare(fresh_incident().build(), doctored.build())


def test_a_comparison_names_what_differs(comparison: Comparison) -> None:
    assert comparison.plan == {
        "seed": (1, 2),
        "identity.workers": (None, 4),
        "timeline T13": ("scale_identity at τ 407", None),
    }
    assert comparison.claims["T15"] == ("reproduced", "contradicted")
    assert comparison.figures["time_east_collapse_t"] == (E + 2, E + 2)
    assert not comparison.same


def test_a_run_compared_with_itself_is_the_same(record: RunRecord) -> None:
    comparison = compare(record, record)
    assert comparison.same
    assert comparison.plan == {}


def test_a_comparison_is_printed_side_by_side(comparison: Comparison) -> None:
    console = Console(file=StringIO(), width=140)
    print_comparison(comparison, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert re.search(r"identity\.workers +– +4", text)
    assert re.search(r"T15 +reproduced +contradicted", text)


def test_runs_of_different_scenarios_are_told_apart_by_that_alone() -> None:
    other = IncidentRecord("azure-fnj8-vqz-short")
    assert set(compare(fresh_incident().build(), other.build()).plan) == {"scenario"}


def test_trees_are_flattened() -> None:
    assert flat({"a": {"b": {"c": 1}, "d": [2]}, "e": None}) == {"a.b.c": 1, "a.d": [2], "e": None}
