"""Outcomes of the made-up incident, and of the same incident doctored into one that did not happen."""

import math

import pytest

from chaos.studies.matrix.outcomes import COLUMNS, RunOutcome, outcome
from chaos.verdict.figures import identity_impact_s, storage_impact_s
from chaos.verdict.view import View
from tests.unit.record.incident_record import END, D, E, IncidentRecord, fresh_incident


def measured(made: IncidentRecord) -> RunOutcome:
    return outcome(View(made.build()))


def healthy_pair(made: IncidentRecord) -> IncidentRecord:
    """The same, but the pair answers everything until it is drained."""
    for region in ("eastus", "westus"):
        made.rate("identity_client_attempts_total", 0.0, E - 1, D + 1, layer="sdk", region=region)
        made.rate("identity_client_attempts_total", 12.0, E - 1, D + 1, layer="sdk", region=region, outcome="ok")
        made.level("identity_workers_busy", 0.0, E - 1, D + 1, region=region)
    return made


def test_the_incident_has_both_waves_and_counts_to_its_end() -> None:
    found = measured(fresh_incident())
    view = View(fresh_incident().build())
    assert (found.first_wave, found.east_collapses, found.west_collapses) == (True, True, True)
    assert found.counted_until_t == END
    assert found.values["impact_a_min"] == storage_impact_s(view)
    assert found.values["impact_b_min"] == identity_impact_s(view)
    assert found.values["worst_success"] == 0.0


def test_every_column_is_measured_in_the_incident() -> None:
    found = measured(fresh_incident())
    assert list(found.values) == [column.name for column in COLUMNS]
    assert None not in found.values.values()
    assert 200 < float(found.values["east_saturated_min"] or 0) < 300
    assert 300 < float(found.values["recovery_min"] or 0) < 760


def test_a_pair_that_works_when_the_drain_comes_is_counted_up_to_the_drain() -> None:
    found = measured(healthy_pair(fresh_incident()))
    assert found.second_wave is False
    assert found.counted_until_t == D
    assert found.values["worst_success"] == 1.0
    assert found.values["impact_b_min"] == 0.0
    assert found.values["east_saturated_min"] == 0.0


def test_a_backlog_that_stays_is_never_drained_and_nothing_recovers() -> None:
    made = fresh_incident().level("provisioner_jobs", 100.0, D, END, state="queued")
    found = measured(made)
    assert found.values["backlog_drain_min"] == math.inf
    assert found.values["recovery_min"] == math.inf


@pytest.mark.parametrize(
    ("metric", "columns"),
    [
        ("provisioner_jobs", {"backlog_peak", "backlog_drain_min", "recovery_min"}),
        ("provisioner_job_tries_total", {"impact_a_min", "recovery_min"}),
        ("identity_work_completed_total", {"wasted_ratio"}),
        ("identity_workers", {"east_saturated_min", "west_saturated_min"}),
        (
            "identity_client_attempts_total",
            {"impact_b_min", "peak_amplification", "peak_attempts_per_s", "recovery_min", "worst_success"},
        ),
    ],
)
def test_what_was_not_recorded_is_not_measured(metric: str, columns: set[str]) -> None:
    values = measured(fresh_incident().without(metric)).values
    assert {name for name, value in values.items() if value is None} == columns


def test_without_a_restore_the_second_wave_is_not_measured() -> None:
    found = measured(fresh_incident().without_entries("T09"))
    assert found.second_wave is None
    assert found.values["worst_success"] is None
