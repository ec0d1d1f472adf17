"""The HTTP client honours `Retry-After`, and no answer makes a call raise."""

import math
import re
from pathlib import Path

import pytest

from services.chassis.clock import http_date
from services.chassis.http import RETRY_AFTER, HttpReply, retry_after

NOW = 1_000_000.0
GARBAGE = (
    "",
    "soon",
    "-1",
    "nan",
    "inf",
    "-inf",
    "1e999",
    "1, 2",
    "Mon, 99 Feb 2026 18:03:00 GMT",
    "Mon, 02 Feb 99999 18:03:00 GMT",
    "\x00",
    "\u0661\u0662 apples",
    "\ud83d\udca9".encode("utf-16", "surrogatepass").decode("utf-16"),
)


def reply(value: str) -> HttpReply:
    return HttpReply(503, {"Retry-After": value}, b"")


@pytest.mark.parametrize(("value", "seconds"), [("0", 0.0), ("7", 7.0), ("0.5", 0.5), (" 3 ", 3.0), ("1e2", 100.0)])
def test_retry_after_is_a_number_of_seconds(value: str, seconds: float) -> None:
    assert reply(value).retry_after_s(NOW) == seconds


@pytest.mark.parametrize(("ahead_s", "seconds"), [(30.0, 30.0), (0.0, 0.0), (-30.0, 0.0)])
def test_retry_after_is_a_date_and_counts_from_now(ahead_s: float, seconds: float) -> None:
    assert reply(http_date(NOW + ahead_s)).retry_after_s(NOW) == seconds


@pytest.mark.parametrize(
    "value",
    ["Mon, 12 Jan 1970 13:46:50 GMT", "Monday, 12-Jan-70 13:46:50 GMT", "Mon Jan 12 13:46:50 1970"],
    ids=["IMF-fixdate", "RFC 850", "asctime"],
)
def test_all_three_forms_of_an_http_date_are_read(value: str) -> None:
    assert reply(value).retry_after_s(NOW) == 10.0


@pytest.mark.parametrize("value", GARBAGE)
def test_an_invalid_retry_after_is_ignored(value: str) -> None:
    assert reply(value).retry_after_s(NOW) is None


def test_without_the_header_there_is_no_retry_after() -> None:
    assert HttpReply(503, {}, b"").retry_after_s(NOW) is None


@pytest.mark.parametrize(
    ("wait_s", "sent"),
    [(0.02, "1"), (0.5, "1"), (1.0, "1"), (1.2, "2"), (3 * 1.1 - 0.3, "3"), (14.01, "15"), (3600.0, "3600")],
)
def test_a_wait_is_sent_in_whole_seconds_rounded_up(wait_s: float, sent: str) -> None:
    assert retry_after(wait_s) == {"Retry-After": sent}
    assert reply(sent).retry_after_s(NOW) == float(sent)


@pytest.mark.parametrize("wait_s", [None, math.inf])
def test_without_an_end_of_the_wait_the_header_is_missing(wait_s: float | None) -> None:
    assert retry_after(wait_s) == {}


def test_no_other_code_writes_the_header() -> None:
    root = Path(__file__).parents[3]
    files = [path for part in ("services", "loadgen", "chaos", "compose") for path in (root / part).rglob("*.py")]
    quoted = re.compile(rf'"{RETRY_AFTER}"')
    assert [path.name for path in files if quoted.search(path.read_text(encoding="utf-8"))] == ["http.py"]
