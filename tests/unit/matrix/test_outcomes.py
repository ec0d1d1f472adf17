"""Outcomes of the made-up incident, and of the same incident doctored into one that did not happen."""

import math

import pytest

from chaos.studies.matrix.outcomes import COLUMNS, RunOutcome, outcome
from chaos.verdict.claim_sets.fnj8_vqz.view import IncidentView
from chaos.verdict.figures import blocked, failing, seconds
from tests.unit.record.incident_record import END, D, E, IncidentRecord, fresh_incident


def measured(made: IncidentRecord) -> RunOutcome:
    return outcome(IncidentView(made.build()))


def healthy_pair(made: IncidentRecord) -> IncidentRecord:
    """The same, but the pair answers everything until it is drained."""
    for region in ("eastus", "westus"):
        made.rate("identity_client_attempts_total", 0.0, E - 1, D + 1, layer="sdk", region=region)
        made.rate("identity_client_attempts_total", 12.0, E - 1, D + 1, layer="sdk", region=region, outcome="ok")
        made.level("identity_workers_busy", 0.0, E - 1, D + 1, region=region)
    return made


def test_the_incident_has_both_waves_and_counts_to_its_end() -> None:
    found = measured(fresh_incident())
    view = IncidentView(fresh_incident().build())
    assert (found.first_wave, found.east_collapses, found.west_collapses) == (True, True, True)
    assert found.counted_until_t == END
    assert found.values["impact_a_min"] == seconds(view, blocked(view))
    assert found.values["impact_b_min"] == seconds(view, failing(view))
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
    assert found.values["recovery_min"] == math.inf


@pytest.mark.parametrize(
    ("metric", "columns"),
    [
        ("provisioner_jobs", {"backlog_peak", "backlog_job_min", "recovery_min"}),
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


def test_the_same_waiting_counts_the_same_whenever_its_peak_comes() -> None:
    """The minutes from the peak to the end of the backlog, which were counted before, differ by 350 here."""

    def waited(peak_t: float) -> float | None:
        made = fresh_incident().level("provisioner_jobs", 0.0, -30.0, END, state="queued")
        made.level("provisioner_jobs", 0.0, -30.0, END, state="blocked")
        made.level("provisioner_jobs", 50.0, 100.0, 500.0, state="queued")
        made.level("provisioner_jobs", 90.0, peak_t, peak_t + 10.0, state="queued")
        return measured(made).values["backlog_job_min"]

    early = waited(110.0)
    assert early is not None
    assert early > 50.0 * 400.0
    assert waited(460.0) == early


def test_a_backlog_that_is_left_at_the_drain_of_a_healthy_pair_has_no_end() -> None:
    made = healthy_pair(fresh_incident()).level("provisioner_jobs", 100.0, E, END, state="queued")
    found = measured(made)

    assert found.counted_until_t == D
    assert (found.values["backlog_job_min"], found.values["recovery_min"]) == (None, None)


def test_the_share_of_wasted_work_has_the_same_window_in_every_cell() -> None:
    """Work after the drain counts in neither: a healthy pair is not drained, so its window would be shorter."""
    made = fresh_incident()
    before = measured(made).values["wasted_ratio"]
    made.rate("identity_work_completed_total", 50.0, D + 1, END, outcome="useful", region="eastus")

    assert measured(made).values["wasted_ratio"] == before
