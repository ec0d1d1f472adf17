"""Incident times become bench seconds: one minute is one second."""

from datetime import UTC, datetime

import pytest

from chaos.scenarios.times import check, incident_time, tau, utc

START = datetime(2026, 2, 2, 18, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("18:03", 0.0),
        ("18:29", 26.0),
        ("21:18", 195.0),
        ("+1d 00:07", 364.0),
        ("+1d 06:05", 722.0),
        ("+2d 18:03", 2880.0),
        ("17:33", -30.0),
        ("2026-02-03T00:14:00Z", 371.0),
        ("2026-02-03T00:14:30+00:00", 371.5),
    ],
)
def test_one_bench_second_is_one_incident_minute(at: str, expected: float) -> None:
    assert tau(check(at), START) == expected


@pytest.mark.parametrize(
    "at", ["24:00", "18:60", "9:05", "1d 00:07", "+d 00:07", "noon", "", "2026-02-03", "2026-02-03T00:14", " 18:03"]
)
def test_other_forms_are_refused(at: str) -> None:
    with pytest.raises(ValueError, match="should be 'HH:MM'"):
        check(at)


def test_a_time_in_another_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="must be in UTC"):
        utc("2026-02-02T19:03:00+01:00")


@pytest.mark.parametrize("t", [-30.0, 0.0, 364.0, 722.5])
def test_the_calendar_of_a_bench_second_leads_back_to_it(t: float) -> None:
    assert tau(incident_time(t, START).isoformat(), START) == t
