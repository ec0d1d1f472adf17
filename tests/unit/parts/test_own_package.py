"""An installed package brings parts; a scenario beside it runs with them."""

from pathlib import Path

import pytest

from chaos.experiment.plan import make_plan
from chaos.experiment.runs import TransportName, carry_out
from chaos.record.record import RunRecord
from chaos.scenarios.loader import load
from tests.unit.parts.own_package import install


def run(scenario: Path, transport: TransportName) -> RunRecord:
    finished = carry_out(make_plan(load(scenario), 1), transport=transport)
    assert not finished.problem
    assert finished.recorder is not None
    return RunRecord.from_memory(finished.plan, finished.recorder)


def test_retry_fault_and_journey_of_a_package_work_alike_on_both_transports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario = install(tmp_path, monkeypatch)

    records = [run(scenario, transport) for transport in ("http", "direct")]

    for record in records:
        sold = record.events_of("operation", tenant="acme")
        assert {event["journey"] for event in sold} == {"own"}
        assert all(event["result"] == "success" for event in sold if not 1 < event["intended_t"] < 10)
        assert {event["attempts"] for event in sold if event["result"] == "failed"} <= {2}, (
            "one retry, then it gives up"
        )
        waited = [event["duration_s"] for event in sold if event["result"] == "success"]
        assert sum(span > 0.5 for span in waited) > 2, "the wait of the package's policy"
        assert record.delta("fault_effects_total", 0, 14, kind="every-third") > 5
        assert record.first_event("journey_crashed") is None
    assert records[0].events == records[1].events
