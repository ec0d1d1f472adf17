"""docs/incidents/azure-front-door-ykyn-bwz.yaml: one run for its expectations, and controls in which they fail."""

from functools import cache

import pytest

from chaos.experiment.plan import make_plan
from chaos.experiment.runs import carry_out
from chaos.record.record import RunRecord
from chaos.scenarios.loader import load
from chaos.scenarios.whatif import rearrange
from chaos.verdict.verdict import Verdict, judge
from services.parts import declared
from tests.unit.parts.own_package import TEMPLATES, isolate

pytestmark = pytest.mark.xdist_group("azure front door")
FILE = TEMPLATES.parent / "incidents" / "azure-front-door-ykyn-bwz.yaml"
ALL = {"E1", "E2", "E3", "E4", "E5", "E6", "E7"}


@pytest.fixture(autouse=True)
def parts(monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(monkeypatch)
    monkeypatch.setenv(declared.FOLDER, str(FILE.parent))


@cache
def run(changes: tuple[str, ...] = (), drops: tuple[str, ...] = (), seed: int = 1) -> tuple[RunRecord, Verdict]:
    scenario = rearrange(load(FILE), (), drops, changes)
    finished = carry_out(make_plan(scenario, seed), transport="direct")
    assert not finished.problem
    assert finished.recorder is not None
    record = RunRecord.from_memory(finished.plan, finished.recorder)
    return record, judge(record)


def held(verdict: Verdict) -> set[str]:
    return {one.id for one in verdict.expected if one.status == "reproduced"}


def test_the_incident_is_as_expected() -> None:
    _, verdict = run()
    assert (held(verdict), verdict.exit_code) == (ALL, 0)


def test_the_defect_reaches_the_regions_that_the_gate_let_pass_and_no_other() -> None:
    record, _ = run()
    crashed = record.events_of("node_crashed", reason="configuration")
    assert {event["region"] for event in crashed} == {"pilot", "europe", "asia"}
    assert crashed[0]["t"] == 9.0, "two regions had passed"


def test_going_back_to_the_last_known_good_configuration_changes_nothing() -> None:
    """The gate stops when it sees the first crash. Until the corrected one is deployed, no setting changes again."""
    record, _ = run()
    assert [event["t"] for event in record.events_of("setting_changed")] == [0.0, 4.0, 8.0, 45.0, 46.0, 47.0, 48.0]
    assert record.events_of("action_failed") == []


@pytest.mark.long
def test_a_gate_that_watches_longer_stops_in_the_first_region() -> None:
    record, verdict = run(changes=("A1.options.watch_s=12",))
    assert {event["region"] for event in record.events_of("node_crashed")} == {"pilot"}
    assert len(record.events_of("node_crashed")) == 2, "each node once"
    assert (held(verdict), verdict.exit_code) == ({"E1", "E7"}, 1)


@pytest.mark.long
def test_without_a_defect_only_the_statements_about_health_hold() -> None:
    record, verdict = run(changes=("A1.options.crash_after_s=0",))
    assert record.events_of("node_crashed") == []
    assert held(verdict) == {"E1", "E7"}


@pytest.mark.long
def test_without_a_corrected_configuration_the_ramp_does_not_help() -> None:
    _, verdict = run(drops=("A4",))
    assert "E7" not in held(verdict)


@pytest.mark.long
def test_traffic_that_returns_at_once_is_not_served() -> None:
    _, verdict = run(changes=("A6.from_fraction=2", "A6.to_fraction=2"))
    assert held(verdict) == ALL - {"E7"}


@pytest.mark.long
def test_a_defect_that_is_there_before_the_first_gate_looks_is_stopped() -> None:
    """The statement about the gates can fail."""
    _, verdict = run(changes=("A1.options.crash_after_s=1",))
    assert "E1" not in held(verdict)
