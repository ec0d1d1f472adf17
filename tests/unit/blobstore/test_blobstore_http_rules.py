"""Ranges and conditions, without a server."""

import pytest
from multidict import CIMultiDict

from services.blobstore.data import http_rules
from services.blobstore.errors import BlobError

MOMENT = 1770055380.25
DATE, EARLIER, LATER = (
    "Mon, 02 Feb 2026 18:03:00 GMT",
    "Mon, 02 Feb 2026 18:02:59 GMT",
    "Mon, 02 Feb 2026 18:03:01 GMT",
)
ETAG = '"0xAB"'


def span(value: str, size: int = 100, name: str = "Range", version: str = "2021-12-02") -> tuple[int, int] | None:
    return http_rules.byte_range(CIMultiDict({name: value} | ({"x-ms-version": version} if version else {})), size)


def refusal(check: object, *args: object) -> tuple[int, str]:
    with pytest.raises(BlobError) as caught:
        check(*args)  # type: ignore[operator]
    return caught.value.spec.status, caught.value.spec.code


@pytest.mark.parametrize(
    ("value", "expected"),
    [("bytes=0-9", (0, 10)), ("bytes=90-", (90, 100)), ("bytes=99-99", (99, 100)), ("bytes=50-5000", (50, 100))],
)
def test_a_range_is_cut_to_the_blob(value: str, expected: tuple[int, int]) -> None:
    assert span(value) == span(value, name="x-ms-range") == expected


@pytest.mark.parametrize("version", ["", "2009-09-19", "2011-08-17"])
def test_a_range_without_an_end_is_unknown_before_august_2011(version: str) -> None:
    assert span("bytes=5-", version=version) is None
    assert span("bytes=5-9", version=version) == (5, 10)
    assert refusal(span, "bytes=5-", 100, "x-ms-range", version) == (400, "InvalidHeaderValue")
    assert span("bytes=5-", version="2011-08-18") == (5, 100)


def test_azures_header_wins_over_the_standard_one() -> None:
    assert http_rules.byte_range(CIMultiDict({"Range": "bytes=0-1", "x-ms-range": "bytes=2-3"}), 10) == (2, 4)


@pytest.mark.parametrize("value", ["bytes=-5", "bytes=5-2", "bytes=0-1,3-4", "items=0-1", "bytes=abc", "bytes=", "x"])
def test_a_malformed_range_is_ignored_in_the_standard_header_and_refused_in_azures(value: str) -> None:
    assert span(value) is None
    assert refusal(span, value, 100, "x-ms-range") == (400, "InvalidHeaderValue")


@pytest.mark.parametrize(("value", "size"), [("bytes=100-", 100), ("bytes=100-200", 100), ("bytes=0-", 0)])
def test_a_range_past_the_end_is_refused_with_the_size(value: str, size: int) -> None:
    with pytest.raises(BlobError) as caught:
        span(value, size)
    assert (caught.value.spec.status, caught.value.spec.code) == (416, "InvalidRange")
    assert caught.value.headers == {"Content-Range": f"bytes */{size}"}


def test_the_md5_of_a_range_is_for_ranges_up_to_4_mib() -> None:
    asked = CIMultiDict({"x-ms-range-get-content-md5": "true"})
    assert http_rules.wants_range_md5(asked, (0, 4 * 2**20))
    assert not http_rules.wants_range_md5(CIMultiDict(), (0, 10))
    assert refusal(http_rules.wants_range_md5, asked, (0, 4 * 2**20 + 1)) == (400, "InvalidHeaderValue")
    assert refusal(http_rules.wants_range_md5, asked, None) == (400, "InvalidHeaderValue")


READS = [
    # headers, status of the refusal (0: read)
    ({}, 0),
    ({"If-Match": ETAG}, 0),
    ({"If-Match": "0xAB"}, 0),
    ({"If-Match": "*"}, 0),
    ({"If-Match": '"0xCD"'}, 412),
    ({"If-Match": f'"0xCD", {ETAG}'}, 0),
    ({"If-None-Match": ETAG}, 304),
    ({"If-None-Match": '"0xCD"'}, 0),
    ({"If-None-Match": f'"0xCD", {ETAG}'}, 304),
    ({"If-None-Match": "*"}, 400),
    ({"If-Modified-Since": DATE}, 304),
    ({"If-Modified-Since": EARLIER}, 0),
    ({"If-Modified-Since": LATER}, 304),
    ({"If-Unmodified-Since": DATE}, 0),
    ({"If-Unmodified-Since": EARLIER}, 412),
    ({"If-Modified-Since": "yesterday"}, 400),
    ({"If-None-Match": ETAG, "If-Modified-Since": EARLIER}, 0),
    ({"If-None-Match": '"0xCD"', "If-Modified-Since": DATE}, 0),
    ({"If-None-Match": ETAG, "If-Modified-Since": DATE}, 304),
    ({"If-Match": '"0xCD"', "If-None-Match": ETAG}, 412),
    ({"If-Match": ETAG, "If-Unmodified-Since": EARLIER}, 412),
]


@pytest.mark.parametrize(("headers", "status"), READS)
def test_conditions_of_a_read(headers: dict[str, str], status: int) -> None:
    asked = CIMultiDict(headers)
    assert http_rules.has_conditions(asked) is bool(headers)
    if status:
        assert refusal(http_rules.check_read, asked, ETAG, MOMENT)[0] == status
    else:
        http_rules.check_read(asked, ETAG, MOMENT)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"If-Match": "*"}, 412),
        ({"If-None-Match": "*"}, 400),
        ({"If-None-Match": ETAG}, 0),
        ({"If-Modified-Since": EARLIER, "If-Unmodified-Since": EARLIER}, 0),
    ],
)
def test_conditions_of_a_read_of_what_is_not_there(headers: dict[str, str], status: int) -> None:
    if status:
        assert refusal(http_rules.check_read, CIMultiDict(headers), None, 0.0)[0] == status
    else:
        http_rules.check_read(CIMultiDict(headers), None, 0.0)


@pytest.mark.parametrize(
    ("headers", "there", "code"),
    [
        ({"If-None-Match": "*"}, True, "BlobAlreadyExists"),
        ({"If-None-Match": "*"}, False, ""),
        ({"If-Match": ETAG}, True, ""),
        ({"If-Match": '"0xCD"'}, True, "ConditionNotMet"),
        ({"If-Match": ETAG}, False, "ConditionNotMet"),
        ({"If-None-Match": ETAG}, True, "ConditionNotMet"),
        ({"If-Unmodified-Since": EARLIER}, True, "ConditionNotMet"),
        ({"If-Modified-Since": DATE}, True, "ConditionNotMet"),
        ({"If-Modified-Since": EARLIER}, True, ""),
    ],
)
def test_conditions_of_a_write(headers: dict[str, str], there: bool, code: str) -> None:
    args = (CIMultiDict(headers), ETAG if there else None, MOMENT)
    if code:
        assert refusal(http_rules.check_write, *args)[1] == code
    else:
        http_rules.check_write(*args)
