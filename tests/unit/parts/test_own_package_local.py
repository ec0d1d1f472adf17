"""The parts of an installed package in processes of their own: the local runtime."""

from pathlib import Path

import pytest

from chaos.experiment.plan import make_plan
from chaos.experiment.runs import carry_out
from chaos.record.record import RunRecord
from chaos.scenarios.loader import load
from tests.unit.parts.own_package import install


@pytest.mark.real_time
@pytest.mark.long
@pytest.mark.timeout(300)
def test_retry_fault_and_journey_of_a_package_work_in_every_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = make_plan(load(install(tmp_path, monkeypatch)), 1)
    folder = tmp_path / "run"
    folder.mkdir()

    finished = carry_out(plan, runtime="local", folder=folder)

    assert not finished.problem
    assert finished.recorder is not None
    record = RunRecord.from_memory(finished.plan, finished.recorder)
    sold = record.events_of("operation", tenant="acme")
    assert {event["journey"] for event in sold} == {"own"}
    assert {event["attempts"] for event in sold if event["result"] == "failed"} <= {2}
    assert any(event["duration_s"] > 0.5 for event in sold if event["result"] == "success"), "the policy's wait"
    assert (record.delta("fault_effects_total", 0, 14, kind="every-third") or 0) > 5
    assert record.first_event("journey_crashed") is None
    assert record.first_event("setting_rejected") is None
