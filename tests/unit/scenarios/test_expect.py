"""`expect` in a scenario file: what is refused when the file is loaded, with line, field and rule."""

from typing import Any

import pytest

from chaos.experiment.alerts import default_alerts
from chaos.scenarios.expect import parse_expectations
from chaos.scenarios.expect_text import predicate
from chaos.scenarios.loader import ScenarioError, load, loads, names
from chaos.scenarios.moments import Moments, TimelineEntry, parts
from chaos.scenarios.signals import ALERTS, SIGNALS
from chaos.verdict.signals import HAPPENINGS, MEASURES

HEAD = """\
name: two
title: Two regions
starts_at: 2026-03-01T10:00:00Z
duration_s: 60
regions:
  - {name: here, display: Here, pair: there}
  - {name: there, display: There, pair: here}
load:
  here: {token_rate_per_s: 1, job_rate_per_s: 0}
  there: {token_rate_per_s: 1, job_rate_per_s: 0}
timeline:
  - {id: A1, at_s: 10, do: set_load, region: here, factor: 2}
  - {id: A2.x, at_s: 20, do: note, observe: Seen.}
  - {id: A2.y, at_s: 30, do: set_load, region: here, factor: 1}
expect:
"""
LINE = HEAD.count("\n") + 1
GOOD = "signal: attempt_success, at_least: 0.5"


def scenario(*rows: str) -> Any:
    return loads(HEAD + "".join(f"  - {{{row}}}\n" for row in rows), "s.yaml")


def refused(*rows: str) -> list[str]:
    with pytest.raises(ScenarioError) as error:
        scenario(*rows)
    return str(error.value).splitlines()


def one(fields: str) -> str:
    return f"id: E1, says: So., {fields}"


def test_a_statement_is_read_as_it_is_written() -> None:
    made = scenario(one("signal: attempt_success, region: here, from: A1+2s, to: A2-0.5s, at_most: 0.10"))
    (expectation,) = made.expect
    assert predicate(expectation) == "A1+2s to A2-0.5s: attempt_success of here ≤ 0.1"
    assert parse_expectations([expectation.document()]) == made.expect


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ("signal: succes, at_least: 0.5", "signal: unknown signal; known: attempt_success, operation_success,"),
        (f"{GOOD}, regoin: here", "regoin: unknown field"),
        (f"{GOOD}, region: hare", "region: unknown region 'hare'; known: here, there"),
        (f"{GOOD}, regions: [here, hare]", "regions.1: unknown region 'hare'"),
        (f"{GOOD}, regions: [here, here]", "regions.1: 'here' is listed twice"),
        (f"{GOOD}, region: here, regions: [there]", "has both 'region' and 'regions'"),
        (f"{GOOD}, tenant: actions", "tenant: attempt_success has no tenant; it has region"),
        ("signal: journey_success, tenant: nobody, at_least: 0.5", "tenant: unknown tenant 'nobody'; known: "),
        ("signal: alerts, alert: Storm, at_most: 0", "alert: unknown alert 'Storm'; known: ControlPlaneFailures,"),
        (f"{GOOD}, from: A9+2s", "from: no entry 'A9' in the timeline; known: start, end, A1, A2.x, A2.y"),
        (f"{GOOD}, to: soon", "to: should be ENTRY, start or end, with an offset such as +2s"),
        (f"{GOOD}, from: A1+200s", "from: is bench second 210, outside -30 … 60"),
        (f"{GOOD}, to: 61", "to: is bench second 61, outside -30 … 60"),
        (f"{GOOD}, from: A2, to: A1", "to: the window from bench second 30 to 10 is empty"),
        (f"{GOOD}, how: worst, over_s: 40, from: A1, to: A2", "over_s: a sample takes 40 s, more than from bench"),
        (f"{GOOD}, how: worst, from: A1, to: A1+9s", "to: a sample takes 10 s, more than from bench second 10 to 19"),
        (f"{GOOD}, how: ever, from: 51, to: end", "to: a sample takes 10 s, more than from bench second 51 to 60"),
        ("signal: attempt_success, at_least: true", "at_least: should be a number"),
        (f"{GOOD}, over_s: 3", "over_s: has no effect on the mean of attempt_success"),
        (f"{GOOD}, how: sometimes", "how: Input should be 'mean', 'worst', 'last', 'ever' or 'count'"),
        (f"{GOOD}, how: count", "how: attempt_success has no count; it has mean, worst, last, ever"),
        (f"{GOOD}, needs: [A9]", "needs.0: no entry 'A9' in the timeline"),
        ("signal: attempt_success", "needs a comparison: one of at_least, above, at_most, below"),
        (f"{GOOD}, above: 0.5", "above: is given beside 'at_least'; one of them is enough"),
        (f"{GOOD}, at_most: 0.4", "at_most: no value is ≥ 0.5 and ≤ 0.4"),
        (f"{GOOD}, below: 0.5", "below: no value is ≥ 0.5 and < 0.5"),
        (f"{GOOD}, at_most: 0.6, how: worst", "at_most: 'how: worst' takes one comparison"),
        ("signal: attempt_success, at_most: 1", "at_most: attempt_success is always ≤ 1; it is between 0 and 1"),
        ("signal: attempt_success, above: 99", "above: attempt_success is never > 99; it is between 0 and 1"),
        ("signal: crashes, how: ever, at_least: 1", "at_least: events that ever happened need no comparison"),
        (f"{GOOD}, before: E1", "before: needs 'how: ever', which gives the condition a time"),
        (f"{GOOD}, how: ever, before: E7", "before: unknown expectation 'E7'; known: E1"),
        (f"{GOOD}, how: ever, before: E1", "before: an expectation cannot be before itself"),
        (f"{GOOD}, how: ever, before: {{region: hare}}", "before.region: unknown region 'hare'"),
        (
            f"{GOOD}, region: here, how: ever, before: {{region: here}}",
            "before: names the same as the condition itself",
        ),
        (f"{GOOD}, how: ever, before: {{}}", "before: names the same as the condition itself"),
        (f"{GOOD}, regions: [here], how: ever, before: {{region: here}}", "before: names the same as the condition"),
        (f"{GOOD}, shown: true", "every condition is only shown; one has to be judged"),
        (f"all: [{{{GOOD}}}, {{{GOOD}}}]", "two values are called 'attempt_success'; one of them needs a 'name'"),
        (f"all: [{{{GOOD}}}], at_most: 0.6", "at_most: unknown field"),
    ],
)
def test_what_cannot_be_judged_is_refused_with_its_rule(fields: str, said: str) -> None:
    lines = refused(one(fields))
    assert any(line.startswith(f"s.yaml:{LINE}: expect.0") and said in line for line in lines), lines


def test_the_line_is_that_of_the_condition() -> None:
    text = f"{HEAD}  - id: E1\n    says: So.\n    all:\n      - {{{GOOD}}}\n      - {{signal: x, below: 1}}\n"
    with pytest.raises(ScenarioError) as error:
        loads(text, "s.yaml")
    assert str(error.value).startswith(f"s.yaml:{LINE + 4}: expect.0.all.1.signal: unknown signal; known: ")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([one(GOOD), one("signal: backlog, below: 5")], "expect.1.id: 'E1' is also expect.0"),
        (
            [one(f"{GOOD}, from: A1"), "id: E2, says: No., signal: attempt_success, from: 10, below: 0.4"],
            "expect.1: contradicts E1: no attempt_success can meet both",
        ),
        (
            [one(GOOD), "id: E2, says: No., signal: attempt_success, below: 0.5"],
            "expect.1: contradicts E1: no attempt_success can meet both",
        ),
        (
            [one(f"{GOOD}, how: ever, before: E2"), f"id: E2, says: No., {GOOD}"],
            "expect.0.before: 'E2' has no time: it needs exactly one condition with 'how: ever'",
        ),
        (
            [one(f"{GOOD}, how: ever, before: E2"), f"id: E2, says: No., {GOOD}, how: ever, before: E1"],
            "expect.0.before: 'E2' is itself before 'E1'",
        ),
    ],
    ids=[
        "one id twice",
        "two bounds on one value",
        "two bounds that touch",
        "before something without a time",
        "a circle",
    ],
)
def test_expectations_have_to_fit_together(rows: list[str], said: str) -> None:
    assert any(said in line for line in refused(*rows)), refused(*rows)


def test_two_bounds_on_other_values_do_not_contradict() -> None:
    low = "says: No., signal: attempt_success, below: 0.4"
    others = ("region: here", "from: A1", "how: ever", "how: last")
    rows = [f"id: E{number}, {low}, {other}" for number, other in enumerate(others, 2)]
    assert len(scenario(one(GOOD), *rows).expect) == 5


def test_claims_need_the_regions_that_they_are_about() -> None:
    with pytest.raises(ScenarioError, match=r"s.yaml:2: claims: .*'fnj8-vqz'.*lacks: eastus"):
        loads(HEAD.replace("title:", "claims: fnj8-vqz\ntitle:").removesuffix("expect:\n"), "s.yaml")
    with pytest.raises(ScenarioError, match=r"claims: Input should be 'fnj8-vqz' \(got 'x'\)"):
        loads(HEAD.replace("title:", "claims: x\ntitle:").removesuffix("expect:\n"), "s.yaml")


def test_moments_follow_the_plan() -> None:
    entries = [TimelineEntry(*row) for row in (("A1", 10.0, True), ("A2.x", 20.0, False), ("A2.y", 30.0, True))]
    moments = Moments.of(25.0, 60.0, [*entries, TimelineEntry("DRILL", 50.0, True)])
    wanted = {"start+1s": -24.0, "A1-0.5s": 9.5, "A2": 30.0, "A2.x": 20.0, "end": 50.0, "B1": None}
    assert {moment: moments.at(moment) for moment in wanted} == wanted
    assert moments.at(7) == 7.0
    assert moments.first_of(("B1", "A1", "end")) == 10.0
    assert moments.last == 60.0
    with pytest.raises(ValueError, match="should be ENTRY, start or end"):
        parts("A1+2")


def test_every_signal_is_measured_and_every_alert_is_known() -> None:
    assert MEASURES.keys() | HAPPENINGS.keys() == SIGNALS.keys()
    assert {name for name, one in SIGNALS.items() if one.kind == "events"} == HAPPENINGS.keys()
    assert tuple(alert.name for alert in default_alerts()) == ALERTS


def test_every_shipped_scenario_expects_something() -> None:
    assert [name for name in names() if not load(name).expect] == []
