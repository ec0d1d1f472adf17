"""Conversion of incident times to bench seconds.

One bench second is one incident minute, so `18:29` of an incident that starts at 18:03 is τ = 26.
"""

import re
from datetime import UTC, datetime, timedelta

INCIDENT_S_PER_BENCH_S = 60.0
_OF_DAY = re.compile(r"(?:\+(?P<days>[0-9]{1,3})d )?(?P<hour>[01][0-9]|2[0-3]):(?P<minute>[0-5][0-9])")
FORMS = "'HH:MM' on the first day, '+1d HH:MM' on a later one, or ISO 8601 in UTC"


def utc(text: str) -> datetime:
    """Parses an ISO 8601 time in UTC.

    Raises:
        ValueError: it is not an ISO 8601 time, or not in UTC.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"not an ISO 8601 time: {text!r}") from error
    if moment.utcoffset() != timedelta(0):
        raise ValueError(f"must be in UTC, e.g. 2026-02-02T18:03:00Z: {text!r}")
    return moment.astimezone(UTC)


def check(at: str) -> str:
    """Returns `at` if it has one of the three forms. Raises ValueError."""
    if not _OF_DAY.fullmatch(at):
        try:
            utc(at)
        except ValueError as error:
            raise ValueError(f"should be {FORMS}") from error
    return at


def tau(at: str, starts_at: datetime) -> float:
    """τ of the incident time `at`, in bench seconds since `starts_at`."""
    found = _OF_DAY.fullmatch(at)
    if found is None:
        moment = utc(at)
    else:
        midnight = starts_at.replace(hour=0, minute=0, second=0, microsecond=0)
        moment = midnight + timedelta(
            days=int(found["days"] or 0), hours=int(found["hour"]), minutes=int(found["minute"])
        )
    return (moment - starts_at).total_seconds() / INCIDENT_S_PER_BENCH_S


def incident_time(t: float, starts_at: datetime) -> datetime:
    """The incident time at bench second `t`, for displays and reports."""
    return starts_at + timedelta(seconds=t * INCIDENT_S_PER_BENCH_S)
