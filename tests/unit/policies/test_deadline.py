"""A deadline only ever gets earlier on its way, and bad input never drops work."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.policies import deadline
from services.policies.deadline import DeadlineCheck


def test_the_edge_sets_it() -> None:
    assert deadline.after(10.0, 1.0) == 11.0


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_the_header_carries_the_same_float(value: float) -> None:
    assert deadline.parse(deadline.encode(value)) == value


@pytest.mark.parametrize("value", [None, "", "soon", "nan", "inf", "-inf", "1.0s"])
def test_a_bad_header_is_no_deadline(value: str | None) -> None:
    assert deadline.parse(value) is None


def test_what_remains_is_never_negative() -> None:
    assert deadline.remaining_s(11.0, 10.25) == 0.75
    assert deadline.remaining_s(11.0, 12.0) == 0.0
    assert deadline.remaining_s(None, 12.0) is None


def test_work_is_dropped_only_after_its_deadline() -> None:
    check = DeadlineCheck()
    assert not check.expired(11.0, 11.0)
    assert check.expired(11.0, 11.000001)
    assert not check.expired(None, 99.0)


def test_work_that_cannot_finish_in_time_is_dropped_too() -> None:
    check = DeadlineCheck(needed_s=0.25)
    assert not check.expired(11.0, 10.75)
    assert check.expired(11.0, 10.8)


def test_off_drops_nothing() -> None:
    assert not DeadlineCheck(enabled=False).expired(11.0, 99.0)


def test_reprs() -> None:
    assert repr(DeadlineCheck(needed_s=0.1)) == "<DeadlineCheck needs 0.1s>"
    assert repr(DeadlineCheck(enabled=False)) == "<DeadlineCheck off>"
