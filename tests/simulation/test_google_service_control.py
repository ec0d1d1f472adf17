"""The restart herd of Google Cloud's Service Control: the scenario holds, and each expectation fails in a control."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from chaos.check_part.command import check_part_command
from chaos.experiment.plan import make_plan
from chaos.experiment.runs import carry_out
from chaos.progress.terminal import terminal
from chaos.record.record import RunRecord
from chaos.scenarios.loader import load
from chaos.verdict.verdict import Verdict, judge
from services.parts.declared import declare_folder
from tests.unit.parts.own_package import isolate

FOLDER = Path(__file__).parents[2] / "docs" / "incidents"
FILE = FOLDER / "google-service-control-2025.yaml"
REGIONS = ("uscentral1", "uswest1", "europewest1", "asiaeast1")


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scenario's folder and parts are declared for a test only."""
    isolate(monkeypatch)


def run(path: Path, *, seed: int = 1, size: float | None = None, **options: Any) -> tuple[RunRecord, Verdict]:
    finished = carry_out(make_plan(load(path, size=size), seed, **options), transport="direct")
    assert not finished.problem
    assert finished.recorder is not None
    record = RunRecord.from_memory(finished.plan, finished.recorder)
    return record, judge(record)


@cache
def incident() -> tuple[RunRecord, Verdict]:
    return run(FILE)


def contradicted(verdict: Verdict) -> list[str]:
    return [one.id for one in verdict.expected if one.status == "contradicted"]


def test_the_run_is_as_expected() -> None:
    record, verdict = incident()
    assert [(one.id, one.status) for one in verdict.expected] == [(f"E{n}", "reproduced") for n in range(7)]
    assert verdict.status == "as_expected"
    assert record.first_event("action_failed") is None
    assert record.first_event("setting_rejected") is None


def test_all_tasks_crash_at_once_and_by_the_configuration() -> None:
    record, _ = incident()
    for region, tasks in zip(REGIONS, (24, 4, 4, 4), strict=True):
        first = record.events_of("node_crashed", 0.0, 2.0, region=region)
        assert len({event["source"] for event in first}) == tasks
        assert {event["reason"] for event in first} == {"configuration"}
        assert max(event["t"] for event in first) < 1.0


def test_a_stopped_region_starts_at_the_rate_of_the_throttle() -> None:
    record, _ = incident()
    back = [event["t"] for event in record.events_of("node_configured", 115.0, 175.0, region="uscentral1")]
    assert len(back) == 24
    assert min(back) > 127
    assert max(back) < 160, "the report's time"


@pytest.mark.long
@pytest.mark.parametrize(
    "name", ["InsertPolicy", 'RedButton regions="uscentral1"', 'ThrottleTaskCreation region="uscentral1"']
)
def test_its_actions_pass_the_contract_test_of_parts(name: str) -> None:
    declare_folder(FOLDER)
    part, _, option = name.partition(" ")
    key, _, value = option.partition("=")
    options = {key: value.strip('"')} if key else {}
    assert check_part_command(f"google_service_control:{part}", "action", options, terminal()) == 0


def changed(folder: Path, *changes: tuple[str, str]) -> Path:
    """The scenario with pieces of its text replaced, in a folder with its parts."""
    text = FILE.read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    for part in FOLDER.glob("*.py"):
        (folder / part.name).write_text(part.read_text())
    (folder / FILE.name).write_text(text)
    return folder / FILE.name


HARMLESS = ('InsertPolicy", note', 'InsertPolicy", options: {crash_after_s: 500}, note')
SLOW_TABLES = ("service_time_s: 0.25", "service_time_s: 1.5")
NO_THROTTLE = ("hold_s: 12, interval_s: 1}", "hold_s: 1, interval_s: 0.01}")


@pytest.mark.long
@pytest.mark.parametrize(
    ("change", "fails"),
    [(HARMLESS, {"E1", "E2", "E4"}), (SLOW_TABLES, {"E3"}), (NO_THROTTLE, {"E6"})],
    ids=["harmless-policy", "slow-tables", "no-throttle"],
)
def test_every_expectation_fails_in_a_run_without_what_it_rests_on(
    change: tuple[str, str], fails: set[str], tmp_path: Path
) -> None:
    """E5 fails with jitter."""
    assert fails <= set(contradicted(run(changed(tmp_path, change))[1]))


@pytest.mark.long
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("options", [{"mitigations": ["jitter"]}, {"size": 0.5}], ids=["jitter", "smaller-fleet"])
def test_with_jitter_or_a_smaller_fleet_us_central1_comes_back_by_itself(seed: int, options: dict[str, Any]) -> None:
    _, verdict = run(FILE, seed=seed, **options)
    assert {"E4", "E5"} <= set(contradicted(verdict))
    assert verdict.claim("E3").status == "reproduced"
